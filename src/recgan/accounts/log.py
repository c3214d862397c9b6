"""The kept events as pairs of account and item: what every detector reads."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recgan.data.codes import Coded, code_rows
from recgan.data.engine import batches_of, engine
from recgan.data.events import EVENTS, USERS, check_table, read_table
from recgan.data.quarantine import QUARANTINE
from recgan.data.settings import EVENT_KINDS
from recgan.data.sums import FIXED_POINT, count, fixed_sum, known

DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Log:
    """The distinct pairs of account and item, sorted by account and then by item."""

    user_ids: NDArray[np.object_]
    """Sorted; `user` counts into it."""
    item_ids: NDArray[np.object_]
    """Sorted; `item` counts into it."""
    user: NDArray[np.int32]
    """(pairs,)"""
    item: NDArray[np.int32]
    """(pairs,)"""
    first: NDArray[np.float64] | None
    """(pairs,) days from the log's start to the pair's first event; None where an event has no time."""
    events: NDArray[np.int32]
    """(pairs,) how many there are of the pair."""
    kinds: NDArray[np.uint8]
    """(pairs,) a bit for each kind that is among them, in the order of EVENT_KINDS."""
    stars: NDArray[np.float32]
    """(pairs,) mean of the ratings; NaN without one."""
    start: datetime | None
    """Of the log (UTC)."""
    end: float
    """Days from the log's start to its last event; 0 without times."""

    def without(self, out: NDArray[np.bool_]) -> "Log":
        """Return the log without the pairs of some accounts, (users,); ids, positions and the end stay."""
        stay = ~out[self.user]
        return replace(
            self,
            user=self.user[stay],
            item=self.item[stay],
            first=None if self.first is None else self.first[stay],
            events=self.events[stay],
            kinds=self.kinds[stay],
            stars=self.stars[stay],
        )


def read_log(kept: Path) -> Log:
    """Read the pairs of the kept events.

    Args:
        kept: folder of events.parquet.

    Raises:
        RecganError: the table is missing or has other columns.
    """
    return _read(kept, with_fakes=False)


def read_taught(kept: Path) -> tuple[Log, NDArray[np.int8]] | None:
    """Read the kept events with those of labelled fakes, which validate left out, and the labels of all.

    Returns:
        None where no labelled fake was left out.

    Raises:
        RecganError: a table is missing or has other columns.
    """
    out = read_table(kept / "quarantine.parquet", QUARANTINE, ["user_id", "reason"])
    fakes = out.filter(pc.equal(out["reason"], "fake_account"))["user_id"].unique()
    if not len(fakes):
        return None
    log = _read(kept, with_fakes=True)
    left_out = pc.is_in(pa.array(log.user_ids, pa.string()), value_set=fakes)
    labels = np.where(left_out.to_numpy(zero_copy_only=False), 1, read_labels(kept, log))
    return log, labels.astype(np.int8)


def log_of(events: ibis.Table) -> Log:
    """Sum up events to pairs, on any backend of Ibis; nothing depends on their order."""
    rated = (events.event == "rating") & known(events.value)
    kinds: Any = sum(
        ((events.event == kind).any().cast("int8") * 2**place for place, kind in enumerate(EVENT_KINDS)),
        start=ibis.literal(0, "int8"),
    )
    pairs = events.group_by("user_id", "item_id").aggregate(
        first=events.timestamp.min(),
        last=events.timestamp.max(),
        undated=events.timestamp.isnull().any(),
        events=events.count().cast("int32"),
        kinds=kinds.cast("int8"),
        stars=fixed_sum(rated.ifelse(events.value, None)),
        ratings=count(rated),
    )
    return _coded(code_rows(batches_of(pairs)))


def _read(kept: Path, with_fakes: bool) -> Log:
    """Sum up the kept events, and those of labelled fakes that validate left out."""
    check_table(kept / "events.parquet", EVENTS)
    with engine() as tables:
        events = tables.read(kept / "events.parquet")
        if with_fakes:
            out = tables.read(kept / "quarantine.parquet")
            events = events.union(out.filter(out.reason == "fake_account").select(EVENTS.names))
        return log_of(events)


def read_labels(kept: Path, log: Log) -> NDArray[np.int8]:
    """Return the label of each account of a log: 1 fake, 0 genuine, -1 none.

    Args:
        kept: folder of users.parquet.
        log: of the same folder.

    Raises:
        RecganError: the table is missing or has other columns.
    """
    users = read_table(kept / "users.parquet", USERS)
    place = pc.index_in(pa.array(log.user_ids, pa.string()), value_set=users["user_id"].combine_chunks())
    fake = users["fake"].combine_chunks().take(place).cast(pa.int8())
    labels: NDArray[np.int8] = pc.fill_null(fake, pa.scalar(-1, pa.int8())).to_numpy()
    return labels


def _coded(coded: Coded) -> Log:
    pairs = coded.columns
    first, start, end = None, None, 0.0
    if len(pairs["user"]) and not pairs["undated"].any():
        instants, last = pairs["first"], pairs["last"].max()
        first = (instants - instants.min()) / DAY
        start = datetime.fromtimestamp(instants.min() / 1e6, UTC)
        end = float((last - instants.min()) / DAY)
    ratings = pairs["ratings"]
    stars = np.divide(
        pairs["stars"] / FIXED_POINT, ratings, out=np.full(len(ratings), np.nan), where=ratings > 0
    ).astype(np.float32)
    return Log(
        coded.user_ids,
        coded.item_ids,
        pairs["user"],
        pairs["item"],
        first,
        pairs["events"],
        pairs["kinds"].astype(np.uint8),
        stars,
        start,
        end,
    )
