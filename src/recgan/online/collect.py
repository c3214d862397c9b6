"""Bring what came of answers to where the next night's ingest reads it."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recgan.core import layout
from recgan.core.files import link_or_copy, replacing, write_json
from recgan.data.collected import (
    COLLECTED,
    INDEX,
    PARTS,
    WAITING,
    Index,
    parts_collected,
    read_collected,
    read_index,
)
from recgan.data.impressions import CLOCKS, FEEDBACK, INSTANT, OPEN, SHOWN, files_of, logged, read_file
from recgan.data.quarantine import period
from recgan.data.settings import ValidateParams
from recgan.settings import Params

log = logging.getLogger(__name__)

WAITS = timedelta(days=1)
"""Feedback may be there before its answer: two threads write, and perhaps two machines. So long it waits."""
_ANSWER = ["request_id", "time", "user_id", "item_ids"]
_SAME = ["request_id", "item_id", "event"]


@dataclass(frozen=True)
class Collecting:
    """What one collecting came to."""

    read: int
    """Rows that no collecting before had read."""
    added: int
    """Rows that the events now have more, before ingest looks at them."""
    index: Index
    """What there is in all."""


def collect(root: Path, params: Params, now: datetime | None = None) -> Collecting | None:
    """Join what servers were told since the last collecting with what they had shown, into data/feedback.

    Files that a server still writes are read as far as their batches are whole. Of files that were read
    before only further rows are. The folder is replaced in one step, or stays as it is where nothing is new.

    Args:
        root: the project.
        params: of it.
        now: an aware instant; None is the present.

    Returns:
        None where ingest.feedback is null.

    Raises:
        RecganError: a file of the servers' or of the folder is damaged.
        Unavailable: servers log to a database that does not answer.
    """
    settings, name = params.ingest.feedback, params.register_.name
    if settings is None:
        return None
    now = now or datetime.now(UTC)
    model, folder = logged(root, name), root / layout.FEEDBACK
    before = read_index(folder)
    fresh, segments = _new_rows(model / "feedback", name, before)
    read = len(fresh)
    known = parts_collected(folder)
    if before.waiting:
        fresh = pa.concat_tables([read_collected(folder / WAITING).cast(FEEDBACK), fresh])
    fresh = fresh.sort_by([(name, "ascending") for name in ("received", *_SAME)])
    late = timedelta(days=settings.late_days)
    users, reason, early = _sorted_out(fresh, model / "shown", late, known, params.validate_, now)
    kept, waits = reason == "", reason == "waiting"
    reasons = pd.Series(reason[~kept & ~waits]).value_counts()
    index = Index(
        segments=segments,
        told=before.told + read,
        waiting=int(waits.sum()),
        left_out={
            reason: before.left_out.get(reason, 0) + int(reasons.get(reason, 0))
            for reason in sorted({*before.left_out, *reasons.index})
        },
        early=before.early + int((kept & early).sum()),
    )
    if index != before or not (folder / INDEX).exists():
        with replacing(folder) as new:
            (new / PARTS).mkdir(parents=True)
            for part in known:
                link_or_copy(part, new / PARTS / part.name)
            if kept.any():
                number = int(known[-1].stem.removeprefix("part-")) + 1 if known else 0
                part = new / PARTS / f"part-{number:05d}.parquet"
                pq.write_table(_events(fresh, users).filter(pa.array(kept)), part, compression="zstd")
            if index.waiting:
                pq.write_table(fresh.filter(pa.array(waits)), new / WAITING, compression="zstd")
            write_json(new / INDEX, index.model_dump())
    return Collecting(read, int(kept.sum()), index)


def sentence(done: Collecting | None) -> str:
    """Say what was collected."""
    if done is None:
        return "ingest.feedback is null: nothing is collected"
    index = done.index
    told = f"{done.read:,} rows of feedback are new, and {done.added:,} go on to ingest"
    if index.told:
        parts = [f"{count:,} {reason}" for reason, count in index.left_out.items()]
        told += f"; of {index.told:,} in all {index.waiting:,} wait for their answer, and left out are "
        told += ", ".join(parts) or "none"
    if index.early:
        told += f"; {index.early:,} that went on happened before their answer: is the shop's clock right?"
    return told


def _new_rows(folder: Path, name: str, before: Index) -> tuple[pa.Table, dict[str, int | None]]:
    """Return what is new in a table's files, and how many rows of each are read then."""
    # Of other models: their name is not asked for tonight, and may be again.
    segments = {key: rows for key, rows in before.segments.items() if not key.startswith(f"{name}/")}
    tables = [FEEDBACK.empty_table()]
    for path in files_of(folder):
        key = f"{name}/{path.parent.name}/{path.stem}"
        done = before.segments.get(key, 0)
        segments[key] = None
        if done is not None:
            rows = read_file(path, FEEDBACK)
            tables.append(rows.slice(done))
            if path.suffix == OPEN:
                segments[key] = max(done, len(rows))
    return pa.concat_tables(tables), segments


def _sorted_out(
    told: pa.Table,
    shown: Path,
    late: timedelta,
    known: list[Path],
    rules: ValidateParams,
    now: datetime,
) -> tuple[pa.ChunkedArray, NDArray[np.str_], NDArray[np.bool_]]:
    """Return whose each row is, why it becomes no event, and whether it says a time before its answer's.

    The reason is "" where it becomes one, and "waiting" where it may yet.

    Args:
        told: of FEEDBACK, the first received first.
        shown: folder of the answers.
        late: an answer of longer ago is not found.
        known: the parts collected before.
        rules: one row that breaks them would stop every night from then on.
        now: an aware instant.
    """
    wanted, rows = pc.unique(told["request_id"]), told.to_pandas()
    answers = _answers(shown, wanted, pc.min(told["received"]).as_py(), late)
    place = pc.index_in(told["request_id"], answers["request_id"].combine_chunks())
    users = answers["user_id"].take(place)
    passed = pc.subtract(told["received"], answers["time"].take(place))
    unknown = ~pc.fill_null(pc.less_equal(passed, pa.scalar(late, passed.type)), False).to_numpy()
    broken = _out_of_range(told, rules)
    # Of what is told again in its right form the first counts that can.
    again = np.zeros(len(rows), dtype=bool)
    again[~broken] = rows[~broken].duplicated(_SAME)
    if known:
        before = [read_collected(part, _SAME).filter(pc.field("request_id").isin(wanted)) for part in known]
        earlier = pd.MultiIndex.from_frame(pa.concat_tables(before).to_pandas())
        again |= pd.MultiIndex.from_frame(rows[_SAME]).isin(earlier)
    reason = np.select(
        [
            unknown & pc.greater(told["received"], pa.scalar(now - WAITS, INSTANT)).to_numpy(),
            unknown,
            pc.is_null(users).to_numpy(),
            ~pd.MultiIndex.from_frame(rows[["request_id", "item_id"]]).isin(_pairs(answers)),
            broken,
            again,
        ],
        ["waiting", "unknown_request", "no_user", "not_shown", "out_of_range", "told_again"],
        "",
    )
    earliest = pc.subtract(answers["time"], pa.scalar(CLOCKS, pa.duration("us"))).take(place)
    early = pc.fill_null(pc.less(told["time"], earliest), False).to_numpy()
    return users, reason, early


def _out_of_range(told: pa.Table, rules: ValidateParams) -> NDArray[np.bool_]:
    """Say which rows tell what was not yet, or a time, pieces or a price against the rules."""
    start, end = period(rules)
    times, received = (told[name].to_pandas() for name in ("time", "received"))
    broken = times > received + CLOCKS
    if start is not None:
        broken |= times < start
    if end is not None:
        broken |= times > end
    bought = (told["event"].to_pandas() == "purchase").to_numpy(dtype=bool)
    ranges = (("value", rules.values.get("purchase")), ("price", rules.price))
    for name, limits in ranges:
        number = told[name].to_pandas()
        if limits is not None:
            broken |= bought & number.notna() & ~number.between(limits.low, limits.high)
    found: NDArray[np.bool_] = broken.to_numpy(dtype=bool)
    return found


def _events(told: pa.Table, users: pa.ChunkedArray) -> pa.Table:
    """Return rows of FEEDBACK as those of COLLECTED; of a view or a cart the value says nothing."""
    value = pc.if_else(pc.equal(told["event"], "purchase"), told["value"], pa.scalar(None, pa.float64()))
    return (
        told.set_column(told.column_names.index("value"), "value", value)
        .append_column("user_id", users)
        .select(COLLECTED.names)
    )


def _answers(folder: Path, wanted: pa.Array, received: datetime | None, late: timedelta) -> pa.Table:
    """Return the answers of some ids, once each, looking at the newest days first."""
    found = pa.schema([SHOWN.field(name) for name in _ANSWER]).empty_table()
    if received is None:
        return found
    first = f"date={(received - late).date()}"
    for path in reversed(files_of(folder)):
        if path.parent.name < first or not len(wanted):
            break
        rows = read_file(path, SHOWN, _ANSWER)
        rows = rows.filter(pc.field("request_id").isin(wanted))
        if len(rows):
            found = pa.concat_tables([found, rows])
            wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=rows["request_id"].combine_chunks())))
    first_rows = ~found["request_id"].to_pandas().duplicated().to_numpy()
    return found.filter(pa.array(first_rows))


def _pairs(answers: pa.Table) -> pd.MultiIndex:
    """Return which answer shows which item."""
    lists = answers["item_ids"].combine_chunks()
    answer = answers["request_id"].take(pc.list_parent_indices(lists))
    return pd.MultiIndex.from_arrays([answer.to_pandas(), pc.list_flatten(lists).to_pandas()])
