"""The grid of popularity."""

from recgan.core.sections import Positive
from recgan.recommenders.settings import BaselineGrid


class PopularityGrid(BaselineGrid):
    """Popularity, of all time or of late."""

    half_life_days: tuple[Positive | None, ...]
    """Days after which a user counts half; null counts all alike. Only null remains unless every event has a
    timestamp."""
