"""Runs of a tracking store elsewhere are searched through MLflow's client, and what can be removed is."""

import json
import shutil

import pytest

from recgan.core.errors import Unavailable
from recgan.forget import found as module
from recgan.forget.runs import forget_runs, runs_naming
from recgan.forget.told import as_text
from recgan.forget.wanted import wanted
from recgan.registry.tracking import connect

ANN = wanted(["u000005"])


@pytest.fixture
def store(tmp_path, monkeypatch, empty_database):
    """A store beside the project, with a run and a deleted run of it, and one of another project."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    client, runs = connect(tmp_path / "project"), []
    for name in ("shop", "shop", "another"):
        experiment = client.get_experiment_by_name(name)
        location = (home / "mlartifacts" / name).as_uri()
        id_ = client.create_experiment(name, location) if experiment is None else experiment.experiment_id
        run = client.create_run(id_).info.run_id
        client.log_param(run, "screen.condemned", "['u000005', 'u000006']")
        client.set_tag(run, "note", "nobody")
        client.log_text(run, "<p>u000005 is shown</p>", "reports/evaluation.html")
        client.log_text(run, "<p>u0000051 is shown</p>", "reports/other.html")
        client.log_text(run, json.dumps({"user_ids": ["u000005"]}), "warm_start/ids.json")
        client.log_text(run, "weights", "warm_start/weights.json")
        runs.append(run)
    client.delete_run(runs[1])
    return client, runs


def test_everything_that_a_run_says_is_searched_and_its_artifacts_are_removed(store, tmp_path):
    client, (one, deleted, others) = store
    searched, found = runs_naming(tmp_path / "project", "shop", ANN)
    parts = ["parameter screen.condemned", "reports/evaluation.html", "warm_start"]
    assert searched == 2
    assert sorted((name.owner, name.part) for name in found) == sorted(
        (f"run {run}", part) for run in (one, deleted) for part in parts
    )
    forget_runs(found)
    _, left = runs_naming(tmp_path / "project", "shop", ANN)
    assert [name.part for name in left] == ["parameter screen.condemned"] * 2
    assert all("NOT removed" in name.text for name in left)
    assert [file.path for file in client.list_artifacts(one, "reports")] == ["reports/other.html"]
    assert [file.path for file in client.list_artifacts(others)] == ["reports", "warm_start"]


def test_what_versions_say_of_themselves_is_searched(store, tmp_path):
    client, (one, *_) = store
    client.create_registered_model("shop")
    version = client.create_model_version("shop", "file:///nowhere", one)
    client.set_model_version_tag("shop", version.version, "reason", "u000005 complained")
    _, found = runs_naming(tmp_path / "project", "shop", ANN)
    assert ("version 1", "tag reason") in {(name.owner, name.part) for name in found}


def test_each_store_has_a_line_and_each_find_says_what_is_done(store, tmp_path):
    _, (one, *_) = store
    naming, stores = module._in_runs(tmp_path / "project", "shop", ANN)
    lines = as_text(module.Search(tuple(stores), (), naming), tmp_path, planned=True).splitlines()
    assert lines[0] == "runs of the tracking store: found 6 times (2 searched)"
    assert f"  run {one}: reports/evaluation.html: removed whole" in lines
    assert any(line.startswith(f"  run {one}: parameter screen.condemned: NOT removed") for line in lines)


@pytest.mark.usefixtures("store")
def test_a_store_of_the_project_is_searched_by_its_files(tmp_path):
    assert runs_naming(tmp_path, "shop", ANN) == (0, ())


def test_a_store_that_does_not_answer_is_named(tmp_path, monkeypatch):
    def away(*_):
        raise Unavailable("the store does not answer")

    monkeypatch.setattr(module, "runs_naming", away)
    assert [one.problem for one in module._in_runs(tmp_path, "shop", ANN)[1]] == ["the store does not answer"]
