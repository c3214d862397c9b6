"""The windows that the discriminator learns from, cut from the end of a matrix by its times.

Nothing of a window is in the matrix before it. So neither the generator nor the statistics that are fitted on
that matrix have seen what the discriminator is to find.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import Features, HeldOut, beside


@dataclass(frozen=True)
class Window:
    """What came, and the features as they were before: `train` alone, with its times."""

    before: Features
    """Its validation, and all of the test window, are of other matrices: nothing may read them."""
    came: HeldOut


_OF_ITEMS = ("item_id", "title", "category", "brand", "price")
"""What is known of items before any event: the other columns are figures of the whole of train."""


def windows_of(features: Features, number: int) -> list[Window]:
    """Cut windows from the end of train, the newest first.

    A split in time gives windows as long as its validation. Any other split gives each user's last item, then
    the last but one, and so on. A pair's time is that of its last event, so an item that was met again in a
    window counts as met there first.

    Args:
        features: with times.
        number: of windows; fewer come back where nothing is left before one.

    Raises:
        RecganError: an event has no time, or nothing is left before the first window.
    """
    times = times_known(features)
    found = []
    place = _places_from_the_end(features, times)
    for step in range(1, number + 1):
        window = _window(features, times, place < step, place == step - 1)
        if window is None:
            break
        found.append(window)
    if not found:
        raise RecganError(
            "two_stage has nothing to learn from: train is no longer than one window of validation; shorten "
            "features.split.validation_days, or take this candidate out of candidates"
        )
    return found


def times_known(features: Features) -> NDArray[np.float32]:
    """Return the times of train's entries.

    Raises:
        RecganError: an event has none.
    """
    if features.train_times is None:
        raise RecganError(
            "two_stage cuts what its discriminator learns from by time, and not every event has a timestamp; "
            "let validate drop those without (null_timestamp), or take this candidate out of candidates"
        )
    return features.train_times


def _places_from_the_end(features: Features, times: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each entry of train the window that it lies in, 0 the newest."""
    cuts = features.summary.get("cuts")
    if cuts is not None:
        start = datetime.fromisoformat(features.summary["log"]["start"])
        first, end = (datetime.fromisoformat(cuts[name]) for name in ("validation_start", "test_start"))
        days = (end - first).total_seconds() / 86_400
        length = (first - start).total_seconds() / 86_400
        before = np.ceil((length - times.astype(np.float64)) / days) - 1
        return np.asarray(np.maximum(0, before), dtype=np.int64)
    rows = np.repeat(np.arange(features.train.shape[0]), np.diff(features.train.indptr))
    order = np.lexsort((features.train.indices, times, rows))
    ends = np.repeat(features.train.indptr[1:], np.diff(features.train.indptr))
    found = np.empty(len(order), dtype=np.int64)
    found[order] = ends - 1 - np.arange(len(order))
    return found


def _window(
    features: Features, times: NDArray[np.float32], late: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> Window | None:
    history, its_times = _part(features.train, times, ~late)
    came, _ = _part(features.train, times, inside)
    came = beside(came, np.ones_like(came.data))
    old = np.flatnonzero(np.diff(history.indptr))
    if len(old) == 0 or came.nnz == 0:
        return None
    now = np.float32(times[inside].min() if features.summary.get("cuts") else times.max())
    rows = np.flatnonzero(np.diff(came.indptr))
    held = HeldOut(
        user_ids=features.user_ids[rows],
        history=csr_array(history[rows]),
        held_out=csr_array(came[rows]),
        ages=csr_array(beside(history, np.maximum(now - its_times, 0))[rows]),
        held_out_times=None,
    )
    matrix = csr_array(history[old])
    names = features.user_ids[old]
    before = replace(
        features,
        train=matrix,
        train_validation=matrix,
        user_ids=names,
        train_times=its_times,
        train_validation_times=its_times,
        validation=None,
        items=features.items[[name for name in _OF_ITEMS if name in features.items]],
    )
    return Window(before, held)


def _part(
    matrix: csr_array, times: NDArray[np.float32], kept: NDArray[np.bool_]
) -> tuple[csr_array, NDArray[np.float32]]:
    """Return the entries of a mask, rows as they were, and their times."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    indptr = np.append(0, np.cumsum(np.bincount(rows[kept], minlength=matrix.shape[0])))
    part = csr_array((matrix.data[kept], matrix.indices[kept], indptr.astype(np.int32)), shape=matrix.shape)
    return part, times[kept]
