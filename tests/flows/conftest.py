"""One Prefect server for all flow tests, and one project in which a flow has run."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from filelock import FileLock

from tests.flows.shop import FIRST_COMMAND, Finished, first_run


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory, worker_id):
    """Prefect's empty tables, to be copied: it takes ten seconds to make them, once for all workers."""
    here = tmp_path_factory.getbasetemp()
    home = (here if worker_id == "master" else here.parent) / "prefect-empty"
    home.mkdir(exist_ok=True)
    with FileLock(home / "making.lock"):
        if not (home / "prefect.db").exists():
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            making = os.environ | {
                "PREFECT_HOME": str(home),
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/made.db",
            }
            subprocess.run(command, env=making, check=True, capture_output=True)
            (home / "made.db").rename(home / "prefect.db")
    return home / "prefect.db"


@pytest.fixture(scope="session")
def prefect_server(prefect_database):
    from prefect.testing.utilities import prefect_test_harness

    folder = tempfile.mkdtemp()  # the harness removes it
    shutil.copy(prefect_database, f"{folder}/prefect-test.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefect.testing.utilities.mkdtemp", lambda: folder)
        with prefect_test_harness(server_startup_timeout=600):
            yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id, prefect_database, empty_database):
    """A small shop in which README's first command has run, once for all workers; to be copied."""
    here = tmp_path_factory.getbasetemp()
    place = (here if worker_id == "master" else here.parent) / "finished"
    place.mkdir(exist_ok=True)
    note = place / "said.json"
    with FileLock(place / "making.lock"):
        if not note.exists():
            shutil.rmtree(place / "recgan", ignore_errors=True)
            said = first_run(place / "recgan", FIRST_COMMAND, prefect_database, empty_database)
            note.write_text(json.dumps(said))
    return Finished(place / "recgan", *json.loads(note.read_text()))
