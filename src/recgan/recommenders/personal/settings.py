"""The grid of personal frequency."""

from typing import Literal

from recgan.core.sections import Positive
from recgan.recommenders.settings import ClassicalGrid


class PersonalGrid(ClassicalGrid):
    """Personal frequency with recency: what the shopper had before, for shops where repeats count."""

    recommender: Literal["personal"]
    half_life_days: tuple[Positive | None, ...]
    """Days after which an entry of the history counts half; null goes by confidence alone. Only null remains
    unless every event has a timestamp."""


def personal_faults(name: str, repeat_purchases: bool) -> list[str]:
    """Say that a candidate which recommends what was bought before is out of place where that is left out.

    Args:
        name: the candidate's, in `candidates`.
        repeat_purchases: of the features.
    """
    if repeat_purchases:
        return []
    return [
        f"candidates.{name} recommends what a shopper had before, but features.repeat_purchases is false, so "
        f"that is left out of every list; remove candidates.{name}, or set features.repeat_purchases to true"
    ]
