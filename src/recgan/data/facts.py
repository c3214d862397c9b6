"""What is true of a table of events as a whole: the engine is asked, and the rows stay there."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recgan.data.engine import Engine, rows_of
from recgan.data.events import EVENTS, parts_of, period_of
from recgan.data.quarantine import Beside, labelled_fakes


@dataclass(frozen=True)
class KeptFacts:
    """What the kept events are as a whole."""

    rows: int
    users: pa.Table
    """`user_id` and `n`, how many events that user has: the most first, then by id."""
    items: int
    """How many different ones."""
    period: tuple[datetime | None, datetime | None]
    """The first and the last instant."""
    newest_of_source: datetime | None
    """The last instant without what came of the server's answers."""


def beside_of(engine: Engine, folder: Path, users: pa.Table) -> Beside:
    """Return what other rows and tables say of the events of a folder, as `quarantine.beside` does in memory.

    Args:
        engine: that groups and joins.
        folder: of events.parquet, items.parquet and users.parquet.
        users: the last of them.
    """
    events = engine.read(folder / "events.parquet")
    return Beside(
        _lacking(events, engine.read(folder / "items.parquet"), "item_id"),
        _lacking(events, engine.read(folder / "users.parquet"), "user_id"),
        labelled_fakes(users),
        copies_of(engine, folder / "events.parquet"),
    )


def copies_of(engine: Engine, path: Path) -> tuple[NDArray[np.int64], ...]:
    """Return for each part the numbers of the rows that equal an earlier one in all columns, ascending.

    Earlier is the order of the parts by name, and of the rows in a part. Nulls are equal, as they are to
    pandas, and so are NaN and null, 0.0 and -0.0.
    """
    alike = _alike(engine, path)
    alike = alike.mutate(nth=ibis.row_number().over(group_by=EVENTS.names, order_by=["part", "row"]))
    copies = rows_of(alike.filter(alike.nth > 0).select("part", "row"))
    parts, rows = copies["part"].to_numpy(), copies["row"].to_numpy()
    found = tuple(np.sort(rows[parts == part.name]) for part in parts_of(path))
    assert sum(map(len, found)) == len(copies), "a row of no known part"
    return found


def equal_rows(engine: Engine, path: Path) -> pd.DataFrame:
    """Return the events that equal another one in all columns, the first of them too."""
    alike = _alike(engine, path)
    alike = alike.mutate(n=alike.count().over(ibis.window(group_by=EVENTS.names)))
    found: pd.DataFrame = rows_of(alike.filter(alike.n > 1).select(EVENTS.names)).cast(EVENTS).to_pandas()
    return found


def kept_facts(engine: Engine, path: Path) -> KeptFacts:
    """Return what the kept events are as a whole."""
    events = engine.read(path)
    users = rows_of(events.group_by("user_id").agg(n=events.count()))
    items = rows_of(events.agg(n=events.item_id.nunique()))
    return KeptFacts(
        rows=sum(pq.read_metadata(part).num_rows for part in parts_of(path)),
        users=users.sort_by([("n", "descending"), ("user_id", "ascending")]),
        items=items["n"][0].as_py(),
        period=period_of(path),
        newest_of_source=period_of(path, feedback=False)[1],
    )


def _lacking(events: ibis.Table, table: ibis.Table, column: str) -> pa.Array:
    ids = events.filter(events[column].notnull()).select(column).distinct()
    return rows_of(ids.anti_join(table, column))[column].cast(pa.string()).combine_chunks()


def _alike(engine: Engine, path: Path) -> ibis.Table:
    """Return the rows whose hash another row has too, `part` and `row` beside them: few, in a sound log.

    A hash that differs means that the rows do; equal hashes mean nothing yet.
    """
    hashes = _hashed(engine.read(path)).select("hash")  # a second reading: one expression would be kept whole
    often = hashes.group_by("hash").agg(n=hashes.count())
    return _hashed(engine.numbered(path)).semi_join(often.filter(often.n > 1), "hash")


def _hashed(events: ibis.Table) -> ibis.Table:
    events = events.mutate(value=_plain(events.value), price=_plain(events.price))
    return events.mutate(hash=ibis.struct({name: events[name] for name in EVENTS.names}).hash())


def _plain(number: ibis.Value) -> ibis.Value:
    return number.isnan().ifelse(None, number) + 0.0  # -0.0 + 0.0 is 0.0
