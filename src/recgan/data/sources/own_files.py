"""The user's own CSV or Parquet files, with a mapping from their columns to ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BeforeValidator

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.core.temporary import temporary_folder
from recgan.data.events import EVENTS, ITEMS, USERS, Tables, read_tables
from recgan.data.settings import EventKind, Source
from recgan.data.sources.columns import descriptions, distinct_ids, to_table
from recgan.data.sources.conversion import IDS, Facts, converted, plain
from recgan.data.sources.csv_format import CsvFormat
from recgan.data.sources.ids import decide_ids, stripped_ids, tell_missing, without_fraction
from recgan.data.sources.ids_seen import IdsSeen
from recgan.data.sources.own_log import OwnLog
from recgan.data.sources.parts import find_parts, read_parts
from recgan.data.sources.rows import FillDown
from recgan.data.sources.times import TimeFormat, ZoneName


def _event_name(name: Any) -> Any:
    # YAML reads an unquoted 1 as a number, and some readers yes, on and off as truth values.
    if isinstance(name, str) or type(name) is int:
        return str(name)
    raise ValueError(f"YAML reads the name {name!r} as no text; write it in quotes, as the file has it")


EventName = Annotated[str, BeforeValidator(_event_name)]


class OwnFilesSource(Source):
    """The user's own CSV or Parquet files with a mapping of columns."""

    source: Literal["files"]
    events: str
    """Name of the events file inside `path` (.csv, .tsv or .txt, each also in .gz, or .parquet), of a folder
    of part files, or a pattern such as orders-*.csv; a point where `path` is itself the file or folder."""
    csv: CsvFormat
    """How CSV files are written."""
    items: str | None
    """Name of the items file inside `path`; null makes the items from the events."""
    users: str | None
    """Name of the users file inside `path`; null makes the users from the events."""
    columns: dict[str, str]
    """recgan's event column → the file's column; user_id, item_id and timestamp are required."""
    item_columns: dict[str, str]
    """recgan's item column → the file's column; item_id is required where `items` is given. Where it is not,
    the columns are those of the events file, and an item's first event describes it."""
    user_columns: dict[str, str]
    """recgan's user column → the file's column; user_id is required where `users` is given."""
    event: EventKind | None
    """The kind of every event when the file has no such column; null when it has."""
    event_names: dict[EventName, EventKind]
    """The file's name of an event kind → ours, where they differ."""
    fill_down: FillDown | None
    """Columns of the events file that only the first row of an order has filled; null where every row has."""
    leave_out: dict[str, tuple[str, ...]]
    """Column of the events file → values whose rows are no events, such as a status of refunded orders; an
    empty list means any value. Case and blanks around do not matter."""
    null_words: tuple[str, ...]
    """Words that stand for a missing value in any column, in upper or lower case; blank always does. Take one
    out if it is an id or a title of yours."""
    timezone: ZoneName | None
    """IANA name of the zone (Europe/Berlin) of times that are written without one; null takes those as UTC,
    and refuses a column where others have a zone."""
    time_format: TimeFormat | None
    """How text in columns.timestamp is written, in Python's directives, such as %d.%m.%Y %H:%M; null reads
    ISO 8601 and unix numbers."""


def read(params: OwnFilesSource, folder: Path) -> Tables:
    """Read events, and items and users where there are such files, into memory; see `write`."""
    with temporary_folder() as into:
        write(params, folder, into)
        return read_tables(into)


def write(params: OwnFilesSource, folder: Path, into: Path, earlier: Path | None = None) -> None:
    """Write events, and items and users where there are such files; no memory holds the whole log.

    Ids become text as their shop knows them (see ids.py), times instants in UTC (see times.py). Kinds of
    events that `event_names` does not name pass through: judging them is validation's part.

    Args:
        params: the section `ingest`.
        folder: where the files lie.
        into: an existing folder for the three tables; events.parquet is a folder where the log has parts.
        earlier: what an ingest before wrote. Parts that would become the same are linked from there.

    Raises:
        RecganError: a file is missing, empty or not readable; a column is missing or stands twice; lines are
            lost in quotes; a value has the wrong type or lost its digits; an id stands twice in the items or
            users.
    """
    if params.event is not None and "event" in params.columns:
        raise RecganError(
            f"both ingest.event ({params.event}) and ingest.columns.event ({params.columns['event']}) are "
            "given; remove the column, or set ingest.event to null"
        )
    if params.items is None and "item_id" in params.item_columns:
        raise RecganError(
            "ingest.item_columns has item_id, but there is no file of items: the events describe them, whose "
            "ids are in ingest.columns.item_id; remove it, or name the file in ingest.items"
        )
    required = ["user_id", "item_id", "timestamp"] + (["event"] if params.event is None else [])
    _check_mapping("columns", params.columns, EVENTS, required)
    if params.items is None:
        _check_mapping("item_columns", params.item_columns, ITEMS, [])
    find_parts(folder / params.events, "events")
    catalogues = [
        _catalogue(params, folder / file, name, columns, schema, ours)
        for name, file, columns, schema, ours in (
            ("items", params.items, params.item_columns, ITEMS, "item_id"),
            ("users", params.users, params.user_columns, USERS, "user_id"),
        )
        if file is not None
    ]
    seen = {catalogue.ours: catalogue.seen for catalogue in catalogues}
    path = folder / params.events
    log = OwnLog(params, path, _needed(params), seen, into)
    log.write(earlier)
    once: dict[str, pa.Array] = {}
    for ours in IDS:
        if (ids := log.ids(ours)) is None:
            continue
        having = {f"{path}, column {params.columns[ours]}": ids}
        having |= {one.where: (one.seen, one.distinct) for one in catalogues if one.ours == ours}
        once[ours], drop = decide_ids(having, cased=ours != "event")
        for catalogue in catalogues:
            if catalogue.ours == ours:
                column = catalogue.columns[ours]
                catalogue.columns[ours] = without_fraction(column) if drop else column
                _check_ids(catalogue.columns[ours], catalogue.where)
    log.settle()
    tables = {catalogue.name: catalogue.columns for catalogue in catalogues}
    items = tables.get("items") or {"item_id": distinct_ids(once["item_id"])}
    if params.items is None and params.item_columns:
        items = descriptions(distinct_ids(once["item_id"]), log.first_sales())
    users = tables.get("users") or {"user_id": distinct_ids(once["user_id"])}
    pq.write_table(to_table(items, ITEMS, len(items["item_id"])), into / "items.parquet", compression="zstd")
    pq.write_table(to_table(users, USERS, len(users["user_id"])), into / "users.parquet", compression="zstd")
    log.close()


def check_files(params: OwnFilesSource, folder: Path) -> None:
    """Raise a RecganError where a file that is named is missing; nothing is read."""
    for name in ("events", "items", "users"):
        if (file := getattr(params, name)) is not None:
            find_parts(folder / file, name)


def _needed(params: OwnFilesSource) -> dict[str, str]:
    """Return the columns of the events file that are read, by the parameters that name them."""
    needed = _parameters("columns", params.columns)
    if params.items is None:
        needed |= _parameters("item_columns", params.item_columns)
    needed |= {f"leave_out.{column}": column for column in params.leave_out}
    if (fill := params.fill_down) is not None:
        needed |= {"fill_down.order": fill.order} | {f"fill_down.columns: {c}": c for c in fill.columns}
    return needed


@dataclass(frozen=True)
class _Catalogue:
    """A file of items or users; its ids may still have fractions."""

    name: str
    ours: str
    where: str
    columns: dict[str, Any]
    seen: IdsSeen
    distinct: pa.Array


def _catalogue(
    params: OwnFilesSource, path: Path, name: str, columns: Mapping[str, str], schema: pa.Schema, ours: str
) -> _Catalogue:
    """Read the mapped columns of a file of items or users in a schema's types.

    Args:
        params: whose words stand for nothing.
        path: the file, or a folder of its parts.
        name: its parameter in params.yaml, for messages.
        columns: our column → the file's.
        schema: the table's.
        ours: our column of its ids.
    """
    parameter = f"{name[:-1]}_columns"
    _check_mapping(parameter, columns, schema, [ours])
    table = plain(read_parts(path, name, _parameters(parameter, columns), params.csv))
    facts = Facts()
    read: dict[str, Any] = converted(params, path, table, Facts(), facts, columns, schema)
    for column, theirs in columns.items():
        tell_missing(facts.missing.get(column, {}), f"{path}, column {theirs}")
    where = f"{path}, column {columns[ours]}"
    if ours in facts.numbers:
        facts.numbers[ours].check(table[columns[ours]].type, where)
    read[ours], seen, distinct = stripped_ids(read[ours])
    return _Catalogue(name, ours, where, read, seen, distinct)


def _parameters(parameter: str, columns: Mapping[str, str]) -> dict[str, str]:
    return {f"{parameter}.{ours}": theirs for ours, theirs in columns.items()}


def _check_mapping(
    parameter: str, columns: Mapping[str, str], schema: pa.Schema, required: list[str]
) -> None:
    known = [column for column in schema.names if column != "split"]
    for column in required:
        if column not in columns:
            remedy = " (or ingest.event, where all are of one kind)" if column == "event" else ""
            raise RecganError(
                f"ingest.{parameter} does not say which column is {column}; add {column}{remedy}"
            )
    for column in columns:
        if column not in known:
            raise RecganError(
                f"ingest.{parameter} has {column}, which is none of {', '.join(known)}; remove it"
            )


def _check_ids(ids: pa.ChunkedArray, where: str) -> None:
    if ids.null_count:
        row = pc.index(pc.is_null(ids), True).as_py() + 1
        raise RecganError(f"{where}, row {row}: no id; remove that row")
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise RecganError(
            f"{where}: {len(twice):,} id(s) more than once, such as {shown(twice[0]['values'])}; "
            "keep one row of each"
        )
