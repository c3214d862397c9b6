"""Runs of a tracking store elsewhere are searched through MLflow's client, and what can be removed is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from recgan.core.errors import Unavailable
from recgan.core.files import read_json, write_json
from recgan.forget import found as module
from recgan.forget import packages
from recgan.forget.runs import forget_runs, runs_naming
from recgan.forget.told import as_text
from recgan.forget.wanted import wanted
from recgan.package.shoppers import SHOPPERS
from recgan.registry.manifest import MANIFEST, checksum
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
    runs = runs_naming(tmp_path / "project", "shop", ANN)[0]
    searched, found = runs.count, runs.found
    parts = ["parameter screen.condemned", "reports/evaluation.html", "warm_start"]
    assert searched == 2
    assert sorted((name.owner, name.part) for name in found) == sorted(
        (f"run {run}", part) for run in (one, deleted) for part in parts
    )
    forget_runs(tmp_path / "project", found, ANN)
    left = runs_naming(tmp_path / "project", "shop", ANN)[0].found
    assert [name.part for name in left] == ["parameter screen.condemned"] * 2
    assert all("NOT removed" in name.text for name in left)
    assert [file.path for file in client.list_artifacts(one, "reports")] == ["reports/other.html"]
    assert [file.path for file in client.list_artifacts(others)] == ["reports", "warm_start"]


def all_named(project):
    return [one for kind in runs_naming(project, "shop", ANN) for one in kind.found]


def test_what_the_registry_says_is_searched_and_the_call_that_is_named_removes_it(store, tmp_path):
    client, (one, *_) = store
    said = "u000005 complained"
    client.create_registered_model("shop", tags={"reason": said}, description=said)
    client.create_model_version("shop", "file:///nowhere", one, tags={"reason": said}, description=said)
    client.set_experiment_tag(client.get_run(one).info.experiment_id, "reason", said)
    client.create_logged_model(client.get_run(one).info.experiment_id, tags={"reason": said})
    calls = [name for name in all_named(tmp_path / "project") if name.text.partition("Mlflow")[2]]
    parts = [("experiment", "tag reason")]
    parts += [
        (owner, part) for owner in ("registered model", "version 1") for part in ("description", "tag reason")
    ]
    assert [(name.owner, name.part) for name in calls[1:]] == parts
    assert calls[0].owner.startswith("logged model m-")
    for call in calls:
        eval(call.remedy, {"MlflowClient": lambda: client})
    assert not [name for name in all_named(tmp_path / "project") if not name.owner.startswith("run ")]


def log_package(client, experiment, folder):
    """Log a package with the histories of two shoppers, as MLflow lays it out."""
    model = client.create_logged_model(experiment, params={"screen.condemned": "['u000005']"})
    (folder / "up/artifacts").mkdir(parents=True)
    csr = {"data": np.ones(3), "indices": np.array([0, 1, 2]), "indptr": np.array([0, 2, 3])}
    np.savez(folder / "up/artifacts" / SHOPPERS, user_ids=np.array(["u000005", "u000006"]), **csr)
    write_json(folder / "up/artifacts" / MANIFEST, {"artifacts": {SHOPPERS: "before"}})
    client.log_model_artifacts(model.model_id, str(folder / "up"))
    return client.get_logged_model(model.model_id)


@pytest.mark.parametrize("there", [True, False], ids=["on this machine", "on another"])
def test_histories_are_taken_out_of_a_logged_model_whose_version_was_deleted(
    store, tmp_path, monkeypatch, there
):
    client, (one, *_) = store
    project = tmp_path / "project"
    model = log_package(client, client.get_run(one).info.experiment_id, tmp_path)
    client.create_registered_model("shop")
    version = client.create_model_version("shop", f"models:/{model.model_id}", model_id=model.model_id)
    owner = f"logged model {model.model_id}"

    def of_model():
        return [(name.part, name.found) for name in all_named(project) if name.owner == owner]

    # The histories of a version are those of `packages`.
    assert of_model() == [("parameter screen.condemned", 1)]
    client.delete_model_version("shop", version.version)
    assert of_model() == [("parameter screen.condemned", 1), (f"artifacts/{SHOPPERS}", 1)]
    if not there:
        monkeypatch.setattr(packages, "_folder", lambda _: None)
    forget_runs(project, tuple(all_named(project)), ANN)
    assert of_model() == [("parameter screen.condemned", 1)]
    artifacts = Path(download_artifacts(artifact_uri=model.artifact_location)) / "artifacts"
    with np.load(artifacts / SHOPPERS) as left:
        assert left["user_ids"].tolist() == ["u000006"]
        assert (left["indices"].tolist(), left["indptr"].tolist()) == ([2], [0, 1])
    assert read_json(artifacts / MANIFEST)["artifacts"][SHOPPERS] == checksum(artifacts / SHOPPERS)


def test_more_logged_models_than_a_page_are_all_searched(store, tmp_path, monkeypatch):
    client, (one, *_) = store
    experiment = client.get_run(one).info.experiment_id
    for text in ("nobody", "u000005", "nobody"):
        client.create_logged_model(experiment, tags={"note": text})
    search = MlflowClient.search_logged_models
    monkeypatch.setattr(
        MlflowClient, "search_logged_models", lambda *args, **named: search(*args, max_results=1, **named)
    )
    models = runs_naming(tmp_path / "project", "shop", ANN)[1]
    assert (models.count, [name.part for name in models.found]) == (3, ["tag note"])


def test_each_store_has_a_line_and_each_find_says_what_is_done(store, tmp_path):
    _, (one, *_) = store
    naming, stores = module._in_runs(tmp_path / "project", "shop", ANN)
    lines = as_text(module.Search(tuple(stores), (), naming), tmp_path, planned=True).splitlines()
    assert lines[0] == "runs of the tracking store: found 6 times (2 searched)"
    assert f"  run {one}: reports/evaluation.html: removed whole" in lines
    assert any(line.startswith(f"  run {one}: parameter screen.condemned: NOT removed") for line in lines)


@pytest.mark.usefixtures("store")
def test_a_store_of_the_project_is_searched_by_its_files(tmp_path):
    assert not any(kind.count or kind.found for kind in runs_naming(tmp_path, "shop", ANN))


def test_a_store_that_does_not_answer_is_named(tmp_path, monkeypatch):
    def away(*_):
        raise Unavailable("the store does not answer")

    monkeypatch.setattr(module, "runs_naming", away)
    assert [one.problem for one in module._in_runs(tmp_path, "shop", ANN)[1]] == ["the store does not answer"]
