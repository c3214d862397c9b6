"""The nearest products to some vectors: exact by blocks, or with faiss where there are very many."""

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.recommenders.protocol import top_k

Vectors = NDArray[np.float32]
Positions = NDArray[np.int32]

_ITEMS = 16_384  # a block
_CELLS = 20_000_000  # similarities held in memory at a time
_RANK_OFFSET = 60


def nearest(queries: Vectors, vectors: Vectors, k: int) -> Positions:
    """Return the k products of the largest inner product with each query, best first; ties by position.

    Args:
        queries: (queries, width).
        vectors: (items, width).
        k: at most the number of items.

    Returns:
        (queries, k)
    """
    n_queries, n_items = len(queries), len(vectors)
    found = np.empty((n_queries, k), dtype=np.int32)
    step = max(1, _CELLS // min(n_items, _ITEMS + k))
    for start in range(0, n_queries, step):
        part = queries[start : start + step]
        best = np.empty((len(part), 0), dtype=np.int32)
        values = np.empty((len(part), 0), dtype=np.float32)
        for low in range(0, n_items, _ITEMS):
            block = vectors[low : low + _ITEMS]
            # Earlier blocks stand first, so that of equals the lower position stays.
            values = np.hstack([values, part @ block.T])
            positions = np.arange(low, low + len(block), dtype=np.int32)
            best = np.hstack([best, np.broadcast_to(positions, (len(part), len(block)))])
            places, values = top_k(values, min(k, values.shape[1]))
            best = np.take_along_axis(best, places, axis=1)
        found[start : start + step] = best
    return found


def faiss_is_there() -> bool:
    """Tell whether the extra `faiss` is installed."""
    return importlib.util.find_spec("faiss") is not None


class ApproximateIndex:
    """Find nearly all of the nearest products, in a fraction of the time.

    faiss's inverted file (Jégou et al. 2011; Johnson et al. 2021): the products in 4 √items cells, of which
    the eighth nearest to a query is searched, unless `of` says otherwise.
    """

    def __init__(self, vectors: Vectors, of: int = 8) -> None:
        """Build the index.

        Args:
            vectors: (items, width).
            of: one in so many cells is searched.
        """
        import faiss

        n_items, width = vectors.shape
        cells = int(4 * np.sqrt(n_items))
        self._index: Any = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT
        )
        self._index.train(vectors)
        self._index.add(vectors)
        self._index.nprobe = max(1, cells // of)

    def nearest(self, queries: Vectors, k: int) -> Positions:
        """Return (queries, k) positions as `nearest` does; -1 where the searched cells hold fewer."""
        return self.search(queries, k)[0]

    def search(self, queries: Vectors, k: int) -> tuple[Positions, Vectors]:
        """Return the same positions, and the products (queries, k)."""
        products, positions = self._index.search(np.ascontiguousarray(queries), k)
        return positions.astype(np.int32), products


def merged(rankings: NDArray[np.int32], rest: NDArray[np.float32], best: bool) -> NDArray[np.float32]:
    """Merge several rankings of each row into scores of all products, by reciprocal ranks.

    A product's score is Σ 1 / (60 + rank) over the rankings that hold it (Cormack et al. 2009); or, with
    `best`, the largest of these terms (of equals the one with the larger sum), which takes from every ranking
    in turn.

    Args:
        rankings: (rankings, rows, places) positions, best first; -1 where there is none.
        rest: (items,) scores below 0, of the products that no ranking holds.
        best: take the best rank instead of the sum.

    Returns:
        (rows, items)
    """
    n_rankings, n_rows, n_places = rankings.shape
    terms = (1 / (_RANK_OFFSET + np.arange(1, n_places + 1))).astype(np.float32)
    sums = np.zeros((n_rows, len(rest) + 1), dtype=np.float32)  # the last column is for what is not there
    tops = np.zeros_like(sums) if best else sums
    rows = np.arange(n_rows)[:, None]
    for ranking in rankings:
        sums[rows, ranking] += terms
        if best:
            tops[rows, ranking] = np.maximum(tops[rows, ranking], terms)
    if best:
        sums = tops + sums / (1000 * n_rankings)
    scores = sums[:, :-1]
    return np.where(scores > 0, scores, rest)
