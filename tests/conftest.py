"""What every test shares: no telemetry, and the real data where it is present."""

import logging
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recgan.core.environment import configure
from recgan.settings import read_with_base

configure()

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SHOP = ROOT / "examples" / "shop.yaml"
"""The parameters that tests start from; params.yaml is whoever's project this is."""


def example(name: str) -> dict[str, Any]:
    """Return what an example holds together with its bases."""
    return read_with_base(ROOT / "examples" / f"{name}.yaml")


def screen_out(root: Path, *accounts: str) -> Path:
    """Write data/screened of a project, with these accounts left out; return the folder."""
    from recgan.accounts.tables import ACCOUNTS, GROUPS, Screened, write_screened

    rows = [
        {"user_id": one, "score": 1.0, "quarantined": True, "suspect": False, "reasons": []}
        for one in accounts
    ]
    folder = root / "data/screened"
    folder.mkdir(parents=True, exist_ok=True)
    write_screened(Screened(pa.Table.from_pylist(rows, ACCOUNTS), GROUPS.empty_table()), folder)
    return folder


@pytest.fixture(autouse=True)
def own_log_level():
    """What a command sets for its process, the level of the project's log, ends with the test."""
    logger = logging.getLogger("recgan")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def real_data():
    """Path of a folder of real data by its name; the test is skipped where it is absent."""
    folder = Path(os.environ.get("RECGAN_SHARED_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"no real data at {folder / name}; set RECGAN_SHARED_DATA")
        return folder / name

    return find


def pytest_collection_modifyitems(items):
    """Begin with the files that take long: `make test` hands out whole files, and none should come last."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """MLflow's empty tables, to be copied: making them takes seconds."""
    from recgan.registry.tracking import connect

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        connect()
    return path


@pytest.fixture
def forked_packages(monkeypatch):
    """The processes of packages are forked from one that has imported what they need.

    Packages of tests without this fixture have processes as they are: python -P ask.py.
    """
    from recgan.registry import asking
    from tests import forked

    monkeypatch.setattr(asking, "subprocess", forked)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """URI of MLflow's database in a PostgreSQL of the tests' own, or the one RECGAN_TEST_POSTGRES names."""
    if given := os.environ.get("RECGAN_TEST_POSTGRES"):
        yield given
        return
    from flows import servers
    from recgan.core.errors import RecganError

    try:
        servers.find("initdb")
    except RecganError as error:
        pytest.skip(f"{error}, or set RECGAN_TEST_POSTGRES to the URI of an empty database")
    place = servers.Place(tmp_path_factory.mktemp("postgres"))
    place.folder.mkdir(parents=True)
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        patch.setitem(servers.PORTS, "postgres", free.getsockname()[1])
        free.close()
        servers.start_postgres(place)
        yield place.database("mlflow", "postgresql+psycopg")
        servers.postgres(place, "pg_ctl", "stop", "-m", "immediate", "-D", str(place.cluster))
    shutil.rmtree(place.cluster)
