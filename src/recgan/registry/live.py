"""Runs in which a training is followed while it goes on; what comes of it is registered by another."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError
from recgan.registry.tracking import connect, experiment_of, tracking_uri

log = logging.getLogger(__name__)

PLACE = "recgan.trains_in"
"""Tag of such a run: the folder whose training it follows."""


@contextmanager
def followed(root: Path, name: str) -> Iterator[dict[str, str]]:
    """Give a training an experiment to be followed in, by MLflow's own variables for its process.

    The training makes its runs itself, so that one that is up to date has none. A run that a killed process
    left is ended, before and after: a folder has one training at a time. A store that does not answer is no
    reason not to train.

    Args:
        root: the project.
        name: of the registered model, and of the experiment.
    """
    place = str(root.resolve())
    try:
        client = connect(root)
        experiment = experiment_of(client, root, name)
        _end_killed(client, experiment, place)
    except (RecganError, MlflowException) as error:
        log.warning("the training cannot be followed in MLflow: %s", error)
        yield {}
        return
    try:
        yield {
            "MLFLOW_TRACKING_URI": tracking_uri(root),
            "MLFLOW_EXPERIMENT_NAME": name,
            "MLFLOW_RUN_CONTEXT": json.dumps({PLACE: place}),
        }
    finally:
        try:
            _end_killed(client, experiment, place)
        except MlflowException as error:
            log.warning("a run in which the training was followed may be shown as running: %s", error)


def _end_killed(client: MlflowClient, experiment: str, place: str) -> None:
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if run.data.tags.get(PLACE) == place:
            client.set_terminated(run.info.run_id, "KILLED")
