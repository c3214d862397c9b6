"""What the gate decides on a version, and what becomes of it: the record and the champion's alias."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core.errors import RecganError
from recgan.registry.aliases import crown, mend
from recgan.registry.domain import Decision, Domain
from recgan.registry.manifest import DamagedPackageError
from recgan.registry.outage import outside
from recgan.registry.rollback import withdrawal
from recgan.registry.tracking import connect, critical_section, current

log = logging.getLogger(__name__)

DECISION, REASONS, _KEY = "gate.decision", "gate.reasons", "gate.key"  # tags of a version
DECISION_FILE = "gate/decision.json"
"""Of the version's run: the decision with its evidence."""


@dataclass(frozen=True)
class Judgement:
    """A decision of the gate and what it was made on."""

    champion_version: str | None
    """The champion that the version was compared with; None when there was none."""
    decision: Decision
    evidence: Any
    """A dataclass; None for a version that is the champion already, or was judged before."""
    key: str | None
    """Hash of all that the decision depends on: the same key, the same decision. None: decided anew."""


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
    held: str | None = None
    """Why a version that passed is not the champion yet; then the last of the reasons says so too."""


@outside()
def judge(domain: Domain, version: str) -> Judgement:
    """Let the gate of a domain decide on a version, beside the champion.

    A decision that was recorded for the very same data, code, parameters and champion is taken again. A
    version that a rollback has withdrawn is refused unasked: offline it may well beat the champion again. One
    whose package is damaged is refused until its files are whole again.

    Args:
        domain: of the registered model.
        version: of it, the challenger.

    Raises:
        RecganError: the champion does not answer, or something to compare by is missing.
        Unavailable: a package cannot be fetched, or the process that answers was hindered.
    """
    client, name = connect(domain.root), domain.name
    champion = current(client, name)
    champion_version = None if champion is None else str(champion.version)
    key = _key(domain, champion_version)
    known = judged_before(client, name, version, champion_version, key)
    if known is not None:
        return known
    try:
        decision, evidence = domain.look(client, version, champion_version)
    except DamagedPackageError as fault:
        if fault.model_uri != f"models:/{name}/{version}":
            raise RecganError(
                f"the champion (version {champion_version} of {name}) cannot answer: {fault}"
            ) from fault
        return Judgement(champion_version, Decision(False, (f"✗ Version {version}: {fault}.",)), None, None)
    return Judgement(champion_version, decision, evidence, key)


def _key(domain: Domain, champion_version: str | None) -> str:
    return hashlib.sha256("\0".join([*domain.basis(), str(champion_version)]).encode()).hexdigest()


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
    decision = Decision(tags[DECISION] == "promote", tuple(tags[REASONS].split("\n")))
    return Judgement(champion_version, decision, None, key)


@outside()
def promote(
    domain: Domain,
    version: str,
    judgement: Judgement,
    hold: Callable[[MlflowClient, str], str | None] = lambda client, champion: None,
) -> Promotion:
    """Make a version the champion if the gate decided so; record the decision with its reasons either way.

    Everything happens in one critical section. Should the champion have changed since the judgement, the
    version is judged anew inside it. The champion before gets the alias `previous`.

    Args:
        domain: of the registered model.
        version: of it.
        judgement: on that version.
        hold: says, within the critical section, why a version that passed is not to take the place of that
            champion yet; None where it is.

    Raises:
        Unavailable: another process holds the critical section too long, or the store does not answer.
    """
    client, name = connect(domain.root), domain.name
    with critical_section(domain.root, name):
        holder = mend(client, name)
        before = None if holder is None else str(holder.version)
        if before == version:
            return Promotion(version, False, True, version, None, _already(version))
        if judgement.champion_version != before:
            log.info("the champion is now %s, not %s: judging anew", before, judgement.champion_version)
            judgement = judge(domain, version)
        decision = judgement.decision
        if judgement.evidence is not None:
            _show(client, domain, version, judgement)
        record(client, name, version, decision, judgement.key)
        describe(client, name, version, decision)
        held = hold(client, before) if decision.promote and before is not None else None
        promoted = decision.promote and held is None
        if promoted:
            crown(client, name, version, before)
    if held is not None:
        decision = Decision(False, (*decision.reasons, f"✗ It passed, but is not live yet: {held}"))
    log.info("%s version %s %s", name, version, "is the champion" if promoted else "was not promoted")
    return Promotion(
        version=version,
        promoted=promoted,
        already_champion=False,
        champion=version if promoted else before,
        previous=before if promoted else None,
        decision=decision,
        held=held,
    )


def _already(version: str) -> Decision:
    return Decision(False, (f"✓ Version {version} is the champion already; there is nothing to decide.",))


def record(client: MlflowClient, name: str, version: str, decision: Decision, key: str | None) -> None:
    """Record a decision in a version's tags, its key last: a key stands for all that was written before it.

    Args:
        client: of the tracking store.
        name: of the registered model.
        version: of it.
        decision: with its reasons.
        key: that of the judgement; None where the decision is not taken again.
    """
    if _KEY in client.get_model_version(name, version).tags:
        client.delete_model_version_tag(name, version, _KEY)
    client.set_model_version_tag(name, version, DECISION, "promote" if decision.promote else "refuse")
    client.set_model_version_tag(name, version, REASONS, "\n".join(decision.reasons))
    if key is not None:
        client.set_model_version_tag(name, version, _KEY, key)


def describe(client: MlflowClient, name: str, version: str, decision: Decision) -> None:
    """Write a decision into the description of a version and of its run, which MLflow's pages show first."""
    rows = [f"| {reason[0]} | {reason[2:].replace('|', chr(92) + '|')} |" for reason in decision.reasons]
    said = "lets it pass" if decision.promote else "refuses it"
    text = "\n".join(
        [f"**The gate {said}.** gate/report.html of the run shows why.", "", "| | |", "|---|---|", *rows]
    )
    client.update_model_version(name, version, text)
    run_id = str(client.get_model_version(name, version).run_id)
    client.set_tag(run_id, "mlflow.note.content", text)


def _show(client: MlflowClient, domain: Domain, version: str, judgement: Judgement) -> None:
    """Log the decision with its evidence, and the page that the domain makes of it, to the version's run."""
    decision = judgement.decision
    registered = client.get_model_version(domain.name, version)
    run_id = str(registered.run_id)
    content = {
        "version": version,
        "promote": decision.promote,
        "reasons": decision.reasons,
        "evidence": asdict(judgement.evidence),
    }
    client.log_text(run_id, json.dumps(content, indent=2, ensure_ascii=False), DECISION_FILE)
    page = domain.page(registered, decision, judgement.champion_version, judgement.evidence)
    if page is not None:
        client.log_text(run_id, page, "gate/report.html")


def evidence_of(client: MlflowClient, version: ModelVersion) -> dict[str, Any] | None:
    """Return what a version was last judged on, as JSON has it; None where nothing was recorded."""
    run_id = str(version.run_id)
    if DECISION_FILE not in [file.path for file in client.list_artifacts(run_id, "gate")]:
        return None
    return dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{DECISION_FILE}")["evidence"])
