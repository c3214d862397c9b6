"""The temporary Prefect server ends with its starter, however that ends; what it lacks is one error."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import psutil
import pytest

from flows.temporary_server import temporary_server
from recgan.core.errors import RecganError
from tests.conftest import ROOT
from tests.flows.test_stages import alive, wait_until

STARTER = (
    "import sys, time; from pathlib import Path; from flows.temporary_server import temporary_server\n"
    "with temporary_server(Path(sys.argv[1]), 240) as url:\n"
    "    print(url, flush=True); time.sleep(600)"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    return tmp_path


@pytest.mark.slow
def test_kill_9_of_the_flow_leaves_no_server(home, prefect_database):
    shutil.copy(prefect_database, home)
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(home)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout.readline().startswith("http://127.0.0.1:")
    [server] = psutil.Process(starter.pid).children(recursive=True)
    starter.kill()
    starter.communicate()
    assert wait_until(lambda: not alive(server.pid), 60)


def test_a_starter_that_is_killed_at_once_leaves_no_server(home):
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(home)], stdout=subprocess.PIPE)
    process = psutil.Process(starter.pid)
    assert wait_until(lambda: process.children(), 60)
    servers = process.children()
    starter.kill()
    starter.communicate()
    assert wait_until(lambda: not any(alive(server.pid) for server in servers), 60)


def newer(path):
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        made.execute("INSERT INTO alembic_version VALUES ('ffffffffffff')")
        made.commit()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (newer, "was written by a newer Prefect"),
        (lambda path: path.write_bytes(os.urandom(9000)), "no SQLite"),
    ],
)
def test_a_database_that_it_cannot_use_is_one_error(home, spoil, says):
    spoil(home / "prefect.db")
    before = set(psutil.Process().children())  # the harness of other tests may run in this process
    with pytest.raises(RecganError, match=says) as caught, temporary_server(home, 240):
        pass
    assert "\n" not in str(caught.value)
    assert str(home / "prefect.db") in str(caught.value)
    assert "PREFECT_HOME" in str(caught.value)
    assert set(psutil.Process().children()) <= before
