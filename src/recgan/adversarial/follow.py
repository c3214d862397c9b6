"""A training that is followed while it runs: its curves go to an experiment of MLflow's."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.loggers import MLFlowLogger

log = logging.getLogger(__name__)

_BRISK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""MLflow's own patience is minutes: too long for what training can do without."""


def follower(label: str) -> MLFlowLogger | None:
    """Return Lightning's logger for a new run of the experiment that MLFLOW_EXPERIMENT_NAME names.

    None where it names none. A store that does not answer ends no training: a warning says so.

    Args:
        label: what the training is called, and its run.
    """
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if not name:
        return None
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        # Waiting for the store would take longer than a short epoch.
        logger = MLFlowLogger(name, label, uri, synchronous=False)
        with _briskly():
            logger.experiment  # noqa: B018  # makes the run
    except Exception as error:  # MLflow's own, its database's or the network's
        log.warning("%s cannot be followed in MLflow's experiment %s: %s", label, name, error)
        return None
    return logger


@contextmanager
def _briskly() -> Iterator[None]:
    """Have MLflow give a server up soon, unless the environment says when."""
    ours = {name: value for name, value in _BRISK.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
