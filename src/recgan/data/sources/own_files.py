"""The user's own CSV or Parquet files, with a mapping from their columns to ours."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.sources.columns import make_tables
from recgan.errors import RecganError
from recgan.params import OwnFilesSource

_NULLS = ["", "null", "NULL", "nan", "NaN"]
_LAST_SECOND = 1e11  # unix times above (the year 5138) are milliseconds
_LAST_MILLISECOND = 1e14
_DATES = range(19000101, 21001232)  # as unix seconds: some weeks of 1970


def read_own_files(params: OwnFilesSource, folder: Path) -> Tables:
    """Read events, and items and users where there are such files.

    Ids become text as they stand. Times are ISO 8601 text (UTC where no zone is given), unix seconds,
    unix milliseconds, or a Parquet time. Kinds of events that `event_names` does not name pass through:
    judging them is validation's part.

    Raises:
        RecganError: a file is missing, empty or not readable; a column is missing; a value has the wrong
            type; an id stands twice in the items or users.
    """
    if params.event is not None and "event" in params.columns:
        raise RecganError(
            f"both ingest.event ({params.event}) and ingest.columns.event ({params.columns['event']}) are "
            "given; remove the column, or set ingest.event to null"
        )
    required = ["user_id", "item_id", "timestamp"] + (["event"] if params.event is None else [])
    events = _read(folder / params.events, "events", params.columns, EVENTS, required, "columns")
    if params.event is not None:
        events["event"] = pa.scalar(params.event)
    else:
        events["event"] = _renamed(events["event"], params.event_names)
    items = users = None
    if params.items is not None:
        items = _read(folder / params.items, "items", params.item_columns, ITEMS, ["item_id"], "item_columns")
        _check_ids(items["item_id"], folder / params.items, params.item_columns["item_id"])
    if params.users is not None:
        users = _read(folder / params.users, "users", params.user_columns, USERS, ["user_id"], "user_columns")
        _check_ids(users["user_id"], folder / params.users, params.user_columns["user_id"])
    return make_tables(events, items, users)


def _read(
    path: Path, name: str, columns: Mapping[str, str], schema: pa.Schema, required: list[str], parameter: str
) -> dict[str, pa.ChunkedArray | pa.Scalar]:
    """Read the mapped columns of one file in the types of a schema.

    Args:
        path: the file.
        name: its parameter in params.yaml, for messages.
        columns: our column → the file's.
        schema: the table's.
        required: our columns that must be mapped.
        parameter: that holds the mapping.
    """
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
    if not path.is_file():
        raise RecganError(f"no file {path}; put it there, or mend ingest.path or ingest.{name}")
    if path.stat().st_size == 0:
        raise RecganError(f"{path} is empty; replace it, or mend ingest.{name}")
    if path.name.endswith((".csv", ".csv.gz")):
        table = _read_csv(path, columns, parameter)
    elif path.suffix == ".parquet":
        table = _read_parquet(path, columns, parameter)
    else:
        raise RecganError(f"{path} is neither .csv, .csv.gz nor .parquet; convert it, and mend ingest.{name}")
    if table.num_rows == 0:
        raise RecganError(f"{path} has a header but no rows; replace it, or mend ingest.{name}")
    return {
        ours: _converted(table[theirs], schema.field(ours).type, f"{path}, column {theirs}")
        for ours, theirs in columns.items()
    }


def _read_csv(path: Path, columns: Mapping[str, str], parameter: str) -> pa.Table:
    # All text: types are ours to judge, with the value and row of what does not fit.
    parse = pacsv.ParseOptions(newlines_in_values=True)
    try:
        with pacsv.open_csv(path, parse_options=parse) as reader:
            available = reader.schema.names
        _check_columns(path, columns, available, parameter)
        theirs = list(dict.fromkeys(columns.values()))
        return pacsv.read_csv(
            path,
            parse_options=parse,
            convert_options=pacsv.ConvertOptions(
                include_columns=theirs,
                column_types=dict.fromkeys(theirs, pa.string()),
                strings_can_be_null=True,
                null_values=_NULLS,
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(
            f"{path} is not readable CSV in UTF-8 with commas ({error}); save it anew"
        ) from None


def _read_parquet(path: Path, columns: Mapping[str, str], parameter: str) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, columns, file.schema_arrow.names, parameter)
            return file.read(list(dict.fromkeys(columns.values())))
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(f"{path} is not readable Parquet ({error}); write it anew") from None


def _check_columns(path: Path, columns: Mapping[str, str], available: list[str], parameter: str) -> None:
    for ours, theirs in columns.items():
        if theirs not in available:
            raise RecganError(
                f"{path} has no column {theirs}, only {', '.join(available)}; mend ingest.{parameter}.{ours}"
            )


def _check_ids(ids: pa.ChunkedArray, path: Path, column: str) -> None:
    if ids.null_count:
        row = pc.index(pc.is_null(ids), True).as_py() + 1
        raise RecganError(f"{path}, column {column}, row {row}: no id; remove that row")
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise RecganError(
            f"{path}, column {column}: {len(twice):,} id(s) more than once, such as {twice[0]['values']}; "
            "keep one row of each"
        )


def _renamed(kinds: pa.ChunkedArray, names: Mapping[str, str]) -> pa.ChunkedArray:
    if not names:
        return kinds
    renamed = pc.index_in(kinds, pa.array(names.keys(), pa.string()))
    return pc.coalesce(pa.array(names.values(), pa.string()).take(renamed.combine_chunks()), kinds)


def _converted(column: pa.ChunkedArray, wanted: pa.DataType, where: str) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_null(column.type):
        return column.cast(wanted)
    if pa.types.is_string(wanted):
        return _text(column, where)
    if pa.types.is_timestamp(wanted):
        return _times(column, where)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    words = "true or false" if pa.types.is_boolean(wanted) else "a number"
    column = _cast(column, wanted, where, words)
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(wanted) else column


def _text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        # Whole numbers with gaps: pandas stores them as floats, but the id is 17850, not 17850.0.
        column = pc.if_else(pc.is_nan(column), None, column)
        if pc.all(pc.equal(column, pc.round(column))).as_py() is not False:
            column = _cast(column, pa.int64(), where, "an id")
    return _cast(column, pa.string(), where, "text")


def _times(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    utc = pa.timestamp("us", tz="UTC")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        in_micros = column.cast(pa.timestamp("us", tz=getattr(column.type, "tz", None)), safe=False)
        return in_micros.cast(utc)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        first = pc.first(column)  # that is not null; all must be written like it
        if pc.match_substring_regex(first, r"^-?\d+(\.\d+)?$").as_py() is not True:
            return _iso_times(column, utc, where)
        column = _cast(column, pa.float64(), where, "a time in unix seconds, as the first one is")
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise RecganError(
            f"{where} is of type {column.type}, which is no time; write ISO 8601 or unix seconds"
        )
    column = column.cast(pa.float64(), safe=False)
    column = pc.if_else(pc.is_nan(column), None, column)
    largest = pc.max(pc.abs(column)).as_py() or 0
    if largest in _DATES and pc.min(column).as_py() in _DATES:
        raise RecganError(
            f"{where}: {largest:.0f} looks like a date, not unix seconds; write it as 2024-05-01"
        )
    if largest > _LAST_MILLISECOND:
        raise RecganError(f"{where}: {largest:.0f} is neither unix seconds nor milliseconds; divide it")
    in_micros = pc.multiply(column, 1e6 if largest <= _LAST_SECOND else 1e3)
    return pc.round(in_micros).cast(pa.int64()).cast(utc)


def _iso_times(column: pa.ChunkedArray, utc: pa.DataType, where: str) -> pa.ChunkedArray:
    text = pc.replace_substring_regex(column, r"(\.\d{6})\d+", r"\1")  # no finer than microseconds
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d\d-\d\d)$", r"\1T00:00:00")
    text = pc.replace_substring_regex(text, r" ?(UTC|GMT)$", "Z")
    zoned = pc.match_substring_regex(text, r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
    text = pc.if_else(zoned, text, pc.binary_join_element_wise(text, "Z", ""))
    return _cast(text, utc, where, "a time (ISO 8601, unix seconds or milliseconds)", shown=column)


def _cast(
    column: pa.ChunkedArray, wanted: pa.DataType, where: str, words: str, shown: pa.ChunkedArray | None = None
) -> pa.ChunkedArray:
    """Cast, or name the first value and row that cannot be."""
    try:
        return column.cast(wanted)
    except pa.ArrowNotImplementedError:
        raise RecganError(f"{where} is of type {column.type}, not {words}; convert it") from None
    except pa.ArrowInvalid:
        low, high = 0, len(column)  # the first bad row is in [low, high)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                column.slice(low, middle - low).cast(wanted)
                low = middle
            except pa.ArrowInvalid:
                high = middle
        value = (column if shown is None else shown)[low].as_py()
        raise RecganError(
            f"{where}, row {low + 1}: {value!r} is not {words}; mend or remove that row"
        ) from None
