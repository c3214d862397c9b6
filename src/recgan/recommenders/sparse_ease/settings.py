"""The grid of sparse EASE."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recgan.core.memory import Need
from recgan.core.sections import Positive
from recgan.recommenders.settings import FEWER_ITEMS, KEPT_ENTRY, ClassicalGrid, HalfLives

SYSTEM_CELLS = 80_000_000
"""Entries of the systems put together at a time: the more, the fewer rows of the Gram matrix are laid out
again."""


class SparseEASEGrid(ClassicalGrid):
    """EASE with few weights for each item, for catalogues that are too large for EASE."""

    recommender: Literal["sparse_ease"]
    l2: tuple[Positive, ...]
    """Ridge λ: the larger, the smaller the weights between items."""
    density: tuple[Annotated[float, Field(gt=0, le=1)], ...]
    """Share of all pairs of items that get a weight: of 40,000 items .0025 keeps 100 weights for each. Time
    grows with its square, and from some hundred weights on with its cube. 1 is EASE, which is faster."""
    half_life_days: HalfLives
    """Days after which an event of a history counts half when it is scored; null weighs none."""

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the kept weights take, and the systems that are solved for them."""
        each = round(max(self.density, default=0) * n_items)
        kept = each * n_items
        systems = min(each**2 * n_items, max(SYSTEM_CELLS, each**2))
        yield Need(
            "sparse_ease",
            KEPT_ENTRY * kept + 4 * systems,
            f"{kept:,} weights of {n_items:,} x {n_items:,} items",
            f"lower its density, or {FEWER_ITEMS}",
        )
