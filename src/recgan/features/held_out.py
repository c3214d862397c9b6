"""A window to predict: what each user had before it, and what came."""

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack


@dataclass(frozen=True)
class Outside:
    """What the users of a window came to that the vocabulary does not have."""

    item_ids: NDArray[np.object_]
    """(outside items,) sorted."""
    held_out: csr_array
    """(rows of the window, outside items) 1 where an item is in the window, as in `HeldOut.held_out`."""
    held_out_times: NDArray[np.float64] | None = None
    """(entries of held_out,) as in `HeldOut.held_out_times`."""


@dataclass(frozen=True)
class HeldOut:
    """A window to predict: for each user with something in it, the history before and what came."""

    user_ids: NDArray[np.object_]
    """(rows,) users with at least one item in the window, in the vocabulary or outside it, new users included
    (their history is empty or short)."""
    history: csr_array
    """(rows, items) confidences of everything before the window."""
    held_out: csr_array
    """(rows, items) 1 where an item is in the window; without seen items unless repeats are wanted."""
    ages: csr_array | None = None
    """(rows, items) the entries of `history` in their order, 0 a stored entry: days from the user's last
    event with the item to the window's start. Only a split in time has one; the others count to the log's
    end. None unless every event that counts has a timestamp."""
    held_out_times: NDArray[np.float64] | None = None
    """(entries of held_out,) beside `held_out.data`: days from the log's start to the user's first event with
    the item in the window, in float64, since float32 would tie what is seconds apart; None as `ages` is."""
    outside: Outside | None = None
    """What else came; None where nothing did, or nobody kept it."""

    def came(self) -> csr_array:
        """Return all that came, (rows, items + outside items): the positions after the last are outside."""
        if self.outside is None:
            return self.held_out
        return csr_array(hstack([self.held_out, self.outside.held_out], format="csr"))

    def came_times(self) -> NDArray[np.float64] | None:
        """Return `held_out_times` beside the data of `came()`; None where they are."""
        if self.outside is None or self.held_out_times is None or self.outside.held_out_times is None:
            return self.held_out_times if self.outside is None else None
        of_each = (
            beside(self.held_out, self.held_out_times),
            beside(self.outside.held_out, self.outside.held_out_times),
        )
        return np.asarray(hstack(of_each, format="csr").data, dtype=np.float64)

    def rows(self, rows: NDArray[np.intp]) -> "HeldOut":
        """Return the window of some users alone, without times of what came."""

        def of(matrix: csr_array) -> csr_array:
            return csr_array(matrix[rows])

        outside = self.outside
        return HeldOut(
            user_ids=self.user_ids[rows],
            history=of(self.history),
            held_out=of(self.held_out),
            ages=None if self.ages is None else of(self.ages),
            outside=None if outside is None else Outside(outside.item_ids, of(outside.held_out)),
        )

    def known(self) -> "HeldOut":
        """Return the window of the vocabulary alone, with the users to whom something of it came."""
        some = np.flatnonzero(np.diff(self.held_out.indptr))
        return HeldOut(
            user_ids=self.user_ids[some],
            history=csr_array(self.history[some]),
            held_out=csr_array(self.held_out[some]),
            ages=None if self.ages is None else csr_array(self.ages[some]),
            held_out_times=self.held_out_times,  # of rows without entries there are none
        )

    def next_items(self) -> csr_array | None:
        """Return what each user came to first in the window, as a matrix like `came()`; None without times.

        What came first at the same instant, say in one basket, is next all of it.
        """
        came, times = self.came(), self.came_times()
        if times is None:
            return None
        there = came.data != 0
        rows = np.repeat(np.arange(came.shape[0]), np.diff(came.indptr))
        earliest = np.full(came.shape[0], np.inf)
        np.minimum.at(earliest, rows[there], times[there])
        found = beside(came, (there & (times == earliest[rows])).astype(np.float32)).copy()
        found.eliminate_zeros()  # in place, hence the copy: the indices are those of `held_out`
        return found


def beside(matrix: csr_array, values: NDArray[np.floating[Any]]) -> csr_array:
    """Return a matrix of the same entries with other values; a 0 among them stays an entry."""
    found = copy(matrix)  # the constructor would check the indices once more, at each answer of the server
    found.data = values
    return found
