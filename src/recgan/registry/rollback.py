"""Rollback: the champion before comes back, and what was withdrawn is not promoted again."""

import getpass
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core.errors import RecganError, Unavailable
from recgan.package.asking import QUESTIONS, ask
from recgan.registry.aliases import RESTORED, WITHDRAWN, mend
from recgan.registry.manifest import DamagedPackageError
from recgan.registry.outage import outside
from recgan.registry.tracking import CHAMPION, PREVIOUS, connect, critical_section, current

log = logging.getLogger(__name__)

Trial = Callable[[str], str | None]


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


def trial_prediction(model_uri: str) -> str | None:
    """Say why a packaged model does not answer, or None.

    Raises:
        Unavailable: it cannot be fetched, or the process that answers was hindered.
    """
    try:
        return ask(model_uri, pa.record_batch([[[]], [[]]], QUESTIONS), 10, True).error
    except DamagedPackageError as fault:
        return str(fault)


def check_answers(name: str, version: str, champion: str | None, trial: Trial) -> None:
    """Refuse to make a version the champion that does not answer.

    Args:
        name: of the registered model.
        version: of it.
        champion: the version that stays the champion otherwise.
        trial: says why a model does not answer, or None.

    Raises:
        RecganError: it does not answer.
        Unavailable: it cannot be asked now.
    """
    stays = (
        f"so version {champion} stays the champion"
        if champion is not None
        else "so there is still no champion"
    )
    try:
        error = trial(f"models:/{name}/{version}")
    except Unavailable as fault:
        raise Unavailable(f"version {version} of {name} cannot be asked ({fault}), {stays}") from fault
    if error is not None:
        raise RecganError(
            f"version {version} of {name} does not answer ({error}), {stays}; promote a version that works "
            '(recgan promote VERSION --reason "…"), or retrain'
        )


@outside()
def rollback(
    root: Path,
    name: str,
    reason: str,
    by: str | None = None,
    trial: Trial = trial_prediction,
) -> Rollback:
    """Make the version with the alias `previous` the champion again.

    In the critical section of promotion. Both versions keep tags of who, when and why; the withdrawn one is
    refused by the gate from then on. The alias `previous` is then gone. So a rollback that is asked for
    twice, by two people or by a retry, does not bring the withdrawn version back.

    Args:
        root: the project.
        name: the registered model.
        reason: for the record.
        by: who does it; None for this user on this machine.
        trial: says why a model does not answer, or None; a version that fails it does not become champion.

    Raises:
        RecganError: no reason is given, there is no champion or no version before it, the version before
            does not answer, or another process holds the critical section too long.
        Unavailable: the store does not answer, or the version before cannot be asked now.
    """
    if not reason.strip():
        raise RecganError('a rollback needs a reason for the record; give --reason "…"')
    client = connect(root)
    with critical_section(root, name):
        champion, previous = mend(client, name), current(client, name, PREVIOUS)
        if champion is None:
            raise RecganError(f"{name} has no champion, so there is nothing to roll back")
        if previous is None:
            raise RecganError(_nothing_before(name, champion))
        check_answers(name, str(previous.version), str(champion.version), trial)
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


def _nothing_before(name: str, champion: ModelVersion) -> str:
    message = f"{name} has no version before its champion (version {champion.version}), so it stays"
    if f"{RESTORED}.when" in champion.tags:
        of = champion.tags.get(f"{RESTORED}.instead_of")
        message += (
            f"; it came back in place of version {of} at {champion.tags[f'{RESTORED}.when']}, by "
            f"{champion.tags.get(f'{RESTORED}.by')}: {champion.tags.get(f'{RESTORED}.reason')}"
        )
    return f"{message}; `previous` comes with the next promotion: make run"


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
