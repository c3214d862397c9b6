"""What tells tonight's retraining of a recommender from another recommender or other settings."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

_PLACE = frozenset({"accelerator", "devices", "num_nodes", "strategy"})
"""Where a training runs."""
_BEGINNING = frozenset({"warm_start"})
"""Where its weights begin: from the champion's it is a retraining like any other."""
_WORDS = frozenset({"alarms", "blend"})
"""What a training says of itself, and what is fitted beside it to compare with."""


def settings_key(candidate: BaseModel, features: BaseModel) -> str:
    """Return the sha256 of the settings that decide what a recommender learns, from which kind of matrices.

    Left out is what changes no result, such as the trainer's devices and the alarms, and how it begins, also
    in a section inside. Of the features the split is left out: what it holds out is judged apart
    (recgan.features.unfair).

    Args:
        candidate: the recommender's own section of params.yaml, its kind among it.
        features: the section `features`.
    """
    settings = [
        _deciding(candidate.model_dump(mode="json")),
        features.model_dump(mode="json", exclude={"split"}),
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _deciding(section: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _deciding(value) if isinstance(value, dict) else value
        for name, value in section.items()
        if name not in _PLACE | _BEGINNING | _WORDS
    }
