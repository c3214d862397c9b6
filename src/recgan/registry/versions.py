"""Which version is the champion, and which one challenges it."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError
from recgan.registry.outage import outside
from recgan.registry.promotion import DECISION, REASONS
from recgan.registry.rollback import withdrawal
from recgan.registry.tracking import CHALLENGER, connect, current

EDITED = "package.edited"
"""Tag of a version whose package is no longer as it was registered: the instant."""


class VersionId(NamedTuple):
    """Which version it is: a registry that was made anew or restored may give its number again."""

    version: str
    run_id: str
    edited: str = ""
    """When its package was changed since it was registered, as `recgan forget` does."""


@dataclass(frozen=True)
class Challenger:
    """The version registered last that is not the champion, and what its tags say became of it."""

    identity: VersionId
    decision: str | None
    """`promote` or `refuse`; None before the gate has judged it."""
    reasons: tuple[str, ...]
    """Each begins with ✓, ✗ or ·."""

    @property
    def version(self) -> str:
        """Its number in the registered model."""
        return self.identity.version


def identify(version: ModelVersion) -> VersionId:
    """Return what tells a version from any other."""
    return VersionId(str(version.version), str(version.run_id), version.tags.get(EDITED, ""))


def the_champion(client: MlflowClient, name: str) -> ModelVersion:
    """Return the champion.

    Raises:
        RecganError: there is none.
    """
    version = current(client, name)
    if version is None:
        raise RecganError(no_champion(client, name))
    return version


def no_champion(client: MlflowClient, name: str) -> str:
    """Say that there is no champion, and what to do: about a version that was refused, or without any."""
    refused = current(client, name, CHALLENGER)
    if refused is None:
        return f"{name} has no champion yet; a version becomes one by passing the gate: make run"
    return (
        f"{name} has no champion yet: version {refused.version} has not passed the gate (make ui shows its "
        "reasons, the tags of the version). Make it live in spite of that: make promote "
        f'VERSION={refused.version} REASON="…"; or train on other data or settings: make run'
    )


@outside()
def champion_version(root: Path, name: str) -> VersionId | None:
    """Return which version is the champion now, or None.

    Raises:
        Unavailable: the store does not answer.
    """
    version = current(connect(root), name)
    return None if version is None else identify(version)


@outside()
def edited(root: Path, name: str, version: str) -> str:
    """Say when a version's package was changed since it was registered; "" where it was not, or is gone.

    Raises:
        Unavailable: the store does not answer.
    """
    try:
        found = connect(root).get_model_version(name, version)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return ""
        raise
    return str(found.tags.get(EDITED, ""))


@outside()
def why_none(root: Path, name: str) -> str:
    """Say why there is no champion, and what to do.

    Raises:
        Unavailable: the store does not answer.
    """
    return no_champion(connect(root), name)


@outside()
def challenger(root: Path, name: str) -> Challenger | None:
    """Return the version with the alias `challenger`; None where nothing challenges the champion.

    Registering gives the alias and becoming the champion takes it, so a version that the gate refused keeps
    it until the next one comes.

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
        identify(version),
        tags.get(DECISION) if withdrawn is None else "refuse",
        tuple(reason for reason in reasons if reason),
    )
