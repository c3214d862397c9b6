"""A registry that was moved or copied: refused before anything is touched, mended by one command."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from recgan.core.errors import RecganError, Unavailable
from recgan.package.store import Recommenders, load_champion
from recgan.registry import tracking, versions
from recgan.registry.enrol import enrol
from recgan.registry.promotion import judge
from recgan.registry.relocation import elsewhere, relocate, sentence
from recgan.registry.tracking import connect, current
from tests.package.conftest import TASTES, make_project, write_lock


@pytest.fixture(scope="module")
def named(params):
    return params.model_copy(update={"register_": params.register_.model_copy(update={"name": "moved"})})


@pytest.fixture(scope="module", autouse=True)
def beside_the_database():
    """MLflow puts the address of the first project into the environment; each here has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "tracking_uri", lambda root=Path(): f"sqlite:///{root.resolve()}/mlflow.db")
        yield patch


@pytest.fixture(scope="module")
def project(tmp_path_factory, named, empty_database, beside_the_database):
    """A project with a champion, its registry beside it; the name of its folder needs quoting in an URI."""
    root = make_project(tmp_path_factory.mktemp("shops") / "the first shop %", named, good_tastes=TASTES)
    shutil.copy(empty_database, root / "mlflow.db")
    version = enrol(Recommenders(root, named)).version
    connect(root).set_registered_model_alias("moved", "champion", version)
    return root


@contextmanager
def gone(project):
    """Take a project away for a while."""
    away = project.rename(project.with_name("away"))
    try:
        yield
    finally:
        away.rename(project)


def files(root):
    return {path.relative_to(root) for path in (root / "mlartifacts").rglob("*") if path.is_file()}


def names(database, path):
    """Count the cells of a database that hold a path, as it is or as an URI, whatever the table."""
    starts = (f"{path}/mlartifacts", f"{path.as_uri()}/mlartifacts")
    with closing(sqlite3.connect(database)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
    return sum(isinstance(cell, str) and cell.startswith(starts) for row in rows for cell in row)


def test_a_copy_is_refused_untouched_and_after_mending_leaves_the_original_alone(project, named, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    before, database = files(project), (copy / "mlflow.db").read_bytes()
    write_lock(copy, params={"params.yaml": {"candidates.cfgan": {"seed": 43}}})  # a retraining
    for touch in (
        lambda: enrol(Recommenders(copy, named)),
        lambda: load_champion(copy, "moved"),
        lambda: judge(Recommenders(copy, named), "1"),
    ):
        with pytest.raises(RecganError, match="was moved or copied here") as refused:
            touch()
        for part in (str(project / "mlartifacts"), str(copy / "mlartifacts"), "recgan relocate"):
            assert part in str(refused.value)
    assert (copy / "mlflow.db").read_bytes() == database
    assert files(copy) == files(project) == before

    done = relocate(copy / "mlflow.db")
    assert done.moved_from == (project / "mlartifacts",)
    assert (done.missing, done.locations) == (0, names(project / "mlflow.db", project))
    assert names(copy / "mlflow.db", project) == 0
    assert str(done.kept) in sentence(done)
    assert names(done.kept, project) == done.locations
    assert enrol(Recommenders(copy, named)).version == "2"
    assert len(files(copy)) > len(before)
    assert files(project) == before
    assert enrol(Recommenders(project, named)).reused  # the original works as it did
    with gone(project):
        assert load_champion(copy, "moved").version == "1"
    assert relocate(copy / "mlflow.db").kept is None


def test_another_database_copied_over_one_that_has_answered_is_noticed(project, tmp_path):
    """The file is the same by its number; cp writes into it."""
    copy = shutil.copytree(project, tmp_path / "copy")
    relocate(copy / "mlflow.db")
    connect(copy)
    connect(copy)
    number = (copy / "mlflow.db").stat().st_ino
    shutil.copyfile(project / "mlflow.db", copy / "mlflow.db")
    assert (copy / "mlflow.db").stat().st_ino == number
    with pytest.raises(RecganError, match="was moved or copied here"):
        connect(copy)


def test_a_moved_project_works_again_and_what_it_registers_lies_in_it(project, named, tmp_path):
    moved = shutil.copytree(project, tmp_path / "elsewhere" / "shop")
    with gone(project):
        with pytest.raises(RecganError, match="recgan relocate"):
            versions.champion_version(moved, "moved")
        relocate(moved / "mlflow.db")
        assert load_champion(moved, "moved").version == "1"
        before = files(moved)
        write_lock(moved, params={"params.yaml": {"candidates.cfgan": {"seed": 43}}})
        assert enrol(Recommenders(moved, named)).version == "2"
        assert len(files(moved)) > len(before)
        assert not project.exists()


def test_files_that_stayed_behind_are_named_before_anything_changes(project, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(project / "mlflow.db", copy)
    database = (copy / "mlflow.db").read_bytes()
    with pytest.raises(RecganError, match=r"version 1 of moved is the champion, and its files are not in"):
        relocate(copy / "mlflow.db")
    assert (copy / "mlflow.db").read_bytes() == database
    assert [path.name for path in copy.iterdir()] == ["mlflow.db"]
    # Without an alias they may be gone for good: counted, and no reason to stop.
    with closing(sqlite3.connect(copy / "mlflow.db")) as connection, connection:
        connection.execute("DELETE FROM registered_model_aliases")
    assert relocate(copy / "mlflow.db").missing == 1


def test_a_database_in_use_is_unavailable_and_what_is_none_is_said(project, tmp_path, monkeypatch):
    copy = shutil.copytree(project, tmp_path / "copy")
    with closing(sqlite3.connect(copy / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("recgan.registry.relocation._PATIENCE", 0.1)
        with pytest.raises(Unavailable, match="end the processes that use it"):
            relocate(copy / "mlflow.db")
    (tmp_path / "notes.db").write_text("no database, but long enough to be read as one" * 20)
    with pytest.raises(RecganError, match="is no database of MLflow"):
        relocate(tmp_path / "notes.db")
    with pytest.raises(RecganError, match="no database"):
        relocate(tmp_path / "nowhere.db")


def test_a_scheduled_run_uses_the_registry_of_its_project(project, monkeypatch):
    """As flows/workplace.py sets it: by an absolute address, from a worktree within the project."""
    monkeypatch.setattr(tracking, "tracking_uri", lambda root=Path(): f"sqlite:///{project}/mlflow.db")
    place = project / ".recgan" / "worktrees" / "retrain"
    place.mkdir(parents=True)
    assert load_champion(place, "moved").version == "1"


@pytest.mark.parametrize(
    ("locations", "found"),
    [
        (["file:///shop/mlartifacts/recgan", "/shop/mlartifacts/digits"], []),
        (["file:///old%20shop/mlartifacts/recgan", "file:///shop/mlartifacts/x"], ["/old shop/mlartifacts"]),
        (["/a/mlartifacts/recgan", "/b/mlartifacts/recgan"], ["/a/mlartifacts", "/b/mlartifacts"]),
        (["/somewhere/mlruns/0", "s3://bucket/mlartifacts/recgan", "mlflow-artifacts:/1", ""], []),
    ],
)
def test_which_folders_are_of_another_project(locations, found):
    assert elsewhere(Path("/shop/mlflow.db"), locations) == [Path(folder) for folder in found]


def test_a_link_to_the_folder_is_the_folder(project, tmp_path):
    """Renamed, with a link of the old name left behind."""
    moved = shutil.copytree(project, tmp_path / "moved")
    with gone(project):
        project.symlink_to(moved)
        assert str(current(connect(moved), "moved").version) == "1"
        project.unlink()


def test_a_root_of_the_users_own_is_left_alone(project, tmp_path, monkeypatch):
    """MLFLOW_DEFAULT_ARTIFACT_ROOT says where files go, also where that folder has the usual name."""
    root = tmp_path / "disk" / "mlartifacts"
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", root.as_uri())
    connect(project).create_experiment("shared", f"{root.as_uri()}/shared")
    assert "shared" in [one.name for one in connect(project).search_experiments()]
