"""What a generator proposes to the shoppers of a window, with all that the discriminator judges it by."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import HeldOut
from recgan.recommenders.protocol import Recommender, top_k
from recgan.recommenders.ranking import hits
from recgan.recommenders.two_stage.pairs import beside_generator, joined, of_generator
from recgan.recommenders.two_stage.statistics import Statistics

Floats = NDArray[np.float32]
Positions = NDArray[np.int32]

TOLD = 100
"""Least length of a list, so that a figure at up to so many places is that of what is served."""

_CELLS = 2**24  # of users and items, scored at a time
_TRIES = 20


@dataclass(frozen=True)
class Lists:
    """Lists of a window's shoppers; only of those in whose list something came."""

    rows: NDArray[np.intp]
    """(lists,) of the window."""
    ids: Positions
    """(lists, N), -1 where there is nothing."""
    scores: Floats
    """(lists, N), the generator's."""
    ranks: Positions
    """(lists, N), places in the whole catalogue, from 0."""
    listed: Floats
    """(lists, N), the generator's scores of what it proposes: `scores` but where the fakes were drawn."""
    rest: Floats
    """(lists, N, columns), what the statistics say."""
    came: NDArray[np.bool_]
    """(lists, N)"""

    def features(self) -> Floats:
        """Return all columns, (lists, N, columns)."""
        return joined(of_generator(self.scores, self.ids, self.listed, self.ranks), self.rest)

    @property
    def there(self) -> NDArray[np.bool_]:
        """Tell which places hold an item."""
        return self.ids >= 0

    def head(self, n: int) -> "Lists":
        """Return the first n places of each list."""
        return replace(self, **{name: getattr(self, name)[:, :n] for name in _BY_PLACE})

    def first(self, n: int) -> "Lists":
        """Return the first n places of each list, of those in which something came."""
        return self.some(np.asarray(self.came[:, :n].any(axis=1))).head(n)

    def some(self, kept: NDArray[np.bool_]) -> "Lists":
        """Return some of the lists."""
        return replace(self, **{name: getattr(self, name)[kept] for name in ("rows", *_BY_PLACE)})

    def and_then(self, other: "Lists") -> "Lists":
        """Return the lists of both, one below the other."""
        parts = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("rows", *_BY_PLACE)
        }
        return Lists(**parts)


_BY_PLACE = ("ids", "scores", "ranks", "listed", "rest", "came")


def propose(scores: Floats, user_items: csr_array, n: int, exclude_seen: bool) -> tuple[Positions, Floats]:
    """Return positions and scores (rows, n) of the generator's best items; -1 and -inf where there is none.

    Args:
        scores: (rows, items), the generator's.
        user_items: the histories.
        n: items to propose; clipped to the catalogue.
        exclude_seen: propose no item of the history.
    """
    return top_k(_left(scores, user_items) if exclude_seen else scores, min(n, scores.shape[1]))


def _left(scores: Floats, user_items: csr_array) -> Floats:
    """Return scores with -inf at the items of the histories."""
    found = np.array(scores, dtype=np.float32)
    found[np.repeat(np.arange(len(found)), np.diff(user_items.indptr)), user_items.indices] = -np.inf
    return found


def lists_of(
    generator: Recommender,
    known: Statistics,
    window: HeldOut,
    n: int,
    exclude_seen: bool,
    seed: int,
) -> tuple[Lists, Lists]:
    """Return the proposals to a window's shoppers, and the same with fakes drawn uniformly.

    Args:
        generator: has seen nothing of the window.
        known: neither.
        window: to predict.
        n: length of a list.
        exclude_seen: propose no item of the history.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    some = np.flatnonzero(np.diff(window.held_out.indptr))
    block = max(1, min(1024, _CELLS // max(1, window.history.shape[1])))
    proposed, drawn = [], []
    for start in range(0, len(some), block):
        rows = some[start : start + block]
        history, held_out = csr_array(window.history[rows]), csr_array(window.held_out[rows])
        ages = None if window.ages is None else csr_array(window.ages[rows])
        scores = generator.score(history, ages)
        ids, best = propose(scores, history, n, exclude_seen)
        came = hits(ids, held_out)
        kept = np.flatnonzero(came.any(axis=1))
        if not len(kept):
            continue
        rows, ids, best, came, scores = rows[kept], ids[kept], best[kept], came[kept], scores[kept]
        history, held_out = csr_array(history[kept]), csr_array(held_out[kept])
        ages = None if ages is None else csr_array(ages[kept])
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        rest = beside_generator(known, history, ages, ids)
        proposed.append(Lists(rows, ids, best, np.array(ranks), best, rest, came))
        others = np.where(came, ids, _drawn(rng, ids, history, held_out))
        theirs = np.take_along_axis(scores, others, axis=1)
        rest = beside_generator(known, history, ages, others)
        ranks = _ranks(_left(scores, history) if exclude_seen else scores, theirs)
        drawn.append(Lists(rows, others, theirs, ranks, best, rest, came))
    if not proposed:
        return none(n, len(known.brands)), none(n, len(known.brands))
    return _joined(proposed), _joined(drawn)


def _joined(parts: list[Lists]) -> Lists:
    return Lists(
        **{name: np.concatenate([getattr(one, name) for one in parts]) for name in ("rows", *_BY_PLACE)}
    )


def none(n: int, n_items: int) -> Lists:
    """Return the lists of nobody, of n items or as many as there are."""
    from recgan.recommenders.two_stage.pairs import BESIDE

    n = min(n, n_items)
    ids, values = np.zeros((0, n), dtype=np.int32), np.zeros((0, n), dtype=np.float32)
    rest = np.zeros((0, n, len(BESIDE)), dtype=np.float32)
    return Lists(np.zeros(0, dtype=np.intp), ids, values, ids, values, rest, ids > 0)


def _drawn(rng: np.random.Generator, ids: Positions, history: csr_array, held_out: csr_array) -> Positions:
    """Draw as many items as the lists have, none of the history nor of what came; -1 where that fails."""
    n_items = history.shape[1]
    found = np.where(ids >= 0, rng.integers(n_items, size=ids.shape, dtype=np.int32), np.int32(-1))
    known = csr_array(history + held_out)
    for _ in range(_TRIES):
        wrong = _inside(found, known)
        if not wrong.any():
            break
        found[wrong] = rng.integers(n_items, size=int(wrong.sum()), dtype=np.int32)
    return np.where(_inside(found, known), np.int32(-1), found)


def _inside(ids: Positions, matrix: csr_array) -> NDArray[np.bool_]:
    """Tell which items are in their row of a matrix, however often they are listed."""
    n_rows, n_items = matrix.shape
    rows = np.arange(n_rows, dtype=np.int64)
    cells = np.append(np.sort(np.repeat(rows, np.diff(matrix.indptr)) * n_items + matrix.indices), -1)
    wanted = rows[:, None] * n_items + ids
    return np.asarray((cells[np.searchsorted(cells[:-1], wanted)] == wanted) & (ids >= 0))


def _ranks(scores: Floats, theirs: Floats) -> Positions:
    """Return how many items of its row score above each one, (rows, N)."""
    ordered = np.sort(scores, axis=1)
    n_items = scores.shape[1]
    return np.stack(
        [n_items - np.searchsorted(row, own, side="right") for row, own in zip(ordered, theirs, strict=True)]
    ).astype(np.int32)
