"""What becomes of a judged version: the decision on record, and the champion's alias."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from mlflow import MlflowClient

from recgan.core.errors import RecganError
from recgan.evaluation.page import Verdict, page
from recgan.package.gate import Decision, Evidence
from recgan.registry.aliases import crown, mend
from recgan.registry.lineage import LINEAGE
from recgan.registry.manifest import DamagedPackageError
from recgan.registry.outage import outside
from recgan.registry.rollback import withdrawal
from recgan.registry.tracking import connect, critical_section

log = logging.getLogger(__name__)

DECISION, REASONS, _KEY = "gate.decision", "gate.reasons", "gate.key"  # tags of a version


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


def judged(name: str, version: str, champion_version: str | None, look: Callable[[], Judgement]) -> Judgement:
    """Return a new judgement; a version whose package is damaged is refused until its files are whole again.

    Args:
        name: of the registered model.
        version: of it, the challenger.
        champion_version: None where there is none.
        look: gathers the evidence and decides.

    Raises:
        Unavailable: a package cannot be fetched, or the process that answers was hindered.
        RecganError: the champion does not answer.
    """
    try:
        return look()
    except DamagedPackageError as fault:
        if fault.model_uri != f"models:/{name}/{version}":
            raise RecganError(
                f"the champion (version {champion_version} of {name}) cannot answer: {fault}"
            ) from fault
        return Judgement(champion_version, Decision(False, (f"✗ Version {version}: {fault}.",)), None, None)


@outside()
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
        Unavailable: another process holds the critical section too long, or the store does not answer.
    """
    client = connect(root)
    with critical_section(root, name):
        holder = mend(client, name)
        before = None if holder is None else str(holder.version)
        if before == version:
            return Promotion(version, False, True, version, None, _already(version))
        if judgement.champion_version != before:
            log.info("the champion is now %s, not %s: judging anew", before, judgement.champion_version)
            judgement = again()
        decision = judgement.decision
        _record(client, root, name, version, judgement)
        if decision.promote:
            crown(client, name, version, before)
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
    if judgement.evidence is not None:
        _show(client, root, name, version, judgement)
    record(client, name, version, judgement.decision, judgement.key)


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


def _show(client: MlflowClient, root: Path, name: str, version: str, judgement: Judgement) -> None:
    """Log the decision with its evidence, and the evaluation's page with it, to the version's run."""
    decision = judgement.decision
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
        report = page(root, verdict)
    except (RecganError, TemplateError) as error:  # no reason to hold a promotion back
        log.warning("no gate/report.html: %s", error)
        return
    client.log_text(run_id, report, "gate/report.html")
