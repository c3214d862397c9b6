"""The user's own CSV or Parquet files, with a mapping from their columns to ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.settings import EventKind, Source
from recgan.data.sources.cast import cast
from recgan.data.sources.columns import make_tables
from recgan.data.sources.ids import clean_ids, ids_as_text, without_null_words
from recgan.data.sources.parts import read_parts
from recgan.data.sources.times import to_times


def _event_name(name: Any) -> Any:
    # YAML reads an unquoted 1 as a number, and some readers yes, on and off as truth values.
    if isinstance(name, str) or type(name) is int:
        return str(name)
    raise ValueError(f"YAML reads the name {name!r} as no text; write it in quotes, as the file has it")


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; write an IANA name such as Europe/Berlin") from None


EventName = Annotated[str, BeforeValidator(_event_name)]


class OwnFilesSource(Source):
    """The user's own CSV or Parquet files with a mapping of columns."""

    source: Literal["files"]
    events: str
    """Name of the events file inside `path` (.csv, .csv.gz or .parquet), or of a folder of part files."""
    items: str | None
    """Name of the items file inside `path`; null makes the items from the events."""
    users: str | None
    """Name of the users file inside `path`; null makes the users from the events."""
    columns: dict[str, str]
    """recgan's event column → the file's column; user_id, item_id and timestamp are required."""
    item_columns: dict[str, str]
    """recgan's item column → the file's column; item_id is required where `items` is given."""
    user_columns: dict[str, str]
    """recgan's user column → the file's column; user_id is required where `users` is given."""
    event: EventKind | None
    """The kind of every event when the file has no such column; null when it has."""
    event_names: dict[EventName, EventKind]
    """The file's name of an event kind → ours, where they differ."""
    null_words: tuple[str, ...]
    """Words that stand for a missing value in any column, in upper or lower case; blank always does. Take one
    out if it is an id or a title of yours."""
    timezone: Annotated[str, AfterValidator(_known_zone)] | None
    """IANA name of the zone (Europe/Berlin) of times that are written without one; null takes those as UTC,
    and refuses a column where others have a zone."""


_IDS = ("user_id", "item_id", "session_id", "event")


def read(params: OwnFilesSource, folder: Path) -> Tables:
    """Read events, and items and users where there are such files.

    Ids become text as their shop knows them (see ids.py), times instants in UTC (see times.py). Kinds of
    events that `event_names` does not name pass through: judging them is validation's part.

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
    required = ["user_id", "item_id", "timestamp"] + (["event"] if params.event is None else [])
    events = _read(params, folder / params.events, "events", params.columns, EVENTS, required)
    items = users = None
    if params.items is not None:
        items = _read(params, folder / params.items, "items", params.item_columns, ITEMS, ["item_id"])
    if params.users is not None:
        users = _read(params, folder / params.users, "users", params.user_columns, USERS, ["user_id"])
    files = [
        (events, folder / params.events, params.columns),
        *([] if items is None else [(items, folder / str(params.items), params.item_columns)]),
        *([] if users is None else [(users, folder / str(params.users), params.user_columns)]),
    ]
    for ours in _IDS:
        having = [(table, f"{path}, column {names[ours]}") for table, path, names in files if ours in table]
        cleaned = clean_ids({where: table[ours] for table, where in having}, cased=ours != "event")
        for (table, where), column in zip(having, cleaned, strict=True):
            table[ours] = column
            if table is not events:
                _check_ids(column, where)

    if params.event is not None:
        events["event"] = pa.scalar(params.event)
    else:
        events["event"] = _renamed(events["event"], params.event_names)
    return make_tables(events, items, users)


def _read(
    params: OwnFilesSource,
    path: Path,
    name: str,
    columns: Mapping[str, str],
    schema: pa.Schema,
    required: list[str],
) -> dict[str, pa.ChunkedArray | pa.Scalar]:
    """Read the mapped columns of one file in the types of a schema; ids are not cleaned yet.

    Args:
        params: whose words stand for nothing, and whose zone is that of local times.
        path: the file, or a folder of its parts.
        name: its parameter in params.yaml, for messages.
        columns: our column → the file's.
        schema: the table's.
        required: our columns that must be mapped.
    """
    parameter = "columns" if name == "events" else f"{name[:-1]}_columns"
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
    table = read_parts(path, name, columns, parameter)
    converted = {}
    for ours, theirs in columns.items():
        where, column = f"{path}, column {theirs}", _plain(table[theirs])
        if pa.types.is_string(column.type):
            column = without_null_words(column, params.null_words, where)
            if ours in ("user_id", "item_id"):
                _check_no_header(column, theirs, where)
        converted[ours] = _converted(ours, column, schema.field(ours).type, where, params.timezone)
    return converted


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as strings, whatever Parquet keeps it as."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _converted(
    ours: str, column: pa.ChunkedArray, wanted: pa.DataType, where: str, zone: str | None
) -> pa.ChunkedArray:
    if pa.types.is_null(column.type):
        return column.cast(wanted)
    if ours in _IDS:
        return ids_as_text(column, where)
    if pa.types.is_string(wanted):
        return cast(column, wanted, where, "text")
    if pa.types.is_timestamp(wanted):
        return to_times(column, where, zone)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    words = "true or false" if pa.types.is_boolean(wanted) else "a number"
    column = cast(column, wanted, where, words)
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(wanted) else column


def _check_no_header(column: pa.ChunkedArray, name: str, where: str) -> None:
    row = pc.index(column, name).as_py()
    if row >= 0:
        raise RecganError(f"{where}, row {row + 1:,}: {name!r} is the header again; remove that row")


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


def _renamed(kinds: pa.ChunkedArray, names: Mapping[str, str]) -> pa.ChunkedArray:
    if not names:
        return kinds
    names = {name.removesuffix(".0"): kind for name, kind in names.items()} | dict(
        names
    )  # as ids are cleaned
    renamed = pc.index_in(kinds, pa.array(names.keys(), pa.string()))
    return pc.coalesce(pa.array(names.values(), pa.string()).take(renamed.combine_chunks()), kinds)
