"""What shoppers were shown, and what came of it: the tables that the server writes and others read.

Below a folder of the registered model's name, `shown` and `feedback` hold a folder for each day (UTC) such as
date=2026-01-31, and in it files that are finished, .parquet, and one for each server that is still written,
.arrows (Arrow's stream format). A file of a server that was killed keeps the second form until the next one
starts; all that it holds is read.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.errors import RecganError

log = logging.getLogger(__name__)

INSTANT = pa.timestamp("us", tz="UTC")

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
        "propensities": pa.list_(pa.float64()),  # of each item at its place, given the ones above it
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


def _read(folder: Path, schema: pa.Schema) -> pa.Table:
    tables = [one for one in _tables(folder) if one is not None]
    # A file of another version may lack a column, or have one more.
    whole = pa.concat_tables([schema.empty_table(), *tables], promote_options="default")
    return whole.select(schema.names)


def _tables(folder: Path) -> Iterator[pa.Table | None]:
    found = sorted(folder.glob("date=*/*"))
    finished = {path for path in found if path.suffix == FINISHED}
    for path in found:
        try:
            if path in finished:
                yield pq.ParquetFile(path).read()
            elif path.suffix == OPEN and path.with_suffix(FINISHED) not in finished:
                yield read_open(path)
        except FileNotFoundError:  # finished since they were listed
            yield pq.ParquetFile(path.with_suffix(FINISHED)).read()
        except (pa.ArrowInvalid, OSError, ValueError) as error:
            raise RecganError(f"{path} is damaged ({error}); move it away") from None
