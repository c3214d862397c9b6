"""The grid of RP3beta."""

from collections.abc import Iterator
from typing import Literal

from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative
from recgan.recommenders.settings import ClassicalGrid, HalfLives, neighbours_need


class RP3betaGrid(ClassicalGrid):
    """RP3beta (Paudel et al. 2017)."""

    recommender: Literal["rp3beta"]
    neighbours: tuple[Count, ...]
    """Most similar items that each item keeps."""
    alpha: tuple[NonNegative, ...]
    """Power of each step's probability on the walk from item to user to item."""
    beta: tuple[NonNegative, ...]
    """Power of an item's popularity by which its score is divided."""
    half_life_days: HalfLives
    """Days after which an event of a history counts half when it is scored; null weighs none."""

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the kept neighbours take."""
        yield neighbours_need("rp3beta", self.neighbours, n_items)
