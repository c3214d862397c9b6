"""Promotion by hand: a version that the gate refused, or was not asked about, becomes the champion."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError
from recgan.registry.aliases import crown, mend
from recgan.registry.domain import Decision, Domain
from recgan.registry.outage import outside
from recgan.registry.promotion import record
from recgan.registry.rollback import check_answers, this_user
from recgan.registry.tracking import connect, critical_section

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PromotedByHand:
    """What a promotion by hand changed."""

    name: str
    champion: str
    """The version that is live now."""
    previous: str | None
    """The champion before; None where there was none."""
    by: str
    reason: str
    when: datetime


@outside()
def promote_by_hand(domain: Domain, version: str, reason: str, by: str | None = None) -> PromotedByHand:
    """Make a version the champion without the gate, in the critical section of promotion.

    The version has to answer a trial prediction, as in the gate, and keeps tags of who, when and why. The
    champion before becomes `previous`. A version that was withdrawn is withdrawn no longer.

    Args:
        domain: of the registered model.
        version: its number.
        reason: for the record.
        by: who does it; None for this user on this machine.

    Raises:
        RecganError: no reason is given, there is no such version, it is the champion already, or it does not
            answer.
        Unavailable: the store does not answer, or another process holds the critical section too long.
    """
    if not reason.strip():
        raise RecganError('a promotion by hand needs a reason for the record; give --reason "…"')
    client, name = connect(domain.root), domain.name
    with critical_section(domain.root, name):
        champion = mend(client, name)
        before = None if champion is None else str(champion.version)
        if before == version:
            raise RecganError(f"version {version} of {name} is the champion already; nothing was changed")
        known_version(client, domain, version)
        check_answers(domain, version, before)
        done = PromotedByHand(name, version, before, by or this_user(), reason.strip(), datetime.now(UTC))
        reason = f"✓ Promoted by hand, without the gate, by {done.by}: {done.reason}"
        record(client, name, version, Decision(True, (reason,)), None)
        for key, value in {"when": _iso(done), "by": done.by, "reason": done.reason}.items():
            client.set_model_version_tag(name, version, f"promoted.{key}", value)
        crown(client, name, version, before)
    log.info("%s version %s is the champion, by hand", name, version)
    return done


def _iso(done: PromotedByHand) -> str:
    return done.when.isoformat(timespec="seconds")


def sentence(done: PromotedByHand) -> str:
    """Say who made which version the champion, when and why."""
    before = "" if done.previous is None else f", in place of version {done.previous}"
    return (
        f"Live now: {done.name} version {done.champion}{before}.\n"
        f"{done.when:%Y-%m-%d %H:%M:%S} UTC by {done.by}: {done.reason}"
    )


def known_version(client: MlflowClient, domain: Domain, version: str) -> ModelVersion:
    """Return a version by its number.

    Raises:
        RecganError: there is none.
    """
    try:
        return client.get_model_version(domain.name, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = client.search_model_versions(f"name = '{domain.name}'")
        raise RecganError(_unknown(domain, version, [int(one.version) for one in known])) from None


def _unknown(domain: Domain, version: str, numbers: list[int]) -> str:
    newest = ", ".join(map(str, sorted(numbers)[-10:]))
    there = (
        f"choose one of {newest} (make ui shows them)" if numbers else f"there is none yet: {domain.retrain}"
    )
    return f"{domain.name} has no version {version!a}; {there}"
