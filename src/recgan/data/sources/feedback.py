"""What came of answers, as further events of any source."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recgan.core.files import write_json
from recgan.data.collected import (
    COLLECTED,
    REASONS,
    SUMMARY,
    parts_collected,
    read_collected,
    read_index,
    sentence,
)
from recgan.data.events import EVENTS, FEEDBACK_PART, ITEMS, USERS, parts_of, period_of, read_table
from recgan.data.settings import FeedbackParams
from recgan.data.sources.columns import distinct_ids
from recgan.data.sources.ids import stripped_ids

log = logging.getLogger(__name__)

_KEY = ["user_id", "item_id", "event"]


def add_feedback(params: FeedbackParams, collected: Path, into: Path) -> None:
    """Append what came of answers to a source's tables, as a part of its own behind the source's parts.

    Feedback is left out whose item the source lacks, whose event the source has, or which repeats another.
    All of it is in memory at once, of the source's events a few rows at a time.

    Args:
        params: how far apart two events are one.
        collected: the folder data/feedback, which may be missing.
        into: the folder of the three tables. It gets feedback.json beside them: how many of the events come
            from feedback, and how much of it is left out for which reason.

    Raises:
        RecganError: what was collected is damaged.
    """
    index = read_index(collected)
    tables = [read_collected(part) for part in parts_collected(collected)]
    told = pa.concat_tables([COLLECTED.empty_table(), *tables])
    if len(told):
        told = told.set_column(1, "user_id", stripped_ids(told["user_id"])[0])
    told = _sorted(told, *_KEY, "time", "received", "request_id")
    rows = told.to_pandas()
    events = into / "events.parquet"
    within = timedelta(seconds=params.same_seconds)
    known = read_table(into / "items.parquet", ITEMS, ["item_id"])["item_id"].to_pandas()
    reason = np.select(
        [
            rows["user_id"] == "",
            ~rows["item_id"].isin(known),
            _repeated(rows, within),
            _in_log(rows, events, within),
        ],
        ["no_user", "unknown_item", "repeated", "in_log"],
        "",
    )
    kept = told.filter(pa.array(reason == ""))
    last = period_of(events)[1]
    counts = pd.Series(reason[reason != ""]).value_counts()
    left_out = {name: index.left_out.get(name, 0) + int(counts.get(name, 0)) for name in REASONS}
    if len(kept):
        _append(kept, events)
        _add_users(kept, into / "users.parquet")
    summary = {"events": len(kept), "told": index.told, "waiting": index.waiting, "left_out": left_out}
    write_json(into / SUMMARY, summary)
    log.info("%s", sentence(summary))
    _tell_of_a_gap(kept, last)


def _repeated(rows: pd.DataFrame, within: timedelta) -> "pd.Series[bool]":
    """Say which rows, sorted by key and time, follow another of their key within that time."""
    before = rows.shift()
    same = (rows[_KEY] == before[_KEY]).all(axis=1)
    return same & (rows["time"] - before["time"] <= within)


def _in_log(rows: pd.DataFrame, events: Path, within: timedelta) -> NDArray[np.bool_]:
    """Say which rows have an event of the source with their key, at most so far away."""
    found = np.zeros(len(rows), bool)
    if not len(rows):
        return found
    instant = EVENTS.field("timestamp").type
    near = pc.field("timestamp") >= pa.scalar(rows["time"].min() - within, instant)
    near &= pc.field("timestamp") <= pa.scalar(rows["time"].max() + within, instant)
    near &= pc.field("user_id").isin(pa.array(rows["user_id"].unique(), pa.string()))
    log_rows = ds.dataset(list(map(str, parts_of(events)))).scanner(columns=[*_KEY, "timestamp"], filter=near)
    ours = rows[[*_KEY, "time"]].reset_index(names="row")
    for batch in log_rows.to_batches():
        if batch.num_rows:
            pairs = ours.merge(batch.to_pandas(), on=_KEY)
            found[pairs.loc[(pairs["time"] - pairs["timestamp"]).abs() <= within, "row"]] = True
    return found


def _sorted(table: pa.Table, *columns: str) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in columns])


def _append(rows: pa.Table, events: Path) -> None:
    if not events.is_dir():
        alone = events.rename(events.with_name("one.parquet"))
        events.mkdir()
        alone.rename(events / "part-00000.parquet")
    none = pa.nulls(len(rows), pa.string())
    own = rows.rename_columns({"time": "timestamp"}).append_column("session_id", none)
    own = own.append_column("split", none).select(EVENTS.names)
    pq.write_table(_sorted(own, "timestamp", *_KEY), events / FEEDBACK_PART, compression="zstd")


def _add_users(rows: pa.Table, path: Path) -> None:
    """Add the shoppers whom only answers name."""
    users = read_table(path, USERS)
    more = distinct_ids(rows["user_id"])
    more = more.filter(pc.invert(pc.is_in(more, value_set=users["user_id"].combine_chunks())))
    if len(more):
        new = pa.table({"user_id": more, "fake": pa.nulls(len(more), pa.bool_())}, USERS)
        pq.write_table(pa.concat_tables([users, new]), path, compression="zstd")


def _tell_of_a_gap(rows: pa.Table, last: datetime | None) -> None:
    """Warn where feedback goes on after the source's log has ended."""
    if last is None or not len(rows):
        return
    after = pc.max(rows["time"]).as_py() - last
    if after > timedelta(days=1):
        log.warning(
            "feedback goes on for %.1f days after the last event of the source (%s): a split in time counts "
            "its windows back from the newest event, so they hold little but feedback; bring the source up "
            "to date, or set ingest.feedback to null",
            after / timedelta(days=1), f"{last:%Y-%m-%d}",
        )  # fmt: skip
