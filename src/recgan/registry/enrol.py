"""One MLflow run and one version for each training."""

import logging
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.registry.aliases import mend
from recgan.registry.domain import Domain
from recgan.registry.lineage import TRAIN_KEY
from recgan.registry.outage import outside
from recgan.registry.tracking import CHALLENGER, connect, critical_section, experiment_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A version of the registered model, and the MLflow run that it comes from."""

    version: str
    run_id: str
    reused: bool
    """True where this training had been registered before."""


@outside()
def enrol(domain: Domain, flow_run_id: str | None = None) -> Registered:
    """Give what was trained its run and its version, unless it has them, and make it the challenger.

    Idempotent: a training that has a version already (by the tag `train_key`) gets no second one. A version
    that is the champion is not called challenger.

    Args:
        domain: what is registered.
        flow_run_id: of the Prefect flow run; None for a run by hand.

    Raises:
        RecganError: a stage has not run yet, its output is not that of dvc.lock, or the tracking store does
            not answer.
    """
    tags, name = domain.tags(flow_run_id), domain.name
    client = connect(domain.root)
    with critical_section(domain.root, name):
        champion, experiment = mend(client, name), experiment_of(client, domain.root, name)
        _end_dead_runs(client, experiment)
        version = _version_of(client, name, tags[TRAIN_KEY])
        reused = version is not None
        if version is None:
            with mlflow.start_run(experiment_id=experiment, run_name=domain.label, tags=tags) as run:
                model_uri = domain.package(client, run.info.run_id, tags).model_uri
                version = mlflow.register_model(model_uri, name, tags=tags)
        if champion is None or champion.version != version.version:
            client.set_registered_model_alias(name, CHALLENGER, version.version)
    registered = Registered(str(version.version), str(version.run_id), reused)
    log.info(
        "%s version %s %s", name, registered.version, "was registered before" if reused else "registered"
    )
    return registered


def _version_of(client: MlflowClient, name: str, train_key: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{name}' and tags.{TRAIN_KEY} = '{train_key}'")
    return max(found, key=lambda version: int(version.version), default=None)


def _end_dead_runs(client: MlflowClient, experiment: str) -> None:
    """End a run on which no process works any more: it would be shown as running for ever."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if TRAIN_KEY in run.data.tags:  # made in the critical section, which this process holds
            whole = client.search_model_versions(f"run_id = '{run.info.run_id}'")
            client.set_terminated(run.info.run_id, "FINISHED" if whole else "KILLED")
