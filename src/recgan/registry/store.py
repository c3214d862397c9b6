"""The registry: one MLflow run and one version per training, and the aliases that a gate moves."""

import csv
import hashlib
import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo

from recgan.errors import RecganError
from recgan.evaluation.page import Verdict, page
from recgan.features.matrices import read_features
from recgan.files import read_json
from recgan.params import Params
from recgan.registry.evidence import gather_evidence
from recgan.registry.gate import Decision, Evidence, decide
from recgan.registry.lineage import LINEAGE, TRAIN_KEY, check_locked, lineage
from recgan.registry.monitor import REFERENCE, describe_training
from recgan.registry.package import log_package
from recgan.registry.packaged import PackagedRecommender
from recgan.registry.rollback import withdrawal
from recgan.registry.tracking import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    artifact_location,
    connect,
    critical_section,
    current,
)
from recgan.temporary import temporary_folder

log = logging.getLogger(__name__)

_DECISION, _REASONS, _KEY = "gate.decision", "gate.reasons", "gate.key"  # tags of a version
_METRICS_AT_ONCE = 1000  # MLflow's limit for one call


@dataclass(frozen=True)
class Registered:
    """A version of the registered model, and the MLflow run that it comes from."""

    version: str
    run_id: str
    reused: bool
    """True where this training had been registered before."""


@dataclass(frozen=True)
class Judgement:
    """A decision of the gate and what it was made on."""

    champion_version: str | None
    """The champion that the version was compared with; None when there was none."""
    decision: Decision
    evidence: Any
    """A dataclass; None for a version that is the champion already, or was judged before."""
    key: str
    """Hash of all that the decision depends on: the same key, the same decision."""


@dataclass(frozen=True)
class Promotion:
    """What became of a version at the gate."""

    version: str
    promoted: bool
    already_champion: bool
    champion: str | None
    """The champion afterwards."""
    previous: str | None
    """The champion before, where there was another one."""
    decision: Decision


Judge = Callable[[Path, Params, str], Judgement]
Package = Callable[[MlflowClient, str], ModelInfo]
"""Logs to the active run, whose client and id it gets."""


@dataclass(frozen=True)
class Champion:
    """The champion, loaded into this process."""

    version: str
    packaged: PackagedRecommender


@dataclass(frozen=True)
class Challenger:
    """The version registered last that is not the champion, and what its tags say became of it."""

    version: str
    decision: str | None
    """`promote` or `refuse`; None before the gate has judged it."""
    reasons: tuple[str, ...]
    """Each begins with ✓ or ✗."""


# --- register -------------------------------------------------------------------------------------------


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
        log_figures(client, run_id, root / "metrics", root / "reports" / "curves.csv")
        for folder in ("reports", "metrics"):
            if (root / folder).is_dir():
                mlflow.log_artifacts(str(root / folder), folder)
        for file in ("params.yaml", "dvc.yaml", "dvc.lock"):
            if (root / file).exists():
                mlflow.log_artifact(str(root / file))
        features = read_features(root / "data" / "features")
        reference = describe_training(root, features, params.evaluate.primary_k)
        if reference is not None:
            mlflow.log_dict(reference, REFERENCE)
        return log_package(root / "models" / "recommender", features, params.features, tags)

    return enrol(root, params.register_.name, tags, package)


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
        version = _version_of(client, name, tags[TRAIN_KEY])
        reused = version is not None
        if version is None:
            with mlflow.start_run(experiment_id=_experiment(client, root, name), tags=tags) as run:
                model_uri = package(client, run.info.run_id).model_uri
                version = mlflow.register_model(model_uri, name, tags=tags)
        champion = current(client, name)
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


def _experiment(client: MlflowClient, root: Path, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location(root, name)))
    return str(found.experiment_id)


def log_figures(client: MlflowClient, run_id: str, metrics: Path, curves: Path) -> None:
    """Log the numbers of a folder of JSON files, and a CSV file of curves where there is one."""
    now = int(time.time() * 1000)
    points = [*_metrics(metrics, now), *_curves(curves, now)]
    for start in range(0, len(points), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_AT_ONCE])


def _metrics(folder: Path, timestamp: int) -> Iterator[Metric]:
    """Yield every finite number in metrics/*.json as <stage>/<path>, with _at_ for @.

    The recommender's own figures of the evaluation go by their bare names, such as ndcg_at_10.
    """
    for path in sorted(folder.glob("*.json")):
        for key, value in flat(read_json(path), "/", path.stem):
            if isinstance(value, int | float) and math.isfinite(value):
                name = _metric_name(key).removeprefix("evaluation/recommender.")
                yield Metric(name, float(value), timestamp, 0)


def _curves(path: Path, timestamp: int) -> Iterator[Metric]:
    """Yield each finite number of each column but `epoch`, which is the step; none without a file."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(float(row.pop("epoch")))
            for column, text in row.items():
                if text and math.isfinite(float(text)):
                    yield Metric(f"curves/{_metric_name(column)}", float(text), timestamp, step)


def flat(content: Any, separator: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts with the names on the way to them."""
    if not isinstance(content, dict):
        yield prefix, content
        return
    for key, value in content.items():
        yield from flat(value, separator, f"{prefix}{separator}{key}" if prefix else str(key))


def _metric_name(key: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", key.replace("@", "_at_"))


# --- the gate and the aliases ---------------------------------------------------------------------------


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
    evidence = gather_evidence(root, params, version)
    key = _judgement_key(root, params, evidence.champion_version)
    return Judgement(evidence.champion_version, decide(evidence, params.register_.gate), evidence, key)


def judged_before(
    client: MlflowClient, name: str, version: str, champion_version: str | None, key: str
) -> Judgement | None:
    """Return the judgement on the champion, a withdrawn version or one judged under this key, else None."""
    if champion_version == version:
        return Judgement(version, _already(version), None, key)
    challenger = client.get_model_version(name, version)
    withdrawn, tags = withdrawal(challenger), challenger.tags
    if withdrawn is not None:
        return Judgement(champion_version, Decision(False, (f"✗ {withdrawn}",)), None, key)
    if tags.get(_KEY) != key:
        return None
    log.info("%s version %s was judged before on the same data", name, version)
    decision = Decision(tags[_DECISION] == "promote", tuple(tags[_REASONS].split("\n")))
    return Judgement(champion_version, decision, None, key)


def _judgement_key(root: Path, params: Params, champion_version: str | None) -> str:
    parts = [
        (root / "dvc.lock").read_text(encoding="utf-8"),
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


def settle(
    root: Path, name: str, version: str, judgement: Judgement, again: Callable[[], Judgement]
) -> Promotion:
    """Move the aliases of any registered model as `promote` says.

    Args:
        root: the project.
        name: of the registered model.
        version: of it.
        judgement: on that version.
        again: makes a new judgement when the champion has changed.

    Raises:
        RecganError: another process holds the critical section too long.
    """
    client = connect(root)
    with critical_section(root, name):
        holder = current(client, name)
        before = None if holder is None else str(holder.version)
        if before == version:
            return Promotion(version, False, True, version, None, _already(version))
        if judgement.champion_version != before:
            log.info("the champion is now %s, not %s: judging anew", before, judgement.champion_version)
            judgement = again()
        decision = judgement.decision
        _record(client, root, name, version, judgement)
        if decision.promote:
            # In this order a crash on the way leaves a champion, and `previous` at worst equals it.
            if before is not None:
                client.set_registered_model_alias(name, PREVIOUS, before)
            client.set_registered_model_alias(name, CHAMPION, version)
            challenger = current(client, name, CHALLENGER)
            if challenger is not None and str(challenger.version) == version:
                client.delete_registered_model_alias(name, CHALLENGER)
    log.info("%s version %s %s", name, version, "is the champion" if decision.promote else "was not promoted")
    return Promotion(
        version=version,
        promoted=decision.promote,
        already_champion=False,
        champion=version if decision.promote else before,
        previous=before if decision.promote else None,
        decision=decision,
    )


def _already(version: str) -> Decision:
    return Decision(False, (f"✓ Version {version} is the champion already; there is nothing to decide.",))


def _record(client: MlflowClient, root: Path, name: str, version: str, judgement: Judgement) -> None:
    decision = judgement.decision
    client.set_model_version_tag(name, version, _DECISION, "promote" if decision.promote else "refuse")
    client.set_model_version_tag(name, version, _REASONS, "\n".join(decision.reasons))
    client.set_model_version_tag(name, version, _KEY, judgement.key)
    if judgement.evidence is None:
        return
    registered = client.get_model_version(name, version)
    run_id = str(registered.run_id)
    content = {
        "version": version,
        "promote": decision.promote,
        "reasons": decision.reasons,
        "evidence": asdict(judgement.evidence),
    }
    client.log_text(run_id, json.dumps(content, indent=2, ensure_ascii=False), "gate/decision.json")
    if not isinstance(judgement.evidence, Evidence):
        return  # no recommender, so the evaluation's page is not about it
    origin = {key: registered.tags[key] for key in LINEAGE if key in registered.tags}
    verdict = Verdict(name, version, decision.promote, decision.reasons, origin)
    try:
        client.log_text(run_id, page(root, verdict), "gate/report.html")
    except RecganError as error:  # a page that cannot be drawn is no reason to hold a promotion back
        log.warning("no gate/report.html: %s", error)


# --- the champion ---------------------------------------------------------------------------------------


def champion_version(root: Path, name: str) -> str | None:
    """Return the version that is the champion now, or None.

    Raises:
        Unavailable: the store does not answer.
    """
    version = current(connect(root), name)
    return None if version is None else str(version.version)


def load_champion(root: Path, name: str) -> Champion:
    """Load the champion's recommender and ids into this process, with this process's code.

    Raises:
        RecganError: there is no champion.
    """
    version = current(connect(root), name)
    if version is None:
        raise RecganError(f"{name} has no champion yet; a version becomes one by passing the gate: make run")
    return Champion(str(version.version), load_version(name, str(version.version)))


def challenger(root: Path, name: str) -> Challenger | None:
    """Return the version with the alias `challenger`; None where nothing challenges the champion.

    `register` gives the alias to what it registers and `promote` takes it from what becomes the champion, so
    a version that the gate refused keeps it until the next one comes.

    Raises:
        Unavailable: the store does not answer.
    """
    client = connect(root)
    version, champion = current(client, name, CHALLENGER), current(client, name)
    if version is None or (champion is not None and champion.version == version.version):
        return None
    tags, withdrawn = version.tags, withdrawal(version)
    reasons = tags.get(_REASONS, "").split("\n") if withdrawn is None else [f"✗ {withdrawn}"]
    return Challenger(
        str(version.version),
        tags.get(_DECISION) if withdrawn is None else "refuse",
        tuple(reason for reason in reasons if reason),
    )


def load_version(name: str, version: str) -> PackagedRecommender:
    """Load a version's package from the store that `connect` has pointed MLflow at."""
    with temporary_folder() as folder:
        uri = f"models:/{name}/{version}/artifacts"
        model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        return PackagedRecommender.load(model / "recommender", model / "items.json")
