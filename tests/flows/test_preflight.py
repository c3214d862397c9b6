"""What a flow needs is seen to first: each lack is one line, and the user's own settings are left alone."""

import os
import subprocess
import sys

import pytest

from flows import preflight
from flows.preflight import check_folder, settle_git, settle_prefect
from recgan.core.errors import RecganError
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").touch()
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    (root / ".recgan").mkdir()
    return root


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, and no word of Prefect in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    return tmp_path


def dvc_says(root):
    command = [sys.executable, "-m", "dvc", "config", "core.no_scm"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()


def test_without_git_dvc_is_told_once_and_with_git_again(project):
    [line] = settle_git(project)
    assert line.startswith("no git repository here")
    assert dvc_says(project) == "true"
    assert list(settle_git(project)) == []

    (project / ".git").mkdir()
    [line] = settle_git(project)
    assert line.startswith("there is a git repository now")
    assert dvc_says(project) == ""
    assert list(settle_git(project)) == []


def test_what_somebody_told_dvc_stays(project):
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert list(settle_git(project)) == []
    (project / ".git").mkdir()
    assert list(settle_git(project)) == []
    assert dvc_says(project) == "true"


def test_a_folder_inside_a_repository_has_one(project):
    (project.parent / ".git").mkdir()
    assert list(settle_git(project)) == []
    assert dvc_says(project) == ""


def test_the_projects_own_prefect_is_taken_where_nobody_names_one(project, home):
    assert list(settle_prefect(project)) == []
    assert os.environ.pop("PREFECT_HOME") == str(project / ".recgan/prefect")


def test_a_profile_that_is_not_used_is_named_without_its_password(project, home, capsys):
    (home / ".prefect").mkdir()
    (home / ".prefect/profiles.toml").write_text(
        'active = "work"\n[profiles.work]\nPREFECT_API_URL = "http://me:hunter22@prefect.shop/api"\n'
    )
    [line] = settle_prefect(project)
    del os.environ["PREFECT_HOME"]
    assert "prefect.shop/api" in line
    assert "PREFECT_API_URL=" in line


@pytest.mark.parametrize("content", ["this is [not toml", 'active = "gone"\n', "profiles = 3\n"])
def test_a_broken_profile_does_not_matter(project, home, content):
    (home / ".prefect").mkdir()
    (home / ".prefect/profiles.toml").write_text(content)
    assert list(settle_prefect(project)) == []
    del os.environ["PREFECT_HOME"]


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"])
def test_who_names_a_prefect_gets_it(project, home, monkeypatch, name):
    monkeypatch.setenv(name, "mine")
    before = dict(os.environ)
    assert list(settle_prefect(project)) == []
    assert dict(os.environ) == before


@pytest.mark.parametrize("missing", ["params.yaml", "dvc.yaml", ".dvc"])
def test_a_folder_that_is_no_project_is_named(project, missing):
    (project / missing).rename(project / "elsewhere")
    with pytest.raises(RecganError, match=f"no {missing} in {project}"):
        check_folder(project)


def test_a_folder_that_cannot_be_written_to_is_named(project):
    (project / ".recgan").rmdir()
    (project / ".recgan").touch()  # stands for no permission, which root always has
    with pytest.raises(RecganError, match=f"nothing can be written in {project}"):
        check_folder(project)


@pytest.mark.parametrize("flow", ["experiment", "retrain", "images", "monitor", "recommend", "rollback"])
def test_every_flow_looks_before_it_imports_prefect(flow, tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"flows.{flow}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1
    assert [line.partition(" in ")[0] for line in said] == ["error: no params.yaml"]
    assert "| prefect" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "code", "said"), [("--help", 0, "Retrain: every"), ("now", 2, "arguments: now")]
)
def test_a_flow_with_arguments_begins_nothing(given, code, said, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "flows.retrain", given],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "usage: python -m flows.retrain" in done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_settings_that_prefect_does_not_take_are_one_error(project, home):
    code = "from pathlib import Path; from flows import preflight; print(*preflight.settle_prefect(Path()))"
    (home / "broken").mkdir()
    (home / "broken/profiles.toml").write_text("this is [not toml")
    given = {"PREFECT_HOME": str(home / "broken"), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("recgan.core.errors.RecganError: Prefect does not take")
    )


def test_a_worker_and_an_import_keep_the_prefect_they_have(home):
    before = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_HOME")}
    preflight.prepare(False)
    assert {name: value for name, value in os.environ.items() if name.startswith("PREFECT_HOME")} == before
