"""RP3beta: a random walk of three steps."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from recgan.recommenders.fallback import shares_of_users, unreached_by_popularity
from recgan.recommenders.neighbours import Neighbours, find_nearest
from recgan.recommenders.weights import ItemWeights, dense_where_it_pays


class RP3beta(ItemWeights):
    """Random walk of three steps, popular targets divided down (Paudel et al. 2017).

    w(i, j) = Σ_u (p_iu · p_uj)^alpha / popularity_j^beta with the transition probabilities
    p_iu = x_ui / Σ_u x_ui and p_uj = x_uj / Σ_j x_uj. Each item i keeps its best targets only.
    """

    def __init__(
        self, neighbours: int, alpha: float, beta: float, half_life_days: float | None = None
    ) -> None:
        self.neighbours = neighbours
        self.alpha = alpha
        self.beta = beta
        self.half_life_days = half_life_days

    def nearest(self, user_items: csr_array, n: int) -> Neighbours:
        """Find the n best sources of each target; the same for every beta, which divides whole targets."""
        to_items = _transitions(user_items, self.alpha).tocsc()  # (users, items)
        from_items = _transitions(csr_array(user_items.T), self.alpha).T.tocsr()  # (users, items)

        def walks(start: int, stop: int) -> csr_array:
            return csr_array(to_items[:, start:stop].T @ from_items)  # (targets of the block, sources)

        return find_nearest(walks, user_items.shape[1], n)

    def fit(self, user_items: csr_array, found: Neighbours | None = None) -> Self:
        """Keep each item's best sources.

        Args:
            user_items: (users, items), confidences.
            found: what `nearest` returned for the same matrix and alpha, with at least as many neighbours.
        """
        if found is None:
            found = self.nearest(user_items, self.neighbours)
        n_users_of_item = np.maximum(np.asarray(user_items.sum(axis=0), dtype=np.float32), 1e-9)
        weights = csr_array(found.weights(self.neighbours) @ diags_array(n_users_of_item**-self.beta))
        self._weights = dense_where_it_pays(weights.astype(np.float32))
        self._popularity = shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return unreached_by_popularity(self._product(user_items, ages), self._popularity)


def _transitions(matrix: csr_array, alpha: float) -> csr_array:
    """Divide each row by its sum and raise what is left to alpha; an empty row stays empty."""
    sums = np.asarray(matrix.sum(axis=1), dtype=np.float32)
    shares = csr_array(diags_array(1 / np.maximum(sums, np.float32(1e-9))) @ matrix, dtype=np.float32)
    shares.data **= alpha
    return shares


def fitted(
    grid: Mapping[str, Sequence[float]],
    user_items: csr_array,
    seed: int,
    times: NDArray[np.float32] | None = None,
) -> Iterator[tuple[dict[str, float], RP3beta]]:
    """Fit with each setting of a grid, in the grid's order; one search serves all with the same alpha."""
    most = int(max(grid["neighbours"]))
    for alpha in grid["alpha"]:
        found = RP3beta(most, alpha, 0).nearest(user_items, most)
        for n, beta in product(map(int, grid["neighbours"]), grid["beta"]):
            settings = {"neighbours": n, "alpha": alpha, "beta": beta}
            yield settings, RP3beta(n, alpha, beta).fit(user_items, found)
