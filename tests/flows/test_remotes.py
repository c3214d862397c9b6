"""`make remote`: a folder beside the project by default, anything DVC knows by its address."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.flows.github import lend_environment


@pytest.fixture
def run(tmp_path):
    """Run a command in a project that has a DVC of its own and no remote yet."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, project / name)
    lend_environment(project)
    environment = os.environ | {"PATH": f"{project / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("URL", None)

    def command(*words: str) -> str:
        return subprocess.run(
            words, cwd=project, env=environment, check=True, capture_output=True, text=True
        ).stdout

    command("git", "init", "-q")
    command("dvc", "init", "-q")
    return command


def test_a_folder_beside_the_project_takes_and_gives_back_what_is_tracked(run, tmp_path):
    run("make", "remote")
    assert str(tmp_path / "recgan-remote") in run("dvc", "config", "remote.storage.url")
    (tmp_path / "project/events.csv").write_text("user_id,item_id\n")
    run("dvc", "add", "-q", "events.csv")
    run("dvc", "push", "-q")
    (tmp_path / "project/events.csv").unlink()
    shutil.rmtree(tmp_path / "project/.dvc/cache")
    run("dvc", "pull", "-q")
    assert (tmp_path / "project/events.csv").read_text() == "user_id,item_id\n"


def test_an_address_is_taken_as_it_is_and_nothing_in_it_is_run(run, tmp_path):
    run("make", "remote", "URL=s3://bucket/$$(touch harm)`touch harm`;touch harm")
    assert "s3://bucket/$(touch harm)" in run("dvc", "config", "remote.storage.url")
    assert not list(tmp_path.rglob("harm"))
    run("make", "remote", "URL=../a folder")
    assert str(tmp_path / "a folder") in run("dvc", "config", "remote.storage.url")
