"""The grid of ItemKNN."""

from collections.abc import Iterator
from typing import Literal

from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative, Share
from recgan.recommenders.settings import ClassicalGrid, HalfLives, neighbours_need


class ItemKNNGrid(ClassicalGrid):
    """ItemKNN (cosine, shrunk)."""

    recommender: Literal["itemknn"]
    neighbours: tuple[Count, ...]
    """Most similar items that each item keeps."""
    shrink: tuple[NonNegative, ...]
    """Added to the cosine's denominator: similarities that few users speak for become small."""
    asymmetry: tuple[Share, ...]
    """How much of the cosine's norm is the source item's; 0.5 is the plain cosine."""
    half_life_days: HalfLives
    """Days after which an event of a history counts half when it is scored; null weighs none."""

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the kept neighbours take."""
        yield neighbours_need("itemknn", self.neighbours, n_items)
