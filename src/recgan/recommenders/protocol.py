"""What a recommender is, and the one place where scores become a ranking."""

from collections.abc import Callable, Iterable
from typing import Protocol, Self, runtime_checkable

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

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row: rows in, rows out, so a new user needs no retraining.

        An empty row is a history too: its scores say what to show somebody of whom nothing is known.

        Args:
            user_items: (any number of rows, items), histories over the fitted items.
            ages: (rows, items), days since the shopper's last event with each item, the same entries in the
                same order and 0 a stored one; None where nothing is known of time. Whoever does not weigh
                histories by age ignores it.

        Returns:
            Scores (rows, items), higher is better, finite.
        """
        ...


Best = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Positions and scores of items, (items,) each, the best first."""


@runtime_checkable
class OneAtATime(Protocol):
    """A recommender that finds the best items of one history without scoring all."""

    def best(self, user_items: csr_array, ages: csr_array | None, n: int) -> Best:
        """Return the items that `top_k` of `score` puts first, those of the history too, and their scores.

        Args:
            user_items: (1, items), the history.
            ages: (1, items), of its entries; None where nothing is known of time.
            n: how many to return; fewer where no more are found without scoring all.
        """
        ...


def recommend(
    recommender: Recommender,
    user_items: csr_array,
    k: int,
    exclude_seen: bool = True,
    block: int | None = None,
    ages: csr_array | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rank the k best items of each row, in blocks of users.

    Ties go to the lower position, so a ranking depends on scores alone.

    Args:
        recommender: a fitted recommender.
        user_items: (rows, items), the histories.
        k: length of a ranking; clipped to the number of items.
        exclude_seen: leave out the items of the history.
        block: rows scored at a time, block * items * 4 bytes; None takes 1,024 or, where that would be more
            than 64 MiB, fewer.
        ages: (rows, items), of the histories, as `Recommender.score` takes them.

    Returns:
        Positions (rows, k), best first, and their scores (rows, k). Where fewer than k items remain, the
        rest is filled with position -1 and score -inf.
    """

    def one(rows: csr_array, since: csr_array | None) -> Iterable[NDArray[np.float32]]:
        return (recommender.score(rows, since),)

    return recommend_each(one, 1, user_items, k, exclude_seen, block, ages)[0]


ScoreEach = Callable[[csr_array, csr_array | None], Iterable[NDArray[np.float32]]]
"""Histories and their ages, as `Recommender.score` takes them → several scores (rows, items) of all items."""


def recommend_each(
    score_each: ScoreEach,
    many: int,
    user_items: csr_array,
    k: int,
    exclude_seen: bool = True,
    block: int | None = None,
    ages: csr_array | None = None,
) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Rank the k best items of each row by each of several scores; `recommend` says what the rest is.

    Args:
        score_each: one after the other; a score is ranked before the next is asked for.
        many: how many scores it yields.
        user_items: see `recommend`, as the rest.
        k: see above.
        exclude_seen: see above.
        block: see above.
        ages: see above.
    """
    n_rows, n_items = user_items.shape
    k = min(k, n_items)
    found = [
        (np.empty((n_rows, k), dtype=np.int32), np.empty((n_rows, k), dtype=np.float32)) for _ in range(many)
    ]
    block = block or _rows(_SCORED, n_items)
    few = _rows(_RANKED, n_items)
    own = np.empty((min(few, block, n_rows), n_items), dtype=np.float32)  # new memory costs more than a copy
    for start in range(0, n_rows, block):
        rows = user_items[start : start + block]
        since = None if ages is None else ages[start : start + block]
        for (ids, best), scores in zip(found, score_each(rows, since), strict=True):
            for first in range(0, rows.shape[0], len(own)):
                some = scores[first : first + len(own)]
                part = own[: len(some)]
                part[:] = some  # a recommender may have handed out what it keeps
                if exclude_seen:
                    starts = rows.indptr[first : first + len(part) + 1]
                    seen = rows.indices[starts[0] : starts[-1]]
                    part[np.repeat(np.arange(len(part)), np.diff(starts)), seen] = -np.inf
                there = slice(start + first, start + first + len(part))
                ids[there], best[there] = top_k(part, k)
    return found


def top_k(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the positions and scores of the k highest entries of each row, best first.

    Ties go to the lower position; entries of -inf come back as position -1.

    Args:
        scores: (rows, items).
        k: at most the number of items.
    """
    n_rows, n_items = scores.shape
    if k == 0:
        return np.empty((n_rows, 0), dtype=np.int32), np.empty((n_rows, 0), dtype=scores.dtype)
    # At least k entries reach the border, and not many more unless they are equal; -inf never does.
    border = np.fmax(_border(scores, k), np.finfo(scores.dtype).min)
    if n_rows == 1:
        return _top_of_one(scores[0], k, border[0, 0])
    reach = scores >= border
    cells, sizes = _reached(reach)
    crowded = np.flatnonzero(sizes > 2 * k)
    if crowded.size:  # of those at the border itself only the first are needed
        some, edge = scores[crowded], border[crowded]
        above, level = some > edge, some == edge
        room = k - above.sum(axis=1, keepdims=True)
        reach[crowded] = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
        cells, sizes = _reached(reach)
    rows, found = np.divmod(cells, n_items)
    values = scores[rows, found]
    width = max(k, sizes.max(initial=0))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    ids = np.full((n_rows, width), -1, dtype=np.int32)
    ids[rows, places] = found
    best = np.full((n_rows, width), -np.inf, dtype=scores.dtype)
    best[rows, places] = values
    order = np.argsort(-best, axis=1, kind="stable")[:, :k]  # so ties stay in the order of positions
    each = np.arange(n_rows)[:, None]
    return ids[each, order], best[each, order]


def _top_of_one(
    scores: NDArray[np.float32], k: int, border: np.float32
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return what `top_k` does of one row (items,), as a server asks: in half the steps.

    Args:
        scores: (items,)
        k: at least 1.
        border: what k entries reach, and not many more but for equal ones.
    """
    found = np.flatnonzero(scores >= border)
    if len(found) > 2 * k:
        above = np.flatnonzero(scores > border)
        level = found[scores[found] == border][: k - len(above)]
        found = np.sort(np.concatenate([above, level]))
    values = scores[found]
    order = np.argsort(-values, kind="stable")[:k]
    ids = np.full((1, k), -1, dtype=np.int32)
    best = np.full((1, k), -np.inf, dtype=scores.dtype)
    ids[0, : len(order)], best[0, : len(order)] = found[order], values[order]
    return ids, best


_SCORED = 2**24  # cells that a recommender scores at a time
_RANKED = 2**20  # cells ranked at a time: few enough for a processor's cache
_PART = 8  # least length of a part of a row, and least number of parts for each place of a ranking


def _rows(cells: int, n_items: int) -> int:
    return min(1024, max(1, cells // max(1, n_items)))


def _reached(reach: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the cells that are True, in order, and how many of them each row has."""
    n_rows, n_items = reach.shape
    cells = np.flatnonzero(reach)
    return cells, np.diff(np.searchsorted(cells, np.arange(n_rows + 1) * n_items))


def _border(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return (rows, 1) what at least k entries of each row reach, and not many more."""
    n_rows, n_items = scores.shape
    length = n_items // (_PART * k)
    if length < _PART:
        return _kth(scores, k)
    # Of many parts each one's highest entry, and of those the k-th: as many entries reach it, in one pass.
    n_parts = n_items // length
    highest = scores[:, : n_parts * length].reshape(n_rows, length, n_parts).max(axis=1)
    return _kth(highest, k)


def _kth(values: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return (rows, 1) the k-th highest entry of each row."""
    place = values.shape[1] - k
    return np.partition(values, place, axis=1)[:, place, None]
