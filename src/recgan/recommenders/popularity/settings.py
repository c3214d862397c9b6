"""The grid of popularity."""

from typing import Literal

from recgan.core.sections import Positive
from recgan.recommenders.settings import ClassicalGrid


class PopularityGrid(ClassicalGrid):
    """Popularity, of all time or of late: the same list for everybody."""

    recommender: Literal["popularity"]
    half_life_days: tuple[Positive | None, ...]
    """Days after which a user counts half; null counts all alike. Only null remains unless every event has a
    timestamp."""
