"""ItemKNN: the items most like those of the history."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.fallback import shares_of_users, unreached_by_popularity
from recgan.recommenders.neighbours import Neighbours, nearest_by_cosine
from recgan.recommenders.weights import ItemWeights, dense_where_it_pays


class ItemKNN(ItemWeights):
    """Cosine between items, shrunk (Sarwar et al. 2001) and asymmetric (Aiolli 2013).

    Each target keeps its best sources only (`nearest_by_cosine` has the formula).
    """

    def __init__(
        self, neighbours: int, shrink: float, asymmetry: float = 0.5, half_life_days: float | None = None
    ) -> None:
        self.neighbours = neighbours
        self.shrink = shrink
        self.asymmetry = asymmetry
        self.half_life_days = half_life_days

    def nearest(self, user_items: csr_array, n: int) -> Neighbours:
        """Find the n best sources of each target; one call serves all smaller numbers of neighbours."""
        return nearest_by_cosine(user_items, n, self.shrink, self.asymmetry)

    def fit(self, user_items: csr_array, found: Neighbours | None = None) -> Self:
        """Keep each item's best neighbours.

        Args:
            user_items: (users, items), confidences.
            found: what `nearest` returned for the same matrix, shrink and asymmetry, with at least as many.
        """
        if found is None:
            found = self.nearest(user_items, self.neighbours)
        self._weights = dense_where_it_pays(found.weights(self.neighbours))
        self._popularity = shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return unreached_by_popularity(self._product(user_items, ages), self._popularity)


def fitted(
    grid: Mapping[str, Sequence[float]],
    user_items: csr_array,
    seed: int,
    times: NDArray[np.float32] | None = None,
) -> Iterator[tuple[dict[str, float], ItemKNN]]:
    """Fit with each setting of a grid, in the grid's order; one search serves all numbers of neighbours."""
    most = int(max(grid["neighbours"]))
    for shrink, asymmetry in product(grid["shrink"], grid["asymmetry"]):
        found = ItemKNN(most, shrink, asymmetry).nearest(user_items, most)
        for n in map(int, grid["neighbours"]):
            settings = {"neighbours": n, "shrink": shrink, "asymmetry": asymmetry}
            yield settings, ItemKNN(n, shrink, asymmetry).fit(user_items, found)
