"""The user's own CSV or Parquet files, with a mapping from their columns to ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.settings import EventKind, Source
from recgan.data.sources.cast import cast
from recgan.data.sources.columns import described_items, make_tables
from recgan.data.sources.csv_format import CsvFormat
from recgan.data.sources.ids import clean_ids, ids_as_text, without_null_words
from recgan.data.sources.parts import find_parts, read_parts
from recgan.data.sources.rows import FillDown, filled_down, rows_left_out
from recgan.data.sources.times import TimeFormat, ZoneName, to_times


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
    if params.items is None and "item_id" in params.item_columns:
        raise RecganError(
            "ingest.item_columns has item_id, but there is no file of items: the events describe them, whose "
            "ids are in ingest.columns.item_id; remove it, or name the file in ingest.items"
        )
    required = ["user_id", "item_id", "timestamp"] + (["event"] if params.event is None else [])
    events, described = _read_events(params, folder / params.events, required)
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
    if described:
        items = described_items(events["item_id"], events["timestamp"], described)
    return make_tables(events, items, users)


_Columns: TypeAlias = dict[str, pa.ChunkedArray | pa.Scalar]


def check_files(params: OwnFilesSource, folder: Path) -> None:
    """Raise a RecganError where a file that is named is missing; nothing is read."""
    for name in ("events", "items", "users"):
        if (file := getattr(params, name)) is not None:
            find_parts(folder / file, name)


def _read_events(params: OwnFilesSource, path: Path, required: list[str]) -> tuple[_Columns, _Columns]:
    """Read the events file: our columns of the events, and those that describe the items of its rows."""
    _check_mapping("columns", params.columns, EVENTS, required)
    described = params.item_columns if params.items is None else {}
    _check_mapping("item_columns", described, ITEMS, [])
    fill = params.fill_down
    needed = _parameters("columns", params.columns) | _parameters("item_columns", described)
    needed |= {f"leave_out.{column}": column for column in params.leave_out}
    if fill is not None:
        needed |= {"fill_down.order": fill.order} | {f"fill_down.columns: {c}": c for c in fill.columns}
    table = read_parts(path, "events", needed, params.csv)
    if fill is not None:
        table = filled_down(table, fill, str(path))
    keep = None
    if params.leave_out:
        columns = {}
        for name in params.leave_out:
            columns[name] = _plain(table[name])
            if pa.types.is_string(columns[name].type):
                columns[name] = without_null_words(columns[name], params.null_words, f"{path}, column {name}")
        keep = pc.invert(rows_left_out(pa.table(columns), params.leave_out, str(path)))
    both = (
        _converted_columns(params, table, path, columns, schema)
        for columns, schema in ((params.columns, EVENTS), (described, ITEMS))
    )
    # Left out at last, so that messages name the rows of the file.
    events, items = ({n: c if keep is None else c.filter(keep) for n, c in part.items()} for part in both)
    return events, items


def _read(
    params: OwnFilesSource,
    path: Path,
    name: str,
    columns: Mapping[str, str],
    schema: pa.Schema,
    required: list[str],
) -> _Columns:
    """Read the mapped columns of a file of items or users in a schema's types; ids are not cleaned yet.

    Args:
        params: whose words stand for nothing, and whose zone is that of local times.
        path: the file, or a folder of its parts.
        name: its parameter in params.yaml, for messages.
        columns: our column → the file's.
        schema: the table's.
        required: our columns that must be mapped.
    """
    parameter = f"{name[:-1]}_columns"
    _check_mapping(parameter, columns, schema, required)
    table = read_parts(path, name, _parameters(parameter, columns), params.csv)
    return _converted_columns(params, table, path, columns, schema)


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


def _converted_columns(
    params: OwnFilesSource, table: pa.Table, path: Path, columns: Mapping[str, str], schema: pa.Schema
) -> _Columns:
    converted: _Columns = {}
    for ours, theirs in columns.items():
        where, column = f"{path}, column {theirs}", _plain(table[theirs])
        if pa.types.is_string(column.type):
            column = without_null_words(column, params.null_words, where)
            if ours in ("user_id", "item_id"):
                _check_no_header(column, theirs, where)
        converted[ours] = _converted(ours, column, schema.field(ours).type, where, params)
    return converted


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as strings, whatever Parquet keeps it as."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _converted(
    ours: str, column: pa.ChunkedArray, wanted: pa.DataType, where: str, params: OwnFilesSource
) -> pa.ChunkedArray:
    if pa.types.is_null(column.type):
        return column.cast(wanted)
    if ours in _IDS:
        return ids_as_text(column, where)
    if pa.types.is_string(wanted):
        return cast(column, wanted, where, "text")
    if pa.types.is_timestamp(wanted):
        return to_times(column, where, params.timezone, params.time_format)
    written = column
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        if params.csv.decimal == "," and pa.types.is_floating(wanted):
            column = _with_point(column)
    words = "true or false" if pa.types.is_boolean(wanted) else "a number"
    column = cast(column, wanted, where, words, written)
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(wanted) else column


def _with_point(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write 1.234,50 as 1234.50; what is no number with a decimal comma becomes none at all."""
    whole = pc.match_substring_regex(numbers, r"^[+-]?(\d+|\d{1,3}([. \x{a0}]\d{3})+)(,\d*)?$")
    bare = pc.replace_substring_regex(numbers, r"[. \x{a0}]", "")
    # Beside a decimal comma, 1.5 is a mistake: the sign keeps it from being read as a number.
    otherwise = pc.binary_join_element_wise(numbers, "?", "")
    return pc.if_else(whole, pc.replace_substring(bare, ",", "."), otherwise)


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
