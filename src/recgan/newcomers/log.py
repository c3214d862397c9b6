"""The kept events as arrays, and the histories that a package's vocabulary makes of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.core.files import read_whole
from recgan.data.codes import encode
from recgan.data.events import EVENTS, ITEMS, read_table
from recgan.data.screened import without
from recgan.features.matrices import beside
from recgan.package.packaged import Confidence


class UndatedError(RecganError):
    """Nothing tells which products are new."""


DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Log:
    """The events that count, the earliest first."""

    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    users: NDArray[np.int32]
    """(events,) places in `user_ids`."""
    items: NDArray[np.int32]
    times: NDArray[np.int64]
    """Microseconds UTC."""
    worth: NDArray[np.float64]
    """What each adds to the confidence of a history."""
    table: pd.DataFrame
    """The items table: item_id, title, category, brand, price, image_url."""

    def before(self, instant: int) -> int:
        """Return how many events are before an instant."""
        return int(np.searchsorted(self.times, instant))


def read_log(kept: Path, left_out: pa.Array, confidence: Confidence | None) -> Log:
    """Read the kept events and items.

    Args:
        kept: folder of the kept tables.
        left_out: ids of accounts that nothing is learned from.
        confidence: which events count, and how much; None takes each for 1.

    Raises:
        UndatedError: no event that counts has a timestamp.
        RecganError: a table is missing.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(kept, lambda folder: _read(folder, left_out, confidence))


def _read(folder: Path, left_out: pa.Array, confidence: Confidence | None) -> Log:
    columns = ["user_id", "item_id", "event", "timestamp", "value"]
    table = read_table(folder / "events.parquet", EVENTS, columns)
    table = without(table.filter(pc.is_valid(table["timestamp"])), left_out)
    worth = np.ones(table.num_rows)
    if confidence is not None:
        kinds = table["event"].combine_chunks().dictionary_encode()
        weights = [confidence.weights.get(kind, 0.0) for kind in kinds.dictionary.to_pylist()]
        worth = np.array([*weights, 0.0])[kinds.indices.to_numpy()]
        if confidence.min_rating is not None:
            stars = table["value"].to_numpy()
            low = pc.equal(table["event"], "rating").to_numpy() & ~(stars >= confidence.min_rating)
            worth = np.where(low, 0.0, worth)
    table, worth = table.filter(pa.array(worth > 0)), worth[worth > 0]
    if not table.num_rows:
        raise UndatedError(
            f"no event in {folder} that counts has a timestamp, so nothing tells which products are new; set "
            "newcomers.enabled to false"
        )
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    order = np.argsort(times, kind="stable")
    user_ids, users = encode(table["user_id"])
    item_ids, items = encode(table["item_id"])
    described: pd.DataFrame = read_table(folder / "items.parquet", ITEMS).to_pandas()
    return Log(user_ids, item_ids, users[order], items[order], times[order], worth[order], described)


def positions_in(log: Log, vocabulary: dict[str, int]) -> NDArray[np.int32]:
    """Return the position (items of the log,) in a vocabulary; -1 outside it."""
    return np.array([vocabulary.get(item, -1) for item in log.item_ids], dtype=np.int32)


def histories(
    log: Log,
    positions: NDArray[np.int32],
    n_items: int,
    users: NDArray[np.int32],
    until: int,
    confidence: Confidence | None,
) -> tuple[csr_array, csr_array]:
    """Return the confidences and ages of shoppers' known items before an instant, as features has them.

    Args:
        log: events.
        positions: from `positions_in`.
        n_items: of the vocabulary.
        users: (rows,) places in `log.user_ids`, ascending.
        until: microseconds UTC; ages count back from it.
        confidence: how events become confidences.

    Returns:
        (rows, n_items) each.
    """
    end = log.before(until)
    row = np.full(len(log.user_ids), -1, dtype=np.int64)
    row[users] = np.arange(len(users))
    rows, columns = row[log.users[:end]], positions[log.items[:end]]
    there = np.flatnonzero((rows >= 0) & (columns >= 0))
    cells, cell = np.unique(rows[there] * n_items + columns[there], return_inverse=True)
    age = (until - log.times[there]) / DAY
    newest = np.full(len(cells), np.inf)
    np.minimum.at(newest, cell, age)
    if confidence is None or confidence.binary:
        worth = np.ones(len(cells))
    else:
        decay = 1.0 if confidence.half_life_days is None else np.exp2(-age / confidence.half_life_days)
        worth = np.maximum(np.bincount(cell, log.worth[there] * decay, len(cells)), np.finfo(np.float32).tiny)
    starts = np.searchsorted(cells, np.arange(len(users) + 1) * n_items)
    matrix = csr_array(
        (worth.astype(np.float32), (cells % max(n_items, 1)).astype(np.int32), starts),
        shape=(len(users), n_items),
    )
    return matrix, beside(matrix, newest.astype(np.float32))
