"""iALS: matrix factorisation of implicit feedback."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import product
from typing import Any, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.linalg.lapack import sposv
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import ThreadpoolController

from recgan.core.errors import RecganError
from recgan.recommenders.ages import aged
from recgan.recommenders.fallback import empty_by_popularity, shares_of_users
from recgan.recommenders.protocol import Best, top_k
from recgan.recommenders.weights import popularity_from_arrays

_FIRST = 2048  # items looked at before it is known how many need to be
_ROUNDING = 1e-5  # of a product of factors, relative
_TINY = np.finfo(np.float32).tiny
_SMALL = 1_000_000  # entries below which iALS's threads wait for each other longer than they work


class IALS:
    """Matrix factorisation of implicit feedback (Hu, Koren & Volinsky 2008), as `implicit` computes it.

    A row's factors are solved anew from its history and the item factors, so any history can be scored. What
    is old in it may weigh less in that solution.
    """

    def __init__(
        self,
        factors: int,
        regularization: float,
        alpha: float,
        iterations: int,
        seed: int,
        half_life_days: float | None = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.seed = seed
        self.half_life_days = half_life_days
        self._sorted: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]] | None = None
        """What `_by_length` returns, once it is asked for."""

    def fit(self, user_items: csr_array) -> Self:
        """Alternate between user and item factors."""
        with _one_thread():  # implicit has threads of its own; BLAS threads slow it tenfold
            self._als = self._implicit()
            self._als.num_threads = _threads(user_items)
            self._als.fit(_for_implicit(user_items), show_progress=False)
        self._popularity = shares_of_users(user_items)
        self._prepare()
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items), weighed by age where there is a half life.

        Raises:
            RecganError: the factors of a row cannot be solved for.
        """
        scores: NDArray[np.float32] = self.vectors(user_items, ages) @ self._als.item_factors.T
        return empty_by_popularity(scores, user_items, self._popularity)

    def best(self, user_items: csr_array, ages: csr_array | None, n: int) -> Best:
        """Return the n best items of one history; see `OneAtATime`.

        As |x·y| ≤ |x||y|, no item beyond a length can reach the n-th best of those before it, where the items
        stand by the length of their factors (Teflioudi, Gemulla & Mykytiuk 2015).

        Raises:
            RecganError: the factors of the row cannot be solved for.
        """
        n = min(n, len(self._popularity))
        if not user_items.nnz:
            ids, scores = top_k(self._popularity[None], n)
            return ids[0], scores[0]
        order, shortness, factors = self._by_length()
        x = self.vectors(user_items, ages)[0]
        some = max(_FIRST, 4 * n)
        scores = factors[:some] @ x
        enough = np.partition(scores, len(scores) - n)[len(scores) - n]
        least = np.float32(enough / max(np.linalg.norm(x), _TINY) * (1 - _ROUNDING))
        stop = int(shortness.searchsorted(-least, side="right"))
        if stop > some:
            scores = np.concatenate([scores, factors[some:stop] @ x])
        found = np.flatnonzero(scores >= enough)
        ids, scores = order[found], scores[found]
        first = np.lexsort((ids, -scores))[:n]  # ties go to the lower position
        return ids[first], scores[first]

    def _by_length(self) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the items from the longest factors down; in that order minus the lengths, the factors."""
        if self._sorted is None:
            factors = self._als.item_factors
            lengths = np.linalg.norm(factors, axis=1)
            order = np.argsort(-lengths, kind="stable").astype(np.int32)
            self._sorted = order, -lengths[order], factors[order]
        return self._sorted

    def vectors(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return the factors of each row, (rows, factors); arguments and errors are those of `score`."""
        weighed = aged(user_items, ages, self.half_life_days)
        try:
            return self._of_one(weighed) if weighed.shape[0] == 1 else self._of_many(weighed)
        except ValueError as error:
            raise RecganError(
                f"iALS cannot be solved with regularization {self.regularization} ({error}); raise it"
            ) from None

    def _of_many(self, user_items: csr_array) -> NDArray[np.float32]:
        with _one_thread():
            self._als.num_threads = _threads(user_items)
            factors: NDArray[np.float32] = self._als.recalculate_user(
                np.arange(user_items.shape[0]), _for_implicit(user_items)
            )
        return factors

    def _of_one(self, user_items: csr_array) -> NDArray[np.float32]:
        """Solve (YᵀY + λI + Yᵤᵀ(C − I)Yᵤ) x = YᵤᵀC for the factors of one row (Hu, Koren & Volinsky 2008).

        `implicit` gives the same, but its matrices and threads take several times as long as this.
        """
        Y = self._als.item_factors[user_items.indices]  # (entries, factors)
        confidences = np.float32(self.alpha) * user_items.data
        A = self._normal + (Y.T * (confidences - 1)) @ Y
        _, x, fault = sposv(A, confidences @ Y, overwrite_a=True, overwrite_b=True)
        if fault:
            raise ValueError(f"the leading minor {fault} of the normal equations is not positive")
        found: NDArray[np.float32] = x.reshape(1, -1)
        return found

    def _prepare(self) -> None:
        """Keep what the equations of all rows share, YᵀY + λI."""
        self._sorted = None
        gram = self._als.YtY
        self._normal = gram + np.float32(self.regularization) * np.eye(len(gram), dtype=np.float32)

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the items' factors, (items, factors)."""
        found: NDArray[np.float32] = self._als.item_factors
        return found

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all that scoring needs beside the settings."""
        return {"item_factors": self._als.item_factors, "popularity": self._popularity}

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Put together what `arrays` returned; scores are the same to the bit.

        Raises:
            KeyError: a setting or an array is missing.
            ValueError: the arrays' sizes disagree.
        """
        recommender = cls(
            int(settings["factors"]),
            settings["regularization"],
            settings["alpha"],
            int(settings["iterations"]),
            seed=0,  # of the first factors, which scoring does not need
            half_life_days=settings.get("half_life_days"),
        )
        recommender._popularity = popularity_from_arrays(arrays)
        factors, n_items = arrays["item_factors"], len(recommender._popularity)
        if factors.shape != (n_items, recommender.factors):
            raise ValueError(
                f"the item factors are {factors.shape}, but there are {n_items} items with "
                f"{recommender.factors} factors each"
            )
        recommender._als = recommender._implicit()
        recommender._als.item_factors = factors
        recommender._prepare()
        return recommender

    def _implicit(self) -> AlternatingLeastSquares:
        with _one_thread():  # or implicit warns of more
            return AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
            )


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks for BLAS in all that is loaded: ten times longer than a row takes


def _one_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to one thread."""
    found: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return found


def _threads(user_items: csr_array) -> int:
    return 1 if user_items.nnz < _SMALL else 0  # 0: all


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


def fitted(
    grid: Mapping[str, Sequence[float]],
    user_items: csr_array,
    seed: int,
    times: NDArray[np.float32] | None = None,
) -> Iterator[tuple[dict[str, float], IALS]]:
    """Fit with each setting of a grid, in the grid's order; the seed is that of the first factors."""
    names = ("factors", "regularization", "alpha", "iterations")
    for factors, regularization, alpha, iterations in product(*(grid[setting] for setting in names)):
        settings = dict(zip(names, (factors, regularization, alpha, iterations), strict=True))
        yield settings, IALS(int(factors), regularization, alpha, int(iterations), seed).fit(user_items)
