"""The newest history of every shopper that the features know: what tomorrow's recommendations start from."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from recgan.features.matrices import Features, beside

_DAY = 86_400  # seconds


@dataclass(frozen=True)
class NewestHistories:
    """Everything that is known of the shoppers, the test window included."""

    user_ids: NDArray[np.object_]
    """(shoppers,) sorted."""
    user_items: csr_array
    """(shoppers, items) confidences. What a window holds out has lost its confidence: an item that only the
    test window has counts 1."""
    ages: csr_array | None
    """(shoppers, items) the entries of `user_items` in their order, 0 a stored entry: days from the shopper's
    last event with the item to `until`. Of the test window only what it holds out counts, by the item's
    first event there. None where the features know of no times."""
    until: datetime | None
    """The log's end; None without ages."""


def newest_histories(features: Features) -> NewestHistories:
    """Join what each shopper had before the test window with what the window holds out.

    Args:
        features: matrices.
    """
    test = features.test
    stay = np.flatnonzero(~np.isin(features.user_ids.astype(str), test.user_ids.astype(str)))
    user_ids = np.concatenate([features.user_ids[stay], test.user_ids])
    rows = vstack([features.train_validation[stay], test.history.maximum(test.held_out)], format="csr")
    order = np.argsort(user_ids, kind="stable")
    user_items = csr_array(rows[order])
    user_items.sort_indices()
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    ages, until = _ages(features, stay, place, user_items)
    return NewestHistories(user_ids[order], user_items, ages, until)


def _ages(
    features: Features, stay: NDArray[np.intp], place: NDArray[np.int64], user_items: csr_array
) -> tuple[csr_array | None, datetime | None]:
    """Return the ages beside histories, whose rows are those that stay and those of test, put in places."""
    test = features.test
    if features.train_validation_times is None or test.ages is None or test.held_out_times is None:
        return None, None
    log, cuts = features.summary["log"], features.summary["cuts"]
    start, end = datetime.fromisoformat(log["start"]), datetime.fromisoformat(log["end"])
    before = end if cuts is None else datetime.fromisoformat(cuts["test_start"])  # what test's ages count to
    length, window = ((end - since).total_seconds() / _DAY for since in (start, before))
    known = beside(features.train_validation, length - features.train_validation_times)[stay]
    n_items = user_items.shape[1]
    keys = (
        np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr)) * n_items + user_items.indices
    )
    days = np.full(user_items.nnz, np.inf)
    for rows, matrix, found in (
        (place[: len(stay)], known, known.data),
        (place[len(stay) :], test.history, test.ages.data + window),
        (place[len(stay) :], test.held_out, length - test.held_out_times),
    ):
        at = np.searchsorted(keys, np.repeat(rows, np.diff(matrix.indptr)) * n_items + matrix.indices)
        days[at] = np.minimum(days[at], found)
    return beside(user_items, np.maximum(days, 0).astype(np.float32)), end
