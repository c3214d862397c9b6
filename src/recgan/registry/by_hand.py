"""Promotion by hand: a version that the gate refused, or was not asked about, becomes the champion."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError
from recgan.package.gate import Decision
from recgan.registry.aliases import crown, mend
from recgan.registry.outage import outside
from recgan.registry.promotion import record
from recgan.registry.rollback import Trial, check_answers, this_user, trial_prediction
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
def promote_by_hand(
    root: Path,
    name: str,
    version: str,
    reason: str,
    by: str | None = None,
    trial: Trial = trial_prediction,
) -> PromotedByHand:
    """Make a version the champion without the gate, in the critical section of promotion.

    The version has to answer a trial prediction, as in the gate, and keeps tags of who, when and why. The
    champion before becomes `previous`. A version that was withdrawn is withdrawn no longer.

    Args:
        root: the project.
        name: the registered model.
        version: its number.
        reason: for the record.
        by: who does it; None for this user on this machine.
        trial: says why a model does not answer, or None.

    Raises:
        RecganError: no reason is given, there is no such version, it is the champion already, or it does not
            answer.
        Unavailable: the store does not answer, or another process holds the critical section too long.
    """
    if not reason.strip():
        raise RecganError('a promotion by hand needs a reason for the record; give --reason "…"')
    client = connect(root)
    with critical_section(root, name):
        champion = mend(client, name)
        before = None if champion is None else str(champion.version)
        if before == version:
            raise RecganError(f"version {version} of {name} is the champion already; nothing was changed")
        try:
            client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            known = client.search_model_versions(f"name = '{name}'")
            raise RecganError(_unknown(name, version, [int(one.version) for one in known])) from None
        check_answers(name, version, before, trial)
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


def _unknown(name: str, version: str, numbers: list[int]) -> str:
    newest = ", ".join(map(str, sorted(numbers)[-10:]))
    there = f"choose one of {newest} (make ui shows them)" if numbers else "there is none yet: make run"
    return f"{name} has no version {version!a}; {there}"
