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

from recgan.errors import RecganError
from recgan.registry.asking import QUESTIONS, ask
from recgan.registry.tracking import CHAMPION, PREVIOUS, connect, critical_section, current

log = logging.getLogger(__name__)

_WITHDRAWN, _RESTORED = "withdrawn", "restored"  # prefixes of a version's tags

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
    """Say why a packaged model does not answer, or None."""
    return ask(model_uri, pa.record_batch([[[]], [[]]], QUESTIONS), 10, True).error


def rollback(
    root: Path,
    name: str,
    reason: str,
    by: str | None = None,
    trial: Trial = trial_prediction,
) -> Rollback:
    """Make the version with the alias `previous` the champion again.

    In the critical section of promotion. Both versions keep tags of who, when and why; the withdrawn one is
    refused by the gate from then on. The alias `previous` is then gone, so a rollback that is asked for
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
    """
    if not reason.strip():
        raise RecganError('a rollback needs a reason for the record; give --reason "…"')
    client = connect(root)
    with critical_section(root, name):
        champion, previous = current(client, name), current(client, name, PREVIOUS)
        if champion is None:
            raise RecganError(f"{name} has no champion, so there is nothing to roll back")
        # Equal where a promotion or a rollback was killed between its two aliases.
        if previous is None or previous.version == champion.version:
            raise RecganError(_nothing_before(name, champion))
        error = trial(f"models:/{name}/{previous.version}")
        if error is not None:
            raise RecganError(
                f"version {previous.version} of {name} does not answer ({error}), so version "
                f"{champion.version} stays the champion; give the alias `champion` to a version that works "
                "(make ui), or retrain"
            )
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
        client.delete_registered_model_alias(name, PREVIOUS)
    log.info("%s version %s is the champion again; %s is withdrawn", name, done.champion, done.withdrawn)
    return done


def _nothing_before(name: str, champion: ModelVersion) -> str:
    message = f"{name} has no version before its champion (version {champion.version}), so it stays"
    if f"{_RESTORED}.when" in champion.tags:
        of = champion.tags.get(f"{_RESTORED}.instead_of")
        message += (
            f"; it came back in place of version {of} at {champion.tags[f'{_RESTORED}.when']}, by "
            f"{champion.tags.get(f'{_RESTORED}.by')}: {champion.tags.get(f'{_RESTORED}.reason')}"
        )
    return f"{message}; `previous` comes with the next promotion: make run"


def _record(client: MlflowClient, done: Rollback) -> None:
    common = {"when": done.when.isoformat(timespec="seconds"), "by": done.by, "reason": done.reason}
    for key, value in {**common, "for": done.champion}.items():
        client.set_model_version_tag(done.name, done.withdrawn, f"{_WITHDRAWN}.{key}", value)
    for key, value in {**common, "instead_of": done.withdrawn}.items():
        client.set_model_version_tag(done.name, done.champion, f"{_RESTORED}.{key}", value)
    # Withdrawn once, made champion by hand, and now what one falls back to.
    for key in client.get_model_version(done.name, done.champion).tags:
        if key.startswith(f"{_WITHDRAWN}."):
            client.delete_model_version_tag(done.name, done.champion, key)


def withdrawal(version: ModelVersion) -> str | None:
    """Say when, by whom and why a version was withdrawn; None where it was not."""
    tags = version.tags
    if f"{_WITHDRAWN}.when" not in tags:
        return None
    return (
        f"Version {version.version} was withdrawn at {tags[f'{_WITHDRAWN}.when']} "
        f"by {tags.get(f'{_WITHDRAWN}.by')}: {tags.get(f'{_WITHDRAWN}.reason')}"
    )


def this_user() -> str:
    """Name the user and the machine."""
    user = "unknown"
    with suppress(OSError, KeyError):  # a container's user id without a name
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"
