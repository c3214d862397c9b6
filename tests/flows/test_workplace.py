"""Scheduled runs work in a worktree of their own, on the project's cache, and end with their worker."""

import os
import shutil
import subprocess
import sys

import pytest

from flows import workplace
from recgan.core.errors import RecganError
from recgan.registry.tracking import tracking_uri
from tests.flows.test_stages import wait_until

DVC_YAML = """
stages:
  copy:
    cmd: cat raw/*.txt > out.txt && date +%N > when.txt
    deps: [raw]
    outs: [out.txt: {persist: true}, when.txt: {persist: true}]
"""


def run(folder, *command):
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def dvc(folder, *arguments):
    return run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with its git and its DVC, to be copied."""
    root = tmp_path_factory.mktemp("made") / "project"
    (root / "raw").mkdir(parents=True)
    (root / "raw/README.md").write_text("files go here")
    (root / "raw/events.txt").write_text("one\n")
    (root / "params.yaml").write_text("ingest: {path: raw}\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / ".gitignore").write_text(
        "/raw/*\n!/raw/README.md\n/out.txt\n/when.txt\n/recommendations\n/impressions\n/rules\n.recgan/\n"
    )
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "git", "config", "user.email", "t@t")
    run(root, "git", "config", "user.name", "t")
    dvc(root, "init", "-q")
    commit(root)
    return root


@pytest.fixture
def project(made, tmp_path):
    return shutil.copytree(made, tmp_path / "project")


def commit(root):
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", "state")


def test_it_has_the_commits_code_the_projects_raw_files_and_the_projects_cache(project):
    (project / "params.yaml").write_text("ingest: {path: raw}\nunfinished: 1\n")  # a person at work
    place = workplace.prepare(project, "nightly", "HEAD")
    assert (place / "params.yaml").read_text() == "ingest: {path: raw}\n"
    assert (place / "raw/events.txt").read_text() == "one\n"
    assert run(place, "git", "status", "--porcelain") == ""  # so a run's lineage calls it clean
    assert dvc(place, "cache", "dir") == dvc(project, "cache", "dir")
    dvc(place, "repro", "-q")
    assert (place / "out.txt").read_text() == "one\n"
    assert not (project / "out.txt").exists()
    (place / "recommendations/shop.parquet").write_text("published")
    assert (project / "recommendations/shop.parquet").read_text() == "published"
    (project / "rules/shop.json").write_text("what the shop says now")
    assert (place / "rules/shop.json").read_text() == "what the shop says now"


def test_it_is_kept_so_that_unchanged_stages_are_not_run_again(project):
    place = workplace.prepare(project, "nightly", "HEAD")
    dvc(place, "repro", "-q")
    before = (place / "when.txt").read_text()
    (project / "other.txt").write_text("another commit")
    commit(project)
    again = workplace.prepare(project, "nightly", "main")
    assert again == place
    assert (place / "other.txt").exists()
    dvc(place, "repro", "-q")
    assert (place / "when.txt").read_text() == before

    (project / "raw/events.txt").unlink()
    (project / "raw/newer.txt").write_text("two\n")
    workplace.prepare(project, "nightly", "main")
    dvc(place, "repro", "-q")
    assert (place / "out.txt").read_text() == "two\n"


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_in_a_project_that_was_moved_or_copied_it_works_in_that_project_alone(project, tmp_path, how):
    place = workplace.prepare(project, "nightly", "HEAD")
    dvc(place, "repro", "-q")
    before = (place / "when.txt").read_text()
    other = tmp_path / "other"
    if how == "copied":
        shutil.copytree(project, other, symlinks=True)
    else:
        project.rename(other)
    (other / "raw/events.txt").write_text("two\n")
    (other / "code.txt").write_text("the other's")
    commit(other)
    there = workplace.prepare(other, "nightly", "main")
    assert there == other / ".recgan/worktrees/nightly"
    assert (there / "code.txt").exists()
    assert run(there, "git", "rev-parse", "--path-format=absolute", "--git-common-dir") == str(other / ".git")
    dvc(there, "repro", "-q")
    assert (there / "out.txt").read_text() == "two\n"
    (there / "recommendations/shop.parquet").write_text("the other's")
    assert (other / "recommendations/shop.parquet").exists()
    if how == "moved":
        assert not project.exists()
    else:  # as it was
        assert run(place, "git", "status", "--porcelain") == "?? dvc.lock"
        assert run(place, "git", "rev-parse", "HEAD") == run(project, "git", "rev-parse", "main")
        assert not (project / "recommendations/shop.parquet").exists()
        assert workplace.prepare(project, "nightly", "HEAD") == place
        dvc(place, "repro", "-q")
        assert ((place / "out.txt").read_text(), (place / "when.txt").read_text()) == ("one\n", before)


def test_a_persons_run_at_the_same_time_disturbs_neither(project):
    slow = DVC_YAML.replace("cat raw", "sleep 3; cat raw")
    (project / "dvc.yaml").write_text(slow)
    commit(project)
    place = workplace.prepare(project, "nightly", "HEAD")
    both = [
        subprocess.Popen([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, stderr=subprocess.PIPE)
        for folder in (project, place)
    ]
    assert [one.communicate()[1] for one in both] == [b"", b""]
    assert [one.returncode for one in both] == [0, 0]
    assert (project / "out.txt").read_text() == (place / "out.txt").read_text() == "one\n"


@pytest.mark.parametrize(("ref", "message"), [("no-such-branch", "no-such-branch"), ("HEAD", "not a git")])
def test_a_commit_that_is_not_there_is_one_clear_error(project, tmp_path, ref, message):
    folder = project if ref != "HEAD" else tmp_path
    with pytest.raises(RecganError, match=f"(?s){message}.*need a git repository"):
        workplace.prepare(folder, "nightly", ref)


def test_the_registry_stays_the_projects(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    workplace.keep_the_registry(project)
    assert tracking_uri(project / "elsewhere") == f"sqlite:///{project}/mlflow.db"


def test_a_flow_run_ends_with_its_worker(tmp_path):
    """The middle process stands for the worker: it starts the flow run and is killed."""
    note = tmp_path / "ended"
    flow_run = (
        "import os, pathlib, signal, sys, time; from flows import workplace; "
        f"note = pathlib.Path({str(note)!r}); "
        "signal.signal(signal.SIGTERM, lambda *_: (note.write_text('terminated'), sys.exit(1))); "
        "workplace.end_with_worker(0.05); note.write_text('runs'); time.sleep(60)"
    )
    worker = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', {flow_run!r}]); time.sleep(60)"
    )
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": "1"}
    middle = subprocess.Popen([sys.executable, "-c", worker], env=environment)
    assert wait_until(lambda: note.exists() and note.read_text() == "runs", 60)
    middle.kill()
    middle.wait()
    assert wait_until(lambda: note.read_text() == "terminated", 10)
