"""A training that is followed in MLflow while it goes on."""

import json
import os
import shutil

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from recgan.adversarial.follow import follower
from recgan.registry.live import PLACE, followed
from recgan.registry.tracking import connect
from tests.adversarial.test_module import Duel, watched


@pytest.fixture
def store(tmp_path, empty_database, monkeypatch):
    """The project's folder with an empty store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def runs(root, status=None):
    client = connect(root)
    experiment = client.get_experiment_by_name("duel")
    found = client.search_runs([experiment.experiment_id])
    return [run for run in found if status is None or run.info.status == status]


def enter(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_curves_are_in_the_store_while_the_training_goes_on(store, monkeypatch):
    seen = []

    def validate():
        (run,) = runs(store)
        history = MlflowClient().get_metric_history(run.info.run_id, "d_loss")
        seen.append((run.info.status, run.info.run_name, sorted(point.step for point in history)))
        return float(len(seen))

    with followed(store, "duel") as variables:
        enter(monkeypatch, variables)
        watched(Duel(), epochs=40, validate=validate, evaluate_every=20, label="train")
    assert [status for status, _, _ in seen] == ["RUNNING", "RUNNING"]
    assert seen[1][1] == "train"
    assert set(seen[1][2]) & set(range(1, 21))  # many a one may still be on its way
    (run,) = runs(store)
    assert (run.info.status, run.data.tags[PLACE]) == ("FINISHED", str(store.resolve()))
    client = connect(store)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "d_loss")] == list(
        range(1, 41)
    )
    scores = client.get_metric_history(run.info.run_id, "score")
    assert [(point.step, point.value) for point in scores] == [(20, 1), (40, 2)]


def test_without_a_named_experiment_nothing_is_logged(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    assert follower("train") is None


def test_a_store_that_does_not_answer_ends_no_training(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 2)  # ten tries wait for 100 seconds
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://nobody@127.0.0.1:1/mlflow")
    with followed(tmp_path, "duel") as variables:
        assert variables == {}
    assert "the training cannot be followed" in caplog.text
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "duel")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://there")
    assert len(watched(Duel(), epochs=2).curves) == 2
    assert "cannot be followed in MLflow's experiment duel" in caplog.text


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_run_that_was_killed_gets_its_end(store, when):
    with followed(store, "duel") as variables:
        tags = json.loads(variables["MLFLOW_RUN_CONTEXT"])
    client = connect(store)
    experiment = client.get_experiment_by_name("duel").experiment_id
    other = client.create_run(experiment, tags={PLACE: "elsewhere"})

    def dies():
        return client.create_run(experiment, tags=tags)

    if when == "before":
        dies()
    with followed(store, "duel"):
        if when == "within":
            dies()
    assert [run.info.run_id for run in runs(store, "RUNNING")] == [other.info.run_id]
    assert len(runs(store, "KILLED")) == 1


def test_a_server_that_does_not_answer_is_given_up_soon(monkeypatch, caplog):
    """MLflow's own seven tries take minutes, the setting of somebody who gave one stays."""
    asked = []

    def refused(self, *arguments, **keywords):
        asked.append(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
        raise MlflowException("refused")

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", refused)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "duel")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    assert follower("train") is None
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    assert follower("train") is None
    assert asked == ["1", "3"]
    assert "train cannot be followed" in caplog.text
