"""The grid of EASE."""

from collections.abc import Iterator
from typing import Literal

from recgan.core.memory import Need
from recgan.core.sections import Positive
from recgan.recommenders.settings import FEWER_ITEMS, ClassicalGrid, HalfLives

PAIR = 18
"""Bytes for each pair of items: the Gram matrix with its inverse, and the weights of two settings."""


class EASEGrid(ClassicalGrid):
    """EASE (Steck 2019). It takes 4 GiB of memory for 15,000 items, 28 GiB for 41,000."""

    recommender: Literal["ease"]
    l2: tuple[Positive, ...]
    """Ridge λ: the larger, the smaller the weights between items."""
    half_life_days: HalfLives
    """Days after which an event of a history counts half when it is scored; null weighs none."""

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the dense matrices take."""
        yield Need(
            "ease",
            PAIR * n_items**2,
            f"dense matrices of {n_items:,} x {n_items:,} items",
            FEWER_ITEMS,
        )
