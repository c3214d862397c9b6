"""A registry that cannot be used is one clear error, before any work."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from recgan.core.addresses import check_address
from recgan.core.errors import RecganError, Unavailable
from recgan.registry import reachable
from recgan.registry.reachable import check_database, check_registry


@pytest.fixture
def database(tmp_path):
    return tmp_path / "mlflow.db"


def of_schema(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        made.execute("INSERT INTO alembic_version VALUES (?)", [revision])
        made.commit()


def test_a_missing_and_an_empty_database_will_be_made(database):
    check_database(database)
    assert not database.exists()
    database.touch()
    check_database(database)
    assert database.stat().st_size == 0


def test_the_database_that_mlflow_makes_is_one(empty_database, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    check_registry(empty_database.parent)


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_database_names_itself_and_stays(database, content):
    database.write_bytes(content)
    with pytest.raises(RecganError, match=r"mlflow\.db is damaged: .*backup"):
        check_database(database)
    assert database.read_bytes() == content


def test_every_command_that_connects_says_so(database, monkeypatch):
    from recgan.registry.tracking import connect

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    database.write_bytes(b"not a database at all" * 500)
    with pytest.raises(RecganError, match="is damaged"):
        connect(database.parent)


@pytest.mark.parametrize("writes", [True, False])
def test_what_a_killed_writer_left_is_rolled_back(database, writes):
    of_schema(database, next(iter(set.difference(*reachable._revisions()))))
    code = (
        "import os, signal, sqlite3, sys; made = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "made.execute('PRAGMA cache_size = 1'); made.execute('BEGIN'); "
        "made.execute('CREATE TABLE half (content)'); "
        "[made.execute('INSERT INTO half VALUES (zeroblob(5000))') for _ in range(200)]; "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=False)
    assert database.with_name("mlflow.db-journal").stat().st_size  # or the test would show nothing
    check_database(database, writes)
    with closing(sqlite3.connect(database)) as found:
        assert found.execute("SELECT name FROM sqlite_master").fetchall() == [("alembic_version",)]


def test_a_database_that_another_may_not_write_can_be_read(database):
    of_schema(database, next(iter(set.difference(*reachable._revisions()))))
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check_database(database, writes=False)


def test_a_database_of_another_mlflow_is_refused_with_the_way_out(database):
    of_schema(database, "ffffffffffff")
    with pytest.raises(RecganError, match=r"newer MLflow.*ffffffffffff"):
        check_database(database)
    database.unlink()
    of_schema(database, "0584bdc529eb")  # of 2025
    with pytest.raises(RecganError, match=r"older MLflow.*mlflow db upgrade sqlite:///"):
        check_database(database)


def test_a_locked_database_may_be_free_later(database, monkeypatch):
    monkeypatch.setattr(reachable, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked by another process"):
            check_database(database)
        other.execute("ROLLBACK")
    check_database(database)


def test_a_folder_in_place_of_the_database_is_named(database):
    database.mkdir()
    with pytest.raises(RecganError, match=r"mlflow\.db cannot be used"):
        check_database(database)


def test_a_server_that_is_not_there_may_be_there_later(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:9, where nothing answers \(.*refused"):
        check_registry(tmp_path)


@pytest.mark.parametrize("userinfo", ["bob:a%40b%2Fc", "bob", "t0ken%23"])
def test_a_server_is_found_behind_a_user_in_its_address(userinfo, monkeypatch, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{userinfo}@127.0.0.1:{server.server_port}")
        check_registry(tmp_path)  # 501 is an answer
        server.shutdown()


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "postgresql://bob:pa@ss/word@127.0.0.1:9/mlflow",
            "postgresql+psycopg://bob:12x/ab@127.0.0.1:9/mlflow",
        ),
        *("http://bob:1@2@127.0.0.1:9", "http://bob:a#b@127.0.0.1:9", "postgresql://:x?y@[::1]:9/mlflow"),
    ],
)
def test_a_password_that_ends_its_address_is_refused_at_once(uri, monkeypatch, tmp_path):
    from recgan.registry.tracking import connect

    says = r"is [a-z+]+://\*\*\*@.*write @ as %40, / as %2F"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for refuses in (check_registry, connect):
        with pytest.raises(RecganError, match=f"^MLFLOW_TRACKING_URI {says}"):
            refuses(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("RECGAN_LOCK_DATABASE", uri)
    with pytest.raises(RecganError, match=f"^RECGAN_LOCK_DATABASE {says}"):
        check_registry(tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        *("postgresql://bob:a%40b%2Fc@127.0.0.1:9/mlflow", "postgresql://db:5432/mlflow?user=me@corp"),
        *("sqlite:////home/me@corp:x/mlflow.db", "http://[::1]:5000/a@b", "postgresql://bob@corp@db/mlflow"),
        *("http://127.0.0.1:5000", "postgresql://bob:x@db/mlflow?application_name=a@b", ""),
    ],
)
def test_an_address_that_can_be_read_passes(uri):
    check_address("MLFLOW_TRACKING_URI", uri)
