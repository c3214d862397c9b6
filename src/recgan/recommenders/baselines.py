"""The classical recommenders that every GAN here must beat: each scores any history.

All fall back on popularity where they know nothing: for an empty history, and among the items that no
neighbour reaches. That makes them harder to beat, and their rankings complete.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, diags_array
from threadpoolctl import threadpool_limits

from recgan.core.errors import RecganError
from recgan.recommenders.linear import linear_weights

_BLOCK_CELLS = 20_000_000  # similarities held in memory at a time
_SMALL = 1_000_000  # entries below which iALS's threads wait for each other longer than they work


class Popularity:
    """Rank by the number of users of an item, the same for everyone."""

    def fit(self, user_items: csr_array) -> Self:
        """Count each item's users."""
        self._popularity = _shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return np.tile(self._popularity, (user_items.shape[0], 1))


@dataclass(frozen=True)
class Neighbours:
    """For each item (the target) the items that speak most for it (its sources), best first."""

    positions: NDArray[np.int32]
    """(items, n)"""
    strengths: NDArray[np.float32]
    """(items, n), 0 where there are fewer than n."""

    def weights(self, n: int) -> csr_array:
        """Return the n best of each item as a matrix W (items, items): scores = history @ W."""
        n_items = self.positions.shape[0]
        positions, strengths = self.positions[:, :n], self.strengths[:, :n]
        targets = np.repeat(np.arange(n_items), positions.shape[1])
        weights = csr_array((strengths.ravel(), (positions.ravel(), targets)), shape=(n_items, n_items))
        weights.eliminate_zeros()
        return weights


class ItemKNN:
    """Cosine between items, shrunk (Sarwar et al. 2001) and asymmetric (Aiolli 2013).

    w(i, j) = ⟨x_i, x_j⟩ / (‖x_i‖^2a ‖x_j‖^(2 − 2a) + shrink) from source i to target j, for each target its
    best sources only; an asymmetry a of 0.5 is the plain cosine.
    """

    def __init__(self, neighbours: int, shrink: float, asymmetry: float = 0.5) -> None:
        self.neighbours = neighbours
        self.shrink = shrink
        self.asymmetry = asymmetry

    def nearest(self, user_items: csr_array, n: int) -> Neighbours:
        """Find the n best sources of each target; one call serves all smaller numbers of neighbours."""
        columns = user_items.tocsc()
        squares = np.asarray(columns.power(2).sum(axis=0), dtype=np.float32)  # (items,)
        of_sources, of_targets = squares**self.asymmetry, squares ** (1 - self.asymmetry)

        def similarities(start: int, stop: int) -> NDArray[np.float32]:
            products: NDArray[np.float32] = (
                columns[:, start:stop].T @ user_items
            ).toarray()  # (block, items)
            # The addend keeps an item without users at 0 / tiny, not at 0 / 0.
            products /= of_targets[start:stop, None] * of_sources + np.float32(self.shrink + 1e-9)
            return products

        return _nearest(similarities, user_items.shape[1], n)

    def fit(self, user_items: csr_array, found: Neighbours | None = None) -> Self:
        """Keep each item's best neighbours.

        Args:
            user_items: (users, items), confidences.
            found: what `nearest` returned for the same matrix, shrink and asymmetry, with at least as many.
        """
        if found is None:
            found = self.nearest(user_items, self.neighbours)
        self._weights = _dense_where_it_pays(found.weights(self.neighbours))
        self._popularity = _shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return _unreached_by_popularity(_product(user_items, self._weights), self._popularity)


class RP3beta:
    """Random walk of three steps, popular targets divided down (Paudel et al. 2017).

    w(i, j) = Σ_u (p_iu · p_uj)^alpha / popularity_j^beta with the transition probabilities
    p_iu = x_ui / Σ_u x_ui and p_uj = x_uj / Σ_j x_uj, for each item i its best targets only.
    """

    def __init__(self, neighbours: int, alpha: float, beta: float) -> None:
        self.neighbours = neighbours
        self.alpha = alpha
        self.beta = beta

    def nearest(self, user_items: csr_array, n: int) -> Neighbours:
        """Find the n best sources of each target; the same for every beta, which divides whole targets."""
        to_items = _transitions(user_items, self.alpha).tocsc()  # (users, items)
        from_items = _transitions(csr_array(user_items.T), self.alpha).T.tocsr()  # (users, items)

        def walks(start: int, stop: int) -> NDArray[np.float32]:
            walked: NDArray[np.float32] = (to_items[:, start:stop].T @ from_items).toarray()
            return walked  # (targets of the block, sources)

        return _nearest(walks, user_items.shape[1], n)

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
        self._weights = _dense_where_it_pays(weights.astype(np.float32))
        self._popularity = _shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return _unreached_by_popularity(_product(user_items, self._weights), self._popularity)


class EASE:
    """The linear item-item recommender in closed form (Steck 2019).

    P = (XᵀX + l2·I)⁻¹, B = I − P·diag(1/diag P), so that diag(B) = 0; scores = history @ B.
    Fitting takes 52 bytes for each pair of items at its peak (footprint.py), scoring 4.
    """

    def __init__(self, l2: float) -> None:
        self.l2 = l2

    def fit(self, user_items: csr_array, gram: NDArray[np.float64] | None = None) -> Self:
        """Invert the Gram matrix.

        Args:
            user_items: (users, items), confidences.
            gram: XᵀX of the same matrix, to share it between several l2.
        """
        own = item_gram(user_items) if gram is None else gram.copy()
        failure = f"EASE cannot invert with l2 {self.l2}; raise baselines.ease.l2"
        self._weights = linear_weights(own, self.l2, failure)
        self._popularity = _shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return _empty_by_popularity(_product(user_items, self._weights), user_items, self._popularity)


class IALS:
    """Matrix factorisation of implicit feedback (Hu, Koren & Volinsky 2008), as `implicit` computes it.

    A row's factors are solved anew from its history and the item factors, so any history can be scored.
    """

    def __init__(self, factors: int, regularization: float, alpha: float, iterations: int, seed: int) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.seed = seed

    def fit(self, user_items: csr_array) -> Self:
        """Alternate between user and item factors."""
        with threadpool_limits(1, "blas"):  # implicit has threads of its own; BLAS threads slow it tenfold
            self._als = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                num_threads=1 if user_items.nnz < _SMALL else 0,
            )
            self._als.fit(_for_implicit(user_items), show_progress=False)
        self._popularity = _shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items).

        Raises:
            RecganError: the factors of a row cannot be solved for.
        """
        with threadpool_limits(1, "blas"):
            try:
                factors = self._als.recalculate_user(
                    np.arange(user_items.shape[0]), _for_implicit(user_items)
                )
            except ValueError as error:
                raise RecganError(
                    f"iALS cannot be solved with regularization {self.regularization} ({error}); "
                    "raise baselines.ials.regularization"
                ) from None
        scores: NDArray[np.float32] = factors @ self._als.item_factors.T
        return _empty_by_popularity(scores, user_items, self._popularity)


def item_gram(user_items: csr_array) -> NDArray[np.float64]:
    """Return XᵀX, dense (items, items)."""
    matrix = user_items.astype(np.float64)
    gram: NDArray[np.float64] = (matrix.T @ matrix).toarray()
    return gram


def _nearest(similarities: Callable[[int, int], NDArray[np.float32]], n_items: int, n: int) -> Neighbours:
    """Find each target's n best sources.

    Args:
        similarities: (start, stop) → similarities of those targets to all sources, (block, items).
        n_items: number of targets and of sources.
        n: sources to keep; at most all other items.
    """
    n = min(n, max(n_items - 1, 1))
    positions = np.empty((n_items, n), dtype=np.int32)
    strengths = np.empty((n_items, n), dtype=np.float32)
    block = max(1, _BLOCK_CELLS // n_items)
    for start in range(0, n_items, block):
        stop = min(start + block, n_items)
        rows = np.arange(stop - start)[:, None]
        found = similarities(start, stop)  # (block, items)
        found[rows[:, 0], np.arange(start, stop)] = 0  # no item speaks for itself
        best = np.argpartition(found, -n, axis=1)[:, -n:]
        best = best[rows, np.argsort(-found[rows, best], axis=1, kind="stable")]
        positions[start:stop] = best
        strengths[start:stop] = found[rows, best]
    return Neighbours(positions, strengths)


def _transitions(matrix: csr_array, alpha: float) -> csr_array:
    """Divide each row by its sum and raise what is left to alpha; an empty row stays empty."""
    sums = np.asarray(matrix.sum(axis=1), dtype=np.float32)
    shares = csr_array(diags_array(1 / np.maximum(sums, np.float32(1e-9))) @ matrix, dtype=np.float32)
    shares.data **= alpha
    return shares


def _shares_of_users(user_items: csr_array) -> NDArray[np.float32]:
    """Return the share of users who have each item, (items,)."""
    counts = np.bincount(user_items.indices[user_items.data != 0], minlength=user_items.shape[1])
    return (counts / max(user_items.shape[0], 1)).astype(np.float32)


def _dense_where_it_pays(weights: csr_array) -> csr_array | NDArray[np.float32]:
    """Keep weights sparse unless they are so full that a dense product is the faster one."""
    return weights.toarray() if weights.nnz * 16 > weights.shape[0] * weights.shape[1] else weights


def _product(user_items: csr_array, weights: csr_array | NDArray[np.float32]) -> NDArray[np.float32]:
    scores = user_items.astype(np.float32) @ weights
    dense: NDArray[np.float32] = scores if isinstance(scores, np.ndarray) else scores.toarray()
    return dense


def _unreached_by_popularity(
    scores: NDArray[np.float32], popularity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Order the items with score 0 by popularity, below all others: in [-2, -1]."""
    return np.where(scores > 0, scores, popularity - 2)


def _empty_by_popularity(
    scores: NDArray[np.float32], user_items: csr_array, popularity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give popularity to the rows without history."""
    scores[np.diff(user_items.indptr) == 0] = popularity
    return scores


def _for_implicit(user_items: csr_array) -> csr_matrix:
    """Make the kind of matrix that `implicit` reads without a warning."""
    return csr_matrix(
        (
            user_items.data.astype(np.float32),
            user_items.indices.astype(np.int32),
            user_items.indptr.astype(np.int32),
        ),
        shape=user_items.shape,
    )
