"""What a recommender is, and the one place where scores become a ranking."""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


class Recommender(Protocol):
    """Scores every item for any history of interactions."""

    def fit(self, user_items: csr_array) -> Self:
        """Learn from confidences.

        Args:
            user_items: (users, items), float32, 0 where there was no event.
        """
        ...

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each row: rows in, rows out, so a new user needs no retraining.

        An empty row is a history too: its scores say what to show somebody of whom nothing is known.

        Args:
            user_items: (any number of rows, items), histories over the fitted items.

        Returns:
            Scores (rows, items), higher is better, finite.
        """
        ...


def recommend(
    recommender: Recommender,
    user_items: csr_array,
    k: int,
    exclude_seen: bool = True,
    block: int = 1024,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rank the k best items of each row, in blocks of users.

    Ties go to the lower position, so a ranking depends on scores alone.

    Args:
        recommender: a fitted recommender.
        user_items: (rows, items), the histories.
        k: length of a ranking; clipped to the number of items.
        exclude_seen: leave out the items of the history.
        block: rows scored at a time; memory is block * items * 4 bytes and a little.

    Returns:
        Positions (rows, k), best first, and their scores (rows, k). Where fewer than k items remain, the
        rest is filled with position -1 and score -inf.
    """
    n_rows, n_items = user_items.shape
    k = min(k, n_items)
    ids = np.empty((n_rows, k), dtype=np.int32)
    scores = np.empty((n_rows, k), dtype=np.float32)
    for start in range(0, n_rows, block):
        rows = user_items[start : start + block]
        block_scores = np.array(recommender.score(rows), dtype=np.float32)  # (block, items), our own copy
        if exclude_seen:
            repeats = np.diff(rows.indptr)
            block_scores[np.repeat(np.arange(rows.shape[0]), repeats), rows.indices] = -np.inf
        ids[start : start + block], scores[start : start + block] = top_k(block_scores, k)
    return ids, scores


def top_k(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the positions and scores of the k highest entries of each row, best first.

    Ties go to the lower position; entries of -inf come back as position -1.

    Args:
        scores: (rows, items).
        k: at most the number of items.
    """
    n_items = scores.shape[1]
    if k < n_items:
        # argpartition alone breaks ties at the border at random: take all that reach the k-th score
        # only where there is such a tie.
        candidates = np.argpartition(scores, n_items - k, axis=1)[:, n_items - k :]  # (rows, k)
        border = np.take_along_axis(scores, candidates, axis=1).min(axis=1, keepdims=True)
        tied = np.flatnonzero((scores >= border).sum(axis=1) > k)
        for row in tied:
            reach = np.flatnonzero(scores[row] >= border[row])
            order = np.lexsort((reach, -scores[row, reach]))
            candidates[row] = reach[order[:k]]
    else:
        candidates = np.tile(np.arange(n_items), (scores.shape[0], 1))
    candidates = np.sort(candidates, axis=1)
    values = np.take_along_axis(scores, candidates, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(values, order, axis=1)
    ids = np.take_along_axis(candidates, order, axis=1).astype(np.int32)
    ids[np.isneginf(best)] = -1
    return ids, best
