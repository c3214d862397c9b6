"""The grid of ItemKNN."""

from collections.abc import Iterator

from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative, Share
from recgan.recommenders.settings import BaselineGrid, neighbours_need

# --- baselines, train, evaluate -------------------------------------------------------------------------


class ItemKNNGrid(BaselineGrid):
    """ItemKNN (cosine, shrunk)."""

    neighbours: tuple[Count, ...]
    shrink: tuple[NonNegative, ...]
    asymmetry: tuple[Share, ...]
    """How much of the cosine's norm is the source item's; 0.5 is the plain cosine."""

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the kept neighbours take."""
        yield neighbours_need("baselines.itemknn", self.neighbours, n_items)
