"""NDCG of a ranking: what early stopping, tuning and evaluation all measure with.

Of all that came (`HeldOut.came`), known or not, unless it is called known: that is of the vocabulary alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import HeldOut
from recgan.recommenders.protocol import Recommender, ScoreEach, recommend, recommend_each


def once(ranking: NDArray[np.int32]) -> NDArray[np.int32]:
    """Let an item that a list repeats count at its first place alone; its later places become -1, misses.

    Args:
        ranking: (rows, places) item positions, best first; -1 where there is none.
    """
    order = np.argsort(ranking, axis=1, kind="stable")  # equal items side by side, the first place first
    in_order = np.take_along_axis(ranking, order, axis=1)
    repeated = np.zeros(ranking.shape, dtype=np.bool_)
    np.put_along_axis(repeated, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    return np.where(repeated, np.int32(-1), ranking)


def hits(ranking: NDArray[np.int32], held_out: csr_array) -> NDArray[np.bool_]:
    """Tell which places of each ranking hold a held-out item.

    Args:
        ranking: (rows, k) item positions, best first; -1 where there is none.
        held_out: (rows, items), nonzero where an item is held out.

    Returns:
        (rows, k), True at a hit; an item that stands in a row twice is one hit, at its first place.
    """
    ranking = once(ranking)
    n_rows, n_items = held_out.shape
    rows = np.arange(n_rows, dtype=np.int64)
    pairs = np.repeat(rows, np.diff(held_out.indptr)) * n_items + held_out.indices
    pairs = np.append(np.sort(pairs[held_out.data != 0]), -1)  # the last answers for all beyond the largest
    wanted = rows[:, None] * n_items + ranking  # (rows, k)
    found: NDArray[np.bool_] = (pairs[np.searchsorted(pairs[:-1], wanted)] == wanted) & (ranking >= 0)
    return found


def held_out_sizes(held_out: csr_array) -> NDArray[np.int64]:
    """Count each row's held-out items, (rows,)."""
    rows = np.repeat(np.arange(held_out.shape[0]), np.diff(held_out.indptr))
    return np.bincount(rows[held_out.data != 0], minlength=held_out.shape[0])


def ndcg(ranking: NDArray[np.int32], held_out: csr_array, k: int) -> NDArray[np.float64]:
    """Measure each row's NDCG at k with binary gains.

    DCG = Σ 1/log2(place + 1) over the hits among the first k; the ideal has its min(k, held out) hits first
    (Järvelin & Kekäläinen 2002).

    Args:
        ranking: (rows, places) item positions, best first; -1 where there is none. Places missing up to k
            are misses.
        held_out: (rows, items), nonzero where an item is held out.
        k: places that count.

    Returns:
        (rows,) in 0..1; 0 for a row with nothing held out.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))  # (k,)
    ideals = np.cumsum(discounts)
    width = min(k, ranking.shape[1])
    gains = hits(ranking[:, :width], held_out) @ discounts[:width]  # (rows,)
    return gains / ideals[np.clip(held_out_sizes(held_out), 1, k) - 1]


def user_ndcg(
    recommender: Recommender, window: HeldOut, k: int, exclude_seen: bool
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Return the ids and NDCG at k of a window's users to whom something came, the full catalogue ranked.

    All that came counts: an item outside the vocabulary is a miss that the ideal list has.
    """
    ranking, _ = recommend(recommender, window.history, k, exclude_seen, ages=window.ages)
    came = window.came()
    some = np.diff(came.indptr) > 0
    return window.user_ids[some], ndcg(ranking, came, k)[some]


def window_ndcg(recommender: Recommender, window: HeldOut, k: int, exclude_seen: bool) -> float:
    """Return the mean NDCG at k over a window's users, of all that came, the full catalogue ranked."""
    return float(user_ndcg(recommender, window, k, exclude_seen)[1].mean())


def window_ndcgs(
    score_each: ScoreEach, many: int, window: HeldOut, k: int, exclude_seen: bool
) -> list[float]:
    """Return what `window_ndcg` does for each of several scores that share their computation."""
    rankings = recommend_each(score_each, many, window.history, k, exclude_seen, ages=window.ages)
    came = window.came()
    some = np.diff(came.indptr) > 0
    return [float(ndcg(ranking, came, k)[some].mean()) for ranking, _ in rankings]
