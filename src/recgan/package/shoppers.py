"""The stored histories of a package: those of every shopper in the log that it was made from."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import Features, beside
from recgan.features.newest import newest_histories

_DAY = 86_400  # seconds


@dataclass(frozen=True)
class Stored:
    """The history of a known shopper."""

    positions: NDArray[np.int32]
    confidences: NDArray[np.float32]
    """As they were at the end of the log: they are not aged further."""
    ages: NDArray[np.float64] | None
    """Days; None where they are not known."""


@dataclass(frozen=True)
class Shoppers:
    """The histories of the shoppers that features knew."""

    rows: dict[str, int]
    user_items: csr_array
    """(shoppers, items) confidences."""
    ages: csr_array | None = None
    """(shoppers, items) the entries of `user_items` in their order: days from the last event to `until`; None
    where nothing was known of time, and in a package that was made before ages were kept."""
    until: datetime | None = None
    """The instant that the ages count to."""

    def history(self, user_id: str, now: datetime) -> Stored | None:
        """Return the stored history of a shopper, its ages counted to an instant; None of an unknown one."""
        row = self.rows.get(user_id)
        if row is None:
            return None
        part = slice(self.user_items.indptr[row], self.user_items.indptr[row + 1])
        positions, confidences = self.user_items.indices[part], self.user_items.data[part]
        if not len(positions):
            return Stored(positions, confidences, np.empty(0))
        if self.ages is None or self.until is None:
            return Stored(positions, confidences, None)
        return Stored(positions, confidences, self.ages.data[part] + days_between(self.until, now))


def days_between(instant: datetime, now: datetime) -> float:
    """Return the days from an instant until now; 0 for one that is still to come."""
    return max((now - instant).total_seconds() / _DAY, 0.0)


def write_shoppers(features: Features, path: Path) -> None:
    """Write the history of every shopper in the log, the test window included, into an .npz without pickle.

    What a window holds out has lost its confidence: an item that only the test window has counts 1. Ages are
    beside them where there are any, with the instant that they count to.

    Args:
        features: whose newest histories they are, those that `recgan recommend` asks with.
        path: the file to write.
    """
    newest = newest_histories(features)
    known = newest.user_items
    content: dict[str, NDArray[Any]] = {
        "user_ids": newest.user_ids.astype(str),
        "data": known.data,
        "indices": known.indices.astype(np.int32),
        "indptr": known.indptr.astype(np.int64),
    }
    if newest.ages is not None and newest.until is not None:
        content |= {"ages": newest.ages.data, "until": np.array(newest.until.isoformat())}
    np.savez_compressed(path, allow_pickle=False, **content)


SHOPPERS = "shoppers.npz"
"""Beside items.json, in a package that has it."""


def read_shoppers(path: Path, n_items: int) -> Shoppers | None:
    """Read what `write_shoppers` wrote; None where there is no such file."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as content:
        user_ids = content["user_ids"].tolist()
        parts = (content["data"], content["indices"], content["indptr"])
        user_items = csr_array(parts, shape=(len(user_ids), n_items))
        ages, until = None, None
        if "ages" in content:
            ages, until = beside(user_items, content["ages"]), datetime.fromisoformat(str(content["until"]))
    return Shoppers({user_id: row for row, user_id in enumerate(user_ids)}, user_items, ages, until)
