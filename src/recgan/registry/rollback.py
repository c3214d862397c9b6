"""Rollback: the champion before comes back, and what was withdrawn is not promoted again."""

import getpass
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core.errors import RecganError, Unavailable
from recgan.registry.aliases import RESTORED, WITHDRAWN, mend
from recgan.registry.domain import Domain
from recgan.registry.manifest import DamagedPackageError
from recgan.registry.outage import outside
from recgan.registry.tracking import CHAMPION, PREVIOUS, connect, critical_section, current

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rollback:
    """What a rollback changed."""

    name: str
    withdrawn: str
    """The version that was the champion."""
    champion: str
    """The version that is live now."""
    by: str
    reason: str
    when: datetime


def check_answers(domain: Domain, version: str, champion: str | None) -> None:
    """Refuse to make a version the champion that does not answer.

    Args:
        domain: of the registered model, which asks it.
        version: of it.
        champion: the version that stays the champion otherwise.

    Raises:
        RecganError: it does not answer.
        Unavailable: it cannot be asked now.
    """
    name = domain.name
    stays = (
        f"so version {champion} stays the champion"
        if champion is not None
        else "so there is still no champion"
    )
    error = trial_fault(domain, version, f", {stays}")
    if error is not None:
        raise RecganError(
            f"version {version} of {name} does not answer ({error}), {stays}; promote a version that works "
            f'({domain.command} promote VERSION --reason "…"), or retrain ({domain.retrain})'
        )


def trial_fault(domain: Domain, version: str, follows: str = "") -> str | None:
    """Say why a version does not answer; None where it does.

    Args:
        domain: of the registered model, which asks it.
        version: of it.
        follows: what an outage means, for its message.

    Raises:
        Unavailable: it cannot be asked now.
    """
    try:
        return domain.trial(f"models:/{domain.name}/{version}")
    except DamagedPackageError as fault:
        return str(fault)
    except Unavailable as fault:
        raise Unavailable(f"version {version} of {domain.name} cannot be asked ({fault}){follows}") from fault


@outside()
def rollback(domain: Domain, reason: str, by: str | None = None) -> Rollback:
    """Make the version with the alias `previous` the champion again.

    In the critical section of promotion. Both versions keep tags of who, when and why; the withdrawn one is
    refused by the gate from then on. The alias `previous` is then gone. So a rollback that is asked for
    twice, by two people or by a retry, does not bring the withdrawn version back.

    Args:
        domain: of the registered model.
        reason: for the record.
        by: who does it; None for this user on this machine.

    Raises:
        RecganError: no reason is given, there is no champion or no version before it, the version before
            does not answer, or another process holds the critical section too long.
        Unavailable: the store does not answer, or the version before cannot be asked now.
    """
    if not reason.strip():
        raise RecganError('a rollback needs a reason for the record; give --reason "…"')
    client, name = connect(domain.root), domain.name
    with critical_section(domain.root, name):
        champion, previous = mend(client, name), current(client, name, PREVIOUS)
        if champion is None:
            raise RecganError(f"{name} has no champion, so there is nothing to roll back")
        if previous is None:
            raise RecganError(_nothing_before(domain, champion))
        check_answers(domain, str(previous.version), str(champion.version))
        done = Rollback(
            name=name,
            withdrawn=str(champion.version),
            champion=str(previous.version),
            by=by or this_user(),
            reason=reason.strip(),
            when=datetime.now(UTC),
        )
        # The tags come first: from here on the gate refuses the version, however this process ends.
        _record(client, done)
        client.set_registered_model_alias(name, CHAMPION, done.champion)
        mend(client, name)
    log.info("%s version %s is the champion again; %s is withdrawn", name, done.champion, done.withdrawn)
    return done


def sentence(done: Rollback) -> str:
    """Say who put which version back, when and why."""
    return (
        f"Live now: {done.name} version {done.champion}, in place of version {done.withdrawn}.\n"
        f"{done.when:%Y-%m-%d %H:%M:%S} UTC by {done.by}: {done.reason}\n"
        f"Version {done.withdrawn} is withdrawn: the gate will not promote it again."
    )


def _nothing_before(domain: Domain, champion: ModelVersion) -> str:
    message = f"{domain.name} has no version before its champion (version {champion.version}), so it stays"
    if f"{RESTORED}.when" in champion.tags:
        of = champion.tags.get(f"{RESTORED}.instead_of")
        message += (
            f"; it came back in place of version {of} at {champion.tags[f'{RESTORED}.when']}, by "
            f"{champion.tags.get(f'{RESTORED}.by')}: {champion.tags.get(f'{RESTORED}.reason')}"
        )
    return f"{message}; `previous` comes with the next promotion: {domain.retrain}"


def _record(client: MlflowClient, done: Rollback) -> None:
    common = {"when": done.when.isoformat(timespec="seconds"), "by": done.by, "reason": done.reason}
    for key, value in {**common, "for": done.champion}.items():
        client.set_model_version_tag(done.name, done.withdrawn, f"{WITHDRAWN}.{key}", value)
    for key, value in {**common, "instead_of": done.withdrawn}.items():
        client.set_model_version_tag(done.name, done.champion, f"{RESTORED}.{key}", value)


def withdrawal(version: ModelVersion) -> str | None:
    """Say when, by whom and why a version was withdrawn; None where it was not."""
    tags = version.tags
    if f"{WITHDRAWN}.when" not in tags:
        return None
    return (
        f"Version {version.version} was withdrawn at {tags[f'{WITHDRAWN}.when']} "
        f"by {tags.get(f'{WITHDRAWN}.by')}: {tags.get(f'{WITHDRAWN}.reason')}"
    )


def this_user() -> str:
    """Name the user and the machine."""
    user = "unknown"
    with suppress(OSError, KeyError):  # a container's user id without a name
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"
