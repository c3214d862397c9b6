"""People who were forgotten, and whom an export brings back: they become no events."""

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.data.chunks import chunks_of
from recgan.data.events import EVENTS, USERS, parts_of, read_table
from recgan.data.forgotten import Forgotten

log = logging.getLogger(__name__)


def leave_out(forgotten: Forgotten, into: Path) -> None:
    """Remove the events of people who were forgotten from a source's tables, and say how many.

    Args:
        forgotten: their hashes; without any nothing is read.
        into: the folder of the three tables.
    """
    if not forgotten.people:
        return
    users = read_table(into / "users.parquet", USERS)
    named = forgotten.holds(users["user_id"])
    if pc.any(named).as_py():
        pq.write_table(users.filter(pc.invert(named)), into / "users.parquet", compression="zstd")
    for facts in into.glob("facts/*/*.parquet"):  # beside the parts of a log; those of orders may name people
        if facts.stem in ("user_id", "orders"):
            table = pq.read_table(facts, partitioning=None)
            pq.write_table(_without(forgotten, table), _new(facts), compression="zstd")
            _new(facts).replace(facts)
    removed = 0
    for part in parts_of(into / "events.parquet"):
        found = forgotten.holds(pq.read_table(part, columns=["user_id"], partitioning=None)["user_id"])
        if not pc.any(found).as_py():
            continue
        removed += pc.sum(found).as_py()
        with pq.ParquetWriter(_new(part), EVENTS, compression="zstd") as writer:
            for table in chunks_of(part):
                writer.write_table(table.filter(pc.invert(forgotten.holds(table["user_id"]))))
        _new(part).replace(part)
    if removed:
        log.info("%s events of people whom forgotten.json names are left out", f"{removed:,}")


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")  # the old file may be a part of the ingest before as well


def _without(forgotten: Forgotten, table: pa.Table) -> pa.Table:
    """Return the rows that name nobody who was forgotten, in any column of text."""
    for column in table.column_names:
        if pa.types.is_string(table[column].type):
            table = table.filter(pc.invert(forgotten.holds(table[column])))
    return table
