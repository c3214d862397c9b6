"""What shoppers were shown, and what came of it: the tables that the server writes and others read.

Below a folder of the registered model's name, `shown` and `feedback` hold a folder for each day (UTC) such as
date=2026-01-31, and in it files that are finished, .parquet, and one for each server that is still written,
.arrows (Arrow's stream format). A file of a server that was killed keeps the second form until the next one
starts; all that it holds is read. Where servers log to PostgreSQL, `logged` brings what they wrote there.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.core import layout
from recgan.core.errors import RecganError

log = logging.getLogger(__name__)

INSTANT = pa.timestamp("us", tz="UTC")
CLOCKS = timedelta(minutes=5)
"""A shop's clock may be so far ahead of the server's."""

BEST, DRAWN, INTERLEAVED = "champion", "plackett_luce", "interleave"
"""Policies: the best items in their order, with probability 1; drawn from the best, by exploration; and
from two versions' rankings, by team draft."""

SHOWN = pa.schema(
    {
        "request_id": pa.string(),
        "time": INSTANT,
        "user_id": pa.string(),  # null where the request names nobody
        "history": pa.list_(pa.string()),  # items of the request's own events, oldest first as it gave them
        "k": pa.int32(),
        "exclude_seen": pa.bool_(),
        "categories": pa.list_(pa.string()),  # null without such a filter
        "min_price": pa.float64(),
        "max_price": pa.float64(),
        "item_ids": pa.list_(pa.string()),  # best first
        "scores": pa.list_(pa.float32()),
        "name": pa.string(),  # of the registered model
        "version": pa.string(),
        "policy": pa.string(),  # which rule chose the order: BEST, DRAWN or INTERLEAVED
        "propensities": pa.list_(
            pa.float64()
        ),  # of each item at its place, given those above; null: not known
        "fallback": pa.bool_(),  # popularity stood in for the model
        "candidates": pa.list_(pa.string()),  # that a list was drawn from; null for the best in their order
        "log_weights": pa.list_(pa.float64()),  # of the candidates (recgan.online.plackett_luce)
        "experiment": pa.string(),  # its id; null where the answer counts in no arm
        "arm": pa.string(),  # champion, challenger, interleaved; where the challenger failed, version says so
        "teams": pa.list_(pa.string()),  # of an interleaved list: whose each item is
        "milliseconds": pa.float32(),  # that the answer took
    }
)
"""One row for each answer of /recommend."""

FEEDBACK = pa.schema(
    {
        "request_id": pa.string(),
        "item_id": pa.string(),
        "event": pa.string(),  # view, cart, purchase
        "time": INSTANT,  # when it happened; when it was told where the shop does not say
        "value": pa.float64(),  # pieces of a purchase; null for one
        "price": pa.float64(),  # of one piece
        "received": INSTANT,
    }
)
"""One row for each thing that came of an answer, as the shop told it."""

OPEN, FINISHED = ".arrows", ".parquet"
FINISH = "finish"
"""In a table's folder: servers finish what they began to write before this file was touched."""


DATABASE = "RECGAN_SERVE_IMPRESSIONS_URL"
"""Names the variable with the address of the PostgreSQL that servers log to, where they log to one."""


def logged(root: Path, name: str) -> Path:
    """Return the folder of a model's log, with what servers have written to PostgreSQL until now.

    Args:
        root: the project.
        name: of the registered model.

    Raises:
        RecganError: DATABASE is no address, or the database refuses.
        Unavailable: the database does not answer.
    """
    folder = root / layout.IMPRESSIONS / name
    if os.environ.get(DATABASE):
        from recgan.data.impressions_database import database, pull

        if (url := database()) is not None:
            pull(folder, url)
    return folder


def read_shown(folder: Path) -> pa.Table:
    """Return all answers that a model's servers have logged, files that are being written included.

    Args:
        folder: of the registered model.

    Raises:
        RecganError: a finished file is damaged.
    """
    return _read(folder / "shown", SHOWN)


def read_feedback(folder: Path) -> pa.Table:
    """Return all that came of the answers, as `read_shown` does.

    Raises:
        RecganError: a finished file is damaged.
    """
    return _read(folder / "feedback", FEEDBACK)


def read_open(path: Path) -> pa.Table | None:
    """Return the rows of a file that is still written, or whose writer was killed: all whole batches.

    Returns:
        None where not even the columns are whole.
    """
    batches: list[pa.RecordBatch] = []
    with path.open("rb") as file:
        try:
            reader = pa.ipc.open_stream(file)
        except (pa.ArrowInvalid, OSError):
            return None
        try:
            while True:
                batches.append(reader.read_next_batch())
        except (StopIteration, pa.ArrowInvalid, OSError):
            pass  # the end, or a batch that is not whole
    return pa.Table.from_batches(batches, reader.schema)


def scan_shown(
    folder: Path, first: date | None = None, last: date | None = None, columns: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """Return the answers of a range of days as they are read, a file at a time.

    Memory holds a file of at most 100,000 rows. DuckDB, Ibis and pandas take such a reader, once.

    Args:
        folder: of the registered model.
        first: day (UTC) of the first answers; None for the first there are.
        last: day of the last answers, itself included; None for the last there are.
        columns: of SHOWN that are wanted; None for all.

    Raises:
        RecganError: a finished file is damaged; perhaps only while it is read.
    """
    return _scan(folder / "shown", SHOWN, "time", first, last, columns)


def scan_feedback(
    folder: Path, first: date | None = None, last: date | None = None, columns: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """Return what was told in a range of days, whenever it happened, as `scan_shown` does.

    Raises:
        RecganError: a finished file is damaged; perhaps only while it is read.
    """
    return _scan(folder / "feedback", FEEDBACK, "received", first, last, columns)


def files_of(folder: Path) -> list[Path]:
    """Return the files of one table by day and name, finished ones and those still written."""
    found = sorted(folder.glob("date=*/*"))
    finished = {path for path in found if path.suffix == FINISHED}
    return [
        path
        for path in found
        if path in finished or (path.suffix == OPEN and path.with_suffix(FINISHED) not in finished)
    ]


def read_file(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of one file, in the order in which they were written.

    Args:
        path: as `files_of` returns it; it may have been finished since.
        schema: of its table. A file of another version may lack a column, or have one more.
        columns: that are wanted; None for all.

    Raises:
        RecganError: a finished file is damaged.
    """
    names = list(columns or schema.names)
    wanted = pa.schema([schema.field(name) for name in names])
    found: pa.Table | None = None
    try:
        if path.suffix == OPEN:
            try:
                found = read_open(path)
            except FileNotFoundError:  # finished since they were listed
                path = path.with_suffix(FINISHED)
        if path.suffix == FINISHED:
            with pq.ParquetFile(path) as file:
                found = file.read(columns=[name for name in names if name in file.schema_arrow.names])
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise RecganError(f"{path} is damaged ({error}); move it away") from None
    tables = [wanted.empty_table(), *([] if found is None else [found])]
    return pa.concat_tables(tables, promote_options="default").select(names)


def _read(folder: Path, schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *(read_file(path, schema) for path in files_of(folder))])


def _scan(
    folder: Path,
    schema: pa.Schema,
    instant: str,
    first: date | None,
    last: date | None,
    columns: Sequence[str] | None,
) -> pa.RecordBatchReader:
    names = list(columns or schema.names)
    wanted = pa.schema([schema.field(name) for name in names])
    start = first and datetime.combine(first, time(), UTC)
    end = last and datetime.combine(last + timedelta(days=1), time(), UTC)

    def batches() -> Iterator[pa.RecordBatch]:
        for path in files_of(folder):
            day = path.parent.name
            # What is written just after midnight may be of the day before.
            if (first and day < f"date={first}") or (last and day > f"date={last + timedelta(days=1)}"):
                continue
            table = read_file(path, schema, list(dict.fromkeys([*names, instant])))
            if start is not None:
                table = table.filter(pc.field(instant) >= pa.scalar(start, INSTANT))
            if end is not None:
                table = table.filter(pc.field(instant) < pa.scalar(end, INSTANT))
            yield from table.select(names).to_batches()

    return pa.RecordBatchReader.from_batches(wanted, batches())
