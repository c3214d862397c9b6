"""Sparse EASE: the linear item-item recommender with few weights for each item."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from threadpoolctl import threadpool_limits

from recgan.core.errors import RecganError
from recgan.recommenders.fallback import empty_by_popularity, shares_of_users
from recgan.recommenders.neighbours import Neighbours, nearest_by_cosine
from recgan.recommenders.sparse_ease.settings import SYSTEM_CELLS
from recgan.recommenders.weights import ItemWeights, dense_where_it_pays

_SOLVED_CELLS = 1_000_000  # of the systems solved at a time


class SparseEASE(ItemWeights):
    """EASE (Steck 2019) with weights from the k items nearest to each by cosine, and none from all others.

    B's column j minimises EASE's own loss ‖x_j − X b‖² + l2 ‖b‖² over the b that are 0 outside S, those k
    items: (G_SS + l2 I) b_S = G_Sj with G = XᵀX. Where S is all others, B is EASE's. Least squares on a given
    pattern is what a sparse approximate inverse is by Grote & Huckle (1997); SANSA (Spišák et al. 2023)
    approximates the same inverse by a sparse factorisation.
    """

    def __init__(self, l2: float, density: float, half_life_days: float | None = None) -> None:
        self.l2 = l2
        self.density = density
        self.half_life_days = half_life_days

    def fit(
        self, user_items: csr_array, found: Neighbours | None = None, gram: csr_array | None = None
    ) -> Self:
        """Solve for each item's weights.

        Args:
            user_items: (users, items), confidences.
            found: the items nearest to each by cosine, at least as many as the density keeps.
            gram: `sparse_gram` of the same matrix.

        Raises:
            RecganError: l2 is too small for items that the same users have.
        """
        n_items = user_items.shape[1]
        kept = kept_for_each(self.density, n_items)
        if gram is None:
            gram = sparse_gram(user_items)
        if found is None:
            found = nearest_by_cosine(user_items, kept)
        weights = np.empty((n_items, kept), dtype=np.float32)
        sources = np.empty((n_items, kept), dtype=np.int32)
        size = max(1, SYSTEM_CELLS // kept**2)
        with threadpool_limits(1, "blas"):  # for systems this small threads wait longer than they work
            for start in range(0, n_items, size):
                targets = np.arange(start, min(start + size, n_items), dtype=np.int32)
                sources[targets], known = _sources(found, targets, kept)
                weights[targets] = self._solve(gram, targets, sources[targets], known)
        self._weights = dense_where_it_pays(Neighbours(sources, weights).weights(kept))
        self._popularity = shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return empty_by_popularity(self._product(user_items, ages), user_items, self._popularity)

    def _solve(
        self,
        gram: csr_array,
        targets: NDArray[np.int32],
        sources: NDArray[np.int32],
        known: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Return the weights (targets, kept) of the known sources, 0 of the others."""
        kept = sources.shape[1]
        systems = np.zeros((len(targets), kept, kept), dtype=np.float32)  # as the Gram matrix is
        wanted = np.zeros(sources.shape)
        row = np.zeros(gram.shape[0], dtype=np.float32)
        # One row of the Gram matrix at a time, laid out, for all systems in which it is: looking entries up
        # one by one takes ten times as long.
        order = np.argsort(sources, axis=None, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(sources.ravel()[order])) + 1):
            source = sources.flat[places[0]]
            there = slice(gram.indptr[source], gram.indptr[source + 1])
            row[gram.indices[there]] = gram.data[there]
            systems_with, at = np.divmod(places, kept)
            systems[systems_with, at] = row[sources[systems_with]]
            wanted[systems_with, at] = row[targets[systems_with]]
            row[gram.indices[there]] = 0
        wanted *= known
        size = max(1, _SOLVED_CELLS // kept**2)
        for start in range(0, len(targets), size):
            some = slice(start, start + size)
            pairs = known[some, :, None] & known[some, None, :]
            exact = np.where(pairs, systems[some], 0).astype(np.float64)
            exact[:, np.arange(kept), np.arange(kept)] += self.l2
            try:
                wanted[some] = np.linalg.solve(exact, wanted[some, :, None])[:, :, 0]
            except np.linalg.LinAlgError:
                raise RecganError(f"sparse EASE cannot be solved with l2 {self.l2}; raise it") from None
        return wanted


def kept_for_each(density: float, n_items: int) -> int:
    """Return how many weights a density keeps for each item: at least one, at most all others."""
    return max(min(round(density * n_items), n_items - 1), 1)


def sparse_gram(user_items: csr_array) -> csr_array:
    """Return XᵀX, (items, items)."""
    return csr_array(csc_array(user_items).T @ user_items)


def _sources(
    found: Neighbours, targets: NDArray[np.int32], kept: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the sources of some targets (targets, kept), and which of them there really are."""
    n_items = len(found.positions)
    if kept >= n_items - 1:  # all others, also those that never occur with the target
        others = np.tile(np.arange(max(n_items - 1, 1), dtype=np.int32), (len(targets), 1))
        others = np.minimum(others + (others >= targets[:, None]), n_items - 1)
        return others, np.full(others.shape, n_items > 1)
    return found.positions[targets, :kept], found.strengths[targets, :kept] > 0


def fitted(
    grid: Mapping[str, Sequence[float]],
    user_items: csr_array,
    seed: int,
    times: NDArray[np.float32] | None = None,
) -> Iterator[tuple[dict[str, float], SparseEASE]]:
    """Fit with each setting of a grid, in the grid's order; one search and one Gram matrix serve all."""
    most = kept_for_each(max(grid["density"], default=0), user_items.shape[1])
    found, gram = nearest_by_cosine(user_items, most), sparse_gram(user_items)
    for l2, density in product(grid["l2"], grid["density"]):
        yield {"l2": l2, "density": density}, SparseEASE(l2, density).fit(user_items, found, gram)
