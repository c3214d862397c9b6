"""The registry: one MLflow run and one version per training, and the aliases that a gate moves."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.temporary import temporary_folder
from recgan.features.matrices import read_features
from recgan.package.evidence import gather_evidence
from recgan.package.gate import decide
from recgan.package.log import log_package
from recgan.package.packaged import PackagedRecommender
from recgan.package.reference import REFERENCE, describe_training
from recgan.registry.aliases import mend
from recgan.registry.figures import flat, log_figures
from recgan.registry.lineage import TRAIN_KEY, check_locked, lineage
from recgan.registry.outage import outside
from recgan.registry.promotion import DECISION, REASONS, Judgement, Promotion, judged, judged_before, settle
from recgan.registry.rollback import withdrawal
from recgan.registry.tracking import CHALLENGER, connect, critical_section, current, experiment_of
from recgan.settings import Params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A version of the registered model, and the MLflow run that it comes from."""

    version: str
    run_id: str
    reused: bool
    """True where this training had been registered before."""


Judge = Callable[[Path, Params, str], Judgement]
Package = Callable[[MlflowClient, str], ModelInfo]
"""Logs to the active run, whose client and id it gets."""


class VersionId(NamedTuple):
    """Which version it is: a registry that was made anew or restored may give its number again."""

    version: str
    run_id: str


@dataclass(frozen=True)
class Champion:
    """The champion, loaded into this process."""

    identity: VersionId
    packaged: PackagedRecommender

    @property
    def version(self) -> str:
        """Its number in the registered model."""
        return self.identity.version


@dataclass(frozen=True)
class Challenger:
    """The version registered last that is not the champion, and what its tags say became of it."""

    identity: VersionId
    decision: str | None
    """`promote` or `refuse`; None before the gate has judged it."""
    reasons: tuple[str, ...]
    """Each begins with ✓ or ✗."""

    @property
    def version(self) -> str:
        """Its number in the registered model."""
        return self.identity.version


@outside()
def register(root: Path, params: Params, flow_run_id: str | None = None) -> Registered:
    """Log the trained recommender as one MLflow run and register it as the challenger.

    Idempotent: a training that has a version already (by the tag `train_key`) gets no second one. A version
    that is the champion is not called challenger.

    Args:
        root: the project.
        params: of the project.
        flow_run_id: of the Prefect flow run; None for a run by hand.

    Raises:
        RecganError: a stage has not run yet, recommender or features are not those of dvc.lock, or the
            tracking store does not answer.
    """
    check_locked(root)
    tags = lineage(root, flow_run_id)

    def package(client: MlflowClient, run_id: str) -> ModelInfo:
        mlflow.log_params(dict(flat(params.model_dump(mode="json", by_alias=True), ".")))
        log_figures(client, run_id, root / layout.METRICS, root / layout.CURVES)
        for folder in ("reports", "metrics"):
            if (root / folder).is_dir():
                mlflow.log_artifacts(str(root / folder), folder)
        for file in ("params.yaml", "dvc.yaml", "dvc.lock"):
            if (root / file).exists():
                mlflow.log_artifact(str(root / file))
        features = read_features(root / layout.FEATURES)
        reference = describe_training(root, features, params.evaluate.primary_k)
        if reference is not None:
            mlflow.log_dict(reference, REFERENCE)
        return log_package(root / layout.RECOMMENDER, features, params.features, tags)

    return enrol(root, params.register_.name, tags, package)


@outside()
def enrol(root: Path, name: str, tags: dict[str, str], package: Package) -> Registered:
    """Give a training its run and its version, unless it has them, and make it the challenger.

    Args:
        root: the project.
        name: of the registered model.
        tags: of run and version, `train_key` among them.
        package: logs everything to the active run, the package last.

    Raises:
        RecganError: the tracking store does not answer.
    """
    client = connect(root)
    with critical_section(root, name):
        champion, experiment = mend(client, name), experiment_of(client, root, name)
        _end_dead_runs(client, experiment)
        version = _version_of(client, name, tags[TRAIN_KEY])
        reused = version is not None
        if version is None:
            with mlflow.start_run(experiment_id=experiment, tags=tags) as run:
                model_uri = package(client, run.info.run_id).model_uri
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


# --- the gate and the aliases ---------------------------------------------------------------------------


@outside()
def judge(root: Path, params: Params, version: str) -> Judgement:
    """Gather the evidence for a version on today's test window and let the gate decide.

    A decision that was recorded for the very same data, code, parameters and champion is taken again. A
    version that a rollback has withdrawn is refused unasked: offline it may well beat the champion again.

    Raises:
        RecganError: the features or baselines are missing, or the champion does not answer.
    """
    client, name = connect(root), params.register_.name
    champion = current(client, name)
    champion_version = None if champion is None else str(champion.version)
    key = _judgement_key(root, params, champion_version)
    known = judged_before(client, name, version, champion_version, key)
    if known is not None:
        return known

    def look() -> Judgement:
        evidence = gather_evidence(root, params, version)
        key = _judgement_key(root, params, evidence.champion_version)
        return Judgement(evidence.champion_version, decide(evidence, params.register_.gate), evidence, key)

    return judged(name, version, champion_version, look)


def _judgement_key(root: Path, params: Params, champion_version: str | None) -> str:
    parts = [
        (root / layout.LOCK).read_text(encoding="utf-8"),
        params.register_.model_dump_json(),
        params.evaluate.model_dump_json(),
        str(champion_version),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def promote(
    root: Path, params: Params, version: str, judgement: Judgement, judge: Judge = judge
) -> Promotion:
    """Make a version the champion if the gate decided so; record the decision with its reasons either way.

    Everything happens in one critical section. Should the champion have changed since the judgement, the
    version is judged anew inside it. The champion before gets the alias `previous`.

    Args:
        root: the project.
        params: of the project.
        version: of the registered model.
        judgement: on that version.
        judge: makes a new judgement when the champion has changed.

    Raises:
        RecganError: another process holds the critical section too long.
    """
    return settle(root, params.register_.name, version, judgement, lambda: judge(root, params, version))


# --- the champion ---------------------------------------------------------------------------------------


@outside()
def champion_version(root: Path, name: str) -> VersionId | None:
    """Return which version is the champion now, or None.

    Raises:
        Unavailable: the store does not answer.
    """
    version = current(connect(root), name)
    return None if version is None else _identity(version)


@outside()
def load_champion(root: Path, name: str) -> Champion:
    """Load the champion's recommender and ids into this process, with this process's code.

    Raises:
        RecganError: there is no champion.
    """
    version = current(connect(root), name)
    if version is None:
        raise RecganError(f"{name} has no champion yet; a version becomes one by passing the gate: make run")
    return Champion(_identity(version), load_version(name, str(version.version)))


@outside()
def challenger(root: Path, name: str) -> Challenger | None:
    """Return the version with the alias `challenger`; None where nothing challenges the champion.

    `register` gives the alias to what it registers, and `promote` takes it from what becomes the champion. So
    a version that the gate refused keeps it until the next one comes.

    Raises:
        Unavailable: the store does not answer.
    """
    client = connect(root)
    version, champion = current(client, name, CHALLENGER), current(client, name)
    if version is None or (champion is not None and champion.version == version.version):
        return None
    tags, withdrawn = version.tags, withdrawal(version)
    reasons = tags.get(REASONS, "").split("\n") if withdrawn is None else [f"✗ {withdrawn}"]
    return Challenger(
        _identity(version),
        tags.get(DECISION) if withdrawn is None else "refuse",
        tuple(reason for reason in reasons if reason),
    )


def _identity(version: ModelVersion) -> VersionId:
    return VersionId(str(version.version), str(version.run_id))


@outside()
def load_version(name: str, version: str) -> PackagedRecommender:
    """Load a version's package from the store that `connect` has pointed MLflow at.

    Raises:
        Unavailable: it cannot be fetched.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    with temporary_folder() as folder:
        uri = f"models:/{name}/{version}/artifacts"
        model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        return PackagedRecommender.load(model / "recommender", model / "items.json")
