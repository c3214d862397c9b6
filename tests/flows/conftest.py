"""One Prefect server for all flow tests."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from filelock import FileLock


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
