"""Nearly the best items without scoring all of them, where a score is a product of two vectors."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders.feature_gan.nearest import ApproximateIndex, faiss_is_there
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.widened import Widened

NO_FAISS = (
    "recommend.index_loss asks for an approximate index, but faiss is not installed; pip install "
    "'recgan[faiss]', or set it to null"
)


NO_VECTORS = (
    "recommend.index_loss asks for an approximate index, but {} has no vectors of items to make one of; "
    "RC-GAN, iALS and the sequence model have: promote one of them, or set it to null"
)


_OF = 32
"""One in so many cells of the index is searched; with one in eight it was hardly cheaper than all scores."""


@runtime_checkable
class Factored(Recommender, Protocol):
    """A recommender whose scores are the products of a history's vector and the items' vectors."""

    def vectors(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return a vector of each history that is not empty, (rows, width); the arguments of `score`."""
        ...

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the vector of each item, (items, width)."""
        ...


class Approximate:
    """Ranks by an index of the items' vectors, which misses a few of the best."""

    def __init__(self, recommender: Recommender) -> None:
        """Build the index.

        Raises:
            RecganError: the recommender has no vectors, or faiss is not installed.
        """
        inner = recommender.recommender if isinstance(recommender, Widened) else recommender
        if not isinstance(inner, Factored) or not isinstance(recommender, Factored):
            raise RecganError(NO_VECTORS.format(type(inner).__name__))
        if not faiss_is_there():
            raise RecganError(NO_FAISS)
        self.recommender = recommender
        self._index = ApproximateIndex(np.ascontiguousarray(recommender.item_vectors()), _OF)

    def recommend(
        self, user_items: csr_array, k: int, exclude_seen: bool = True, ages: csr_array | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rank nearly the k best items of each row; arguments and result are those of `protocol.recommend`.

        As many more are asked for as the row has seen. A row without history, and one of which the index
        finds too few items, is ranked exactly.
        """
        k = min(k, user_items.shape[1])
        ids, best = (
            np.full((user_items.shape[0], k), -1, dtype=np.int32),
            np.full((user_items.shape[0], k), -np.inf, dtype=np.float32),
        )
        lengths = np.diff(user_items.indptr)
        for width in np.unique(_power_above(lengths[lengths > 0])):  # so that few rows ask for too many
            rows = np.flatnonzero((lengths > 0) & (_power_above(lengths) == width))
            part = csr_array(user_items[rows])
            vectors = self.recommender.vectors(part, None if ages is None else csr_array(ages[rows]))
            wanted = min(k + int(width) * exclude_seen, user_items.shape[1])
            found, scores = self._index.search(vectors, wanted)
            found[~vectors.any(axis=1)] = -1  # nothing is near to nowhere
            if exclude_seen:
                found = np.where(_seen(found, part), np.int32(-1), found)
            order = np.argsort(found < 0, axis=1, kind="stable")[:, :k]  # what is there keeps its order
            ids[rows] = np.take_along_axis(found, order, axis=1)
            best[rows] = np.where(ids[rows] < 0, -np.inf, np.take_along_axis(scores, order, axis=1))
        short = np.flatnonzero((ids < 0).any(axis=1))
        if len(short):
            since = None if ages is None else csr_array(ages[short])
            ids[short], best[short] = recommend(
                self.recommender, csr_array(user_items[short]), k, exclude_seen, ages=since
            )
        return ids, best


def _power_above(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    return 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)


def _seen(found: NDArray[np.int32], histories: csr_array) -> NDArray[np.bool_]:
    """Tell which of each row's positions stand in its history."""
    n_rows, n_items = histories.shape
    rows = np.repeat(np.arange(n_rows, dtype=np.int64), np.diff(histories.indptr))
    return np.isin(
        np.arange(n_rows, dtype=np.int64)[:, None] * n_items + found, rows * n_items + histories.indices
    )
