"""Where runs, files and the critical section are, for each kind of tracking store."""

import os
import threading
import time
from pathlib import Path

import pytest

from recgan.core.errors import RecganError
from recgan.registry.tracking import artifact_location, connect, critical_section, tracking_uri


@pytest.fixture
def sqlite(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


def test_a_relative_database_lies_in_the_project(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    assert artifact_location(tmp_path, "shop") == (tmp_path / "mlartifacts" / "shop").as_uri()


def test_an_absolute_database_keeps_its_files_whatever_the_work_tree(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/main/mlflow.db")
    assert tracking_uri(tmp_path / "worktree") == f"sqlite:///{tmp_path}/main/mlflow.db"
    expected = (tmp_path / "main" / "mlartifacts" / "shop").as_uri()
    assert artifact_location(tmp_path / "worktree", "shop") == expected


def test_another_database_needs_a_place_for_files(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://someone:secret@db/mlflow")
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", raising=False)
    with pytest.raises(RecganError, match="set MLFLOW_DEFAULT_ARTIFACT_ROOT") as error:
        artifact_location(Path(), "shop")
    assert "secret" not in str(error.value)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/models/")
    assert artifact_location(Path(), "shop") == "s3://bucket/models/shop"


def test_a_tracking_server_knows_its_own_place(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert artifact_location(Path(), "shop") is None


def test_a_folder_is_no_store(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path))
    with pytest.raises(RecganError, match="MLflow needs a database or a server"):
        connect()


def enters(name, timeout=0.2):
    """Tell whether another thread gets into the critical section."""
    entered = []

    def enter():
        try:
            with critical_section(Path(), name, timeout):
                entered.append(True)
        except RecganError as error:
            assert "another process has been registering or promoting" in str(error)  # noqa: PT017

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return bool(entered)


def check_critical_section():
    with critical_section(Path(), "shop"):
        assert not enters("shop")
        assert enters("another")
    assert enters("shop")
    with pytest.raises(ZeroDivisionError), critical_section(Path(), "shop"):
        _ = 1 / 0
    assert enters("shop")
    inside = []

    def work():
        with critical_section(Path(), "shop"):
            inside.append(+1)
            time.sleep(0.02)
            inside.append(-1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == [+1, -1] * 4


def test_one_holder_at_a_time_beside_sqlite(sqlite):
    check_critical_section()


def test_one_holder_at_a_time_before_a_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:1/{os.getpid()}")
    check_critical_section()


def test_one_holder_at_a_time_in_postgres(monkeypatch, postgres):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres)
    check_critical_section()


def test_one_holder_at_a_time_before_a_server_with_a_database_for_the_lock(monkeypatch, postgres):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("RECGAN_LOCK_DATABASE", postgres)
    check_critical_section()
    with critical_section(Path(), "shop"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:2")  # another machine's view of it
        assert not enters("shop")
