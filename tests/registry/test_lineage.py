"""Lineage: git, DVC's lock file and the outcome of validation."""

import hashlib
import json
import subprocess

import pytest

from recgan.core.errors import RecganError
from recgan.package.lineage import LINEAGE, check_outputs, lineage
from recgan.recommenders.loading import challenger_of
from recgan.registry.lineage import folder_md5, train_key

LOCK = """schema: '2.0'
stages:
  features:
    cmd: python -m recgan features
    outs:
    - path: data/features
      md5: aaaa.dir
  train@mine:
    cmd: python -m recgan train mine
    outs:
    - path: models/mine
      md5: bbbb.dir
  train@other:
    cmd: python -m recgan train other
    outs:
    - path: models/other
      md5: dddd.dir
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "validation.json").write_text('{"success": false}')
    (tmp_path / "data" / "evaluation").mkdir(parents=True)
    challenge(tmp_path, "mine")
    (tmp_path / "data" / "features").mkdir(parents=True)
    summary = {"split_identity": {"trained_until": "2026-01-01T00:00:00+00:00", "kind": "time"}}
    (tmp_path / "data" / "features" / "summary.json").write_text(json.dumps(summary))
    return tmp_path


def challenge(root, name):
    (root / "data/evaluation/summary.json").write_text(json.dumps({"challenger": name}))


def git(root, *arguments):
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", "-C", root, *settings, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_tags_name_code_data_and_run(project):
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    tags = lineage(project, "mine", "cccc", "run-1")
    assert set(tags) == set(LINEAGE)
    assert tags["git.sha"] == git(project, "rev-parse", "HEAD")
    assert tags["git.dirty"] == "false"
    assert tags["candidate"] == "mine"
    assert tags["train_key"] == train_key(project, "train@mine")
    assert tags["features.md5"] == "aaaa.dir"
    assert tags["dvc.lock.sha256"] == hashlib.sha256(LOCK.encode()).hexdigest()
    assert tags["prefect.flow_run_id"] == "run-1"
    assert tags["validation.passed"] == "false"
    assert tags["settings.sha256"] == "cccc"
    assert tags["features.split"] == '{"kind": "time", "trained_until": "2026-01-01T00:00:00+00:00"}'
    (project / "metrics").mkdir(exist_ok=True)
    (project / "metrics/new.json").write_text("{}")  # what the stages write makes no commit dirty
    assert lineage(project, "mine", "cccc")["git.dirty"] == "false"
    (project / "new.py").touch()
    assert lineage(project, "mine", "cccc")["git.dirty"] == "true"


def test_without_git_the_tags_say_so(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    tags = lineage(project, "mine", "cccc")
    assert (tags["git.sha"], tags["git.dirty"], tags["prefect.flow_run_id"]) == ("none", "unknown", "none")


def test_the_key_follows_the_entry_of_its_own_stage_alone(project):
    stage = "train@mine"
    key = train_key(project, stage)
    for other in ("aaaa", "dddd"):
        (project / "dvc.lock").write_text(LOCK.replace(other, "cccc"))
        assert train_key(project, stage) == key
    (project / "dvc.lock").write_text(LOCK.replace("bbbb", "cccc"))
    assert train_key(project, stage) != key


def test_the_key_is_that_of_the_candidates_own_stage(project):
    keys = []
    for name in ("mine", "other"):
        tags = lineage(project, name, "cccc")
        assert tags["candidate"] == name
        assert tags["train_key"] == train_key(project, f"train@{name}")
        keys.append(tags["train_key"])
    assert keys[0] != keys[1]
    with pytest.raises(RecganError, match=r"dvc\.lock has no stage `train@untrained`; run dvc repro"):
        lineage(project, "untrained", "cccc")


@pytest.mark.parametrize("text", [None, "{}", "[]", "{"])
def test_without_an_evaluation_there_is_no_challenger_to_name(project, text):
    path = project / "data/evaluation/summary.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(RecganError, match=r"summary\.json does not name a challenger .*run dvc repro"):
        challenger_of(project)


def test_a_candidate_has_to_be_what_dvc_wrote_and_the_others_need_not(project):
    for folder in ("data/features", "models/mine", "models/other"):
        (project / folder).mkdir(parents=True, exist_ok=True)
        (project / folder / "file").write_text(folder)
    text = LOCK.replace("aaaa.dir", folder_md5(project / "data/features"))
    (project / "dvc.lock").write_text(text.replace("bbbb.dir", folder_md5(project / "models/mine")))
    check_outputs(project, "mine")
    (project / "models/mine/file").write_text("changed")
    with pytest.raises(RecganError, match=r"models/mine is not what dvc\.lock names"):
        check_outputs(project, "mine")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "nothing was trained yet"),
        ("schema: '2.0'\nstages: {}\n", "has no stage `train@mine`"),
        ("<<<<<<< HEAD\n", "is no lock file of DVC"),
    ],
)
def test_a_lock_that_cannot_be_read_is_said(tmp_path, content, message):
    if content is not None:
        (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(RecganError, match=message):
        train_key(tmp_path, "train@mine")


def test_a_folder_has_dvcs_md5(tmp_path):
    """The value is what `dvc add` of DVC 3.67 writes for these three files."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "weights.safetensors").write_text("weights")
    (tmp_path / "recommender.json").write_text("{}\n")
    (tmp_path / "sub" / "a.json").write_text("x")
    assert folder_md5(tmp_path) == "9406fcec48c23a64a245f61ab3229c17.dir"
