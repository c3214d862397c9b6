"""The pairs of users and items as cells of the matrices to build."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.clean import Log
from recgan.features.confidence import Pairs, decay_between
from recgan.features.matrices import to_csr
from recgan.features.settings import FeaturesParams
from recgan.features.split import TEST, TRAIN, Cuts

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Cells:
    """The pairs as cells of the matrices to build; every array is (pairs,), sorted by user and item."""

    users: NDArray[np.int32]
    positions: NDArray[np.int32]
    """-1 outside the vocabulary."""
    windows: NDArray[np.int8]
    first_windows: NDArray[np.int8]
    """The earliest window in which the user met the item."""
    confidence: NDArray[np.float64]
    """As it is at the end of the pair's window."""
    confidence_at_test: NDArray[np.float64]
    """As it is when the test window starts."""
    n_users: int
    vocabulary: NDArray[np.int32]
    """(items,) codes of the items in the order of positions: ascending, or two such parts."""
    binary: bool

    @property
    def known(self) -> NDArray[np.bool_]:
        """Tell which pairs are with an item of the vocabulary."""
        return self.positions >= 0

    def matrix(
        self, mask: NDArray[np.bool_], users: NDArray[np.int32], at_test: bool = False, binary: bool = False
    ) -> csr_array:
        """Build the rows of some users from the cells of a mask, those outside the vocabulary left out."""
        row, mask = self.rows(mask, users)
        values = self.confidence_at_test if at_test else self.confidence
        shape = (len(users), len(self.vocabulary))
        return to_csr(row[mask], self.positions[mask], values[mask], shape, self.binary or binary)

    def rows(
        self, mask: NDArray[np.bool_], users: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return each cell's row among some users, and which cells of a mask have one in the vocabulary."""
        row = places(users, self.n_users)[self.users]
        return row, mask & self.known & (row >= 0)


def cells_of(
    pairs: Pairs,
    windows: NDArray[np.int8],
    core: NDArray[np.bool_],
    params: FeaturesParams,
    cuts: Cuts | None,
) -> Cells:
    """Place each pair: its user, its position in the vocabulary of the k-core, its window, its confidence."""
    users, items = pairs.rows["user"].to_numpy(), pairs.rows["item"].to_numpy()
    confidence, decay = pairs.rows["confidence"].to_numpy(), decay_between(params, cuts)
    vocabulary = distinct(items[core])
    starts = np.concatenate([[True], (np.diff(users) != 0) | (np.diff(items) != 0)])
    lengths = np.diff(np.append(np.flatnonzero(starts), len(users)))
    return Cells(
        users=users,
        positions=places(vocabulary, len(pairs.item_ids))[items],
        windows=windows,
        first_windows=np.repeat(windows[starts], lengths),
        confidence=confidence,
        confidence_at_test=confidence if decay == 1 else confidence * np.where(windows == TRAIN, decay, 1.0),
        n_users=len(pairs.user_ids),
        vocabulary=vocabulary,
        binary=params.binary,
    )


def widened(cells: Cells, pairs: Pairs, train_users: NDArray[np.int32], least: int) -> Cells:
    """Add to the vocabulary of train what train + validation bring: behind it, so that positions stay.

    An item comes in when `least` of the users have it in the two windows that train + validation has rows of:
    those of train's k-core, and those without any event in train.

    Args:
        cells: over train's vocabulary.
        pairs: all interactions.
        train_users: (users,) those of the k-core.
        least: features.min_item_users.
    """
    rows_of = np.ones(cells.n_users, dtype=np.bool_)
    rows_of[cells.users[cells.windows == TRAIN]] = False
    rows_of[train_users] = True
    items = pairs.rows["item"].to_numpy()
    inside = (cells.windows < TEST) & ~cells.known & rows_of[cells.users]
    # An item that a user met in both windows has two pairs, and that is one user.
    met = np.unique(np.stack([cells.users[inside], items[inside]]), axis=1)
    later = np.flatnonzero(np.bincount(met[1], minlength=len(pairs.item_ids)) >= max(least, 1))
    vocabulary = np.concatenate([cells.vocabulary, later.astype(cells.vocabulary.dtype)])
    return replace(cells, vocabulary=vocabulary, positions=places(vocabulary, len(pairs.item_ids))[items])


def distinct(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the distinct codes, sorted. Counting takes a tenth of the time of sorting."""
    return np.flatnonzero(np.bincount(codes)).astype(np.int32)


def places(codes: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return for each of n codes its place among some of them, -1 where it is not there."""
    places = np.full(n, -1, dtype=np.int32)
    places[codes] = np.arange(len(codes), dtype=np.int32)
    return places


def times_of(
    cells: Cells, pairs: Pairs, mask: NDArray[np.bool_], users: NDArray[np.int32], log: Log
) -> NDArray[np.float32] | None:
    """Date the entries of `cells.matrix(mask, users)`: days from the log's start to each one's last event."""
    if log.start is None or log.without_time:
        return None
    last = pairs.rows["last"].to_numpy()[_entries(cells, mask, users)]
    days = (last - microseconds(log.start)) / _DAY
    return np.asarray(np.maximum(days, np.finfo(np.float32).tiny), dtype=np.float32)


def ages_of(
    cells: Cells,
    pairs: Pairs,
    mask: NDArray[np.bool_],
    users: NDArray[np.int32],
    log: Log,
    now: datetime | None,
) -> NDArray[np.float32] | None:
    """Age the entries of `cells.matrix(mask, users)`: days from each one's last event to an instant."""
    if now is None or log.without_time:
        return None
    last = pairs.rows["last"].to_numpy()[_entries(cells, mask, users)]
    return np.asarray((microseconds(now) - last) / _DAY, dtype=np.float32)


def first_times_of(
    cells: Cells, pairs: Pairs, mask: NDArray[np.bool_], users: NDArray[np.int32], log: Log
) -> NDArray[np.float64] | None:
    """Date the entries of a window's matrix: days from the log's start to each one's first event there."""
    if log.start is None or log.without_time:
        return None
    first = pairs.rows["first"].to_numpy()[_entries(cells, mask, users)]
    return np.asarray((first - microseconds(log.start)) / _DAY, dtype=np.float64)


def _entries(cells: Cells, mask: NDArray[np.bool_], users: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the cell of each entry of `cells.matrix(mask, users)`, in the order of its data."""
    row, mask = cells.rows(mask, users)
    chosen = np.flatnonzero(mask)
    # An item met in both windows has a cell in each, the later one second; a matrix has them as one entry.
    user, position = cells.users[chosen], cells.positions[chosen]
    chosen = chosen[np.append((np.diff(user) != 0) | (np.diff(position) != 0), True)[: len(chosen)]]
    return np.asarray(chosen[np.lexsort((cells.positions[chosen], row[chosen]))])


def microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970 of an aware instant."""
    return int(np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us").astype(np.int64))
