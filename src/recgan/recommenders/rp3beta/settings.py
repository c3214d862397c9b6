"""The grid of RP3beta."""

from collections.abc import Iterator

from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative
from recgan.recommenders.settings import BaselineGrid, neighbours_need


class RP3betaGrid(BaselineGrid):
    """RP3beta (Paudel et al. 2017)."""

    neighbours: tuple[Count, ...]
    alpha: tuple[NonNegative, ...]
    beta: tuple[NonNegative, ...]

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what the kept neighbours take."""
        yield neighbours_need("baselines.rp3beta", self.neighbours, n_items)
