"""The grid of EASE."""

from collections.abc import Iterator

from recgan.core.memory import Need
from recgan.core.sections import Positive
from recgan.recommenders.settings import FEWER_ITEMS, BaselineGrid

PAIR = 18
"""Bytes for each pair of items: the Gram matrix with its inverse, and the weights of two settings."""


class EASEGrid(BaselineGrid):
    """EASE (Steck 2019). It takes 4 GiB of memory for 15,000 items, 28 GiB for 41,000."""

    l2: tuple[Positive, ...]

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the dense matrices take."""
        yield Need(
            "baselines.ease",
            PAIR * n_items**2,
            f"dense matrices of {n_items:,} x {n_items:,} items",
            f"{FEWER_ITEMS}, or set baselines.ease to null to do without it",
        )
