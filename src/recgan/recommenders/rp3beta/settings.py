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
    alpha: tuple[NonNegative, ...]
    beta: tuple[NonNegative, ...]
    half_life_days: HalfLives

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the kept neighbours take."""
        yield neighbours_need("rp3beta", self.neighbours, n_items)
