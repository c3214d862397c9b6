"""Moving the alias `champion` in steps that a later call finishes where a kill came between them.

MLflow has no transaction over aliases. So a version that becomes the champion first says, by a tag, whom it
follows. The next one to enter the critical section reads that tag and completes what is missing.
"""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.registry.tracking import CHALLENGER, CHAMPION, PREVIOUS, current

WITHDRAWN, RESTORED = "withdrawn", "restored"  # prefixes of a version's tags
FOLLOWS = "promotion.follows"
"""Tag of a version whose promotion has begun and not ended: the champion before."""


def crown(client: MlflowClient, name: str, version: str, before: str | None) -> None:
    """Make a version the champion and the champion before `previous`; call it in the critical section.

    Args:
        client: of the tracking store.
        name: of the registered model.
        version: of it.
        before: the champion until now; None where there is none.
    """
    client.set_model_version_tag(name, version, FOLLOWS, before or "none")
    client.set_registered_model_alias(name, CHAMPION, version)
    mend(client, name)


def mend(client: MlflowClient, name: str) -> ModelVersion | None:
    """Finish a promotion or a rollback that was killed on its way; call it first in the critical section.

    Returns:
        The champion; None where there is none.
    """
    champion = current(client, name)
    if champion is None:
        return None
    follows = champion.tags.get(FOLLOWS)
    if follows is not None:
        _forgive(client, champion)
        if follows not in ("none", str(champion.version)):
            client.set_registered_model_alias(name, PREVIOUS, follows)
    challenger = current(client, name, CHALLENGER)
    if challenger is not None and challenger.version == champion.version:
        client.delete_registered_model_alias(name, CHALLENGER)
    previous = current(client, name, PREVIOUS)
    if previous is not None and previous.version == champion.version:  # a rollback was killed before its end
        _forgive(client, champion)
        client.delete_registered_model_alias(name, PREVIOUS)
    if follows is not None:
        client.delete_model_version_tag(name, champion.version, FOLLOWS)
    return champion


def _forgive(client: MlflowClient, champion: ModelVersion) -> None:
    """Drop the tags of a version that was withdrawn once and is the champion again."""
    for key in champion.tags:
        if key.startswith(f"{WITHDRAWN}."):
            client.delete_model_version_tag(champion.name, champion.version, key)
