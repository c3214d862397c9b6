"""Rows of the user's files become events chunk by chunk; what the whole log decides is counted beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from recgan.core.errors import RecganError
from recgan.data.events import EVENTS, ITEMS
from recgan.data.sources.cast import cast
from recgan.data.sources.columns import first_sales, to_table
from recgan.data.sources.ids import missing_words, stripped_ids, tell_missing, text_of, without_fraction
from recgan.data.sources.ids_seen import IdsSeen, NumbersSeen
from recgan.data.sources.rows import left_out, no_row_left, tell_filled, tell_left_out
from recgan.data.sources.times import TimesSeen, added, times_of

if TYPE_CHECKING:
    from recgan.data.sources.own_files import OwnFilesSource

IDS = ("user_id", "item_id", "session_id", "event")
"""Our columns that hold ids."""

Columns: TypeAlias = dict[str, pa.ChunkedArray]
Decisions: TypeAlias = dict[str, Any]
"""What the whole log decides of its parts."""

_Seen = TypeVar("_Seen", IdsSeen, NumbersSeen)


class Facts(BaseModel):
    """What a part of a log says that the whole log decides by, or tells of itself; columns by our names."""

    rows: int = 0
    kept: int = 0
    """Rows that are not left out."""
    filled: dict[str, int] = {}
    """Column of the file → blanks filled from rows of the order."""
    left_words: dict[str, dict[str, int]] = {}
    """Column of `leave_out` → word read as missing → rows."""
    left_out: dict[str, dict[str, int]] = {}
    """Column of `leave_out` → value → rows."""
    missing: dict[str, dict[str, int]] = {}
    """Column → word read as missing → rows."""
    times: TimesSeen = TimesSeen()
    numbers: dict[str, NumbersSeen] = {}
    ids: dict[str, IdsSeen] = {}

    def followed_by(self, other: "Facts") -> "Facts":
        """Return what both parts say."""
        return Facts(
            rows=self.rows + other.rows,
            kept=self.kept + other.kept,
            filled=added(self.filled, other.filled),
            left_words=_added_each(self.left_words, other.left_words),
            left_out=_added_each(self.left_out, other.left_out),
            missing=_added_each(self.missing, other.missing),
            times=self.times.followed_by(other.times),
            numbers=_followed_each(self.numbers, other.numbers),
            ids=_followed_each(self.ids, other.ids),
        )

    def decisions(self, catalogues: Mapping[str, IdsSeen]) -> Decisions:
        """Return what the log decides, as far as it is read.

        Args:
            catalogues: column → what the ids of the files of items and users say.
        """
        ids = _followed_each(catalogues, self.ids)
        return {
            "micros": self.times.micros,
            "whole": {ours: seen.whole for ours, seen in self.numbers.items()},
            "without_fraction": {ours: seen.without_fraction for ours, seen in ids.items()},
        }


def _added_each(
    counts: Mapping[str, Mapping[str, int]], more: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    return {name: added(counts.get(name, {}), more.get(name, {})) for name in (*counts, *more)}


def _followed_each(seen: Mapping[str, _Seen], more: Mapping[str, _Seen]) -> dict[str, _Seen]:
    both = dict(seen)
    for name, other in more.items():
        both[name] = both[name].followed_by(other) if name in both else other
    return both


@dataclass(frozen=True)
class Chunk:
    """Some rows of a log as events, under the decisions of what was read so far."""

    events: pa.Table
    facts: Facts
    decisions: Decisions
    ids: dict[str, pa.Array]
    """Column → each of its ids once, as they come, with their fractions."""
    first_sales: pa.Table | None
    """What describes the items, where the events do."""


def convert(
    params: "OwnFilesSource", path: Path, table: pa.Table, before: Facts, catalogues: Mapping[str, IdsSeen]
) -> Chunk:
    """Turn the next rows of a log into events.

    Args:
        params: the section `ingest`.
        path: of the whole log, for messages.
        table: the rows, in types as `plain` leaves them, orders filled down.
        before: what the rows before say.
        catalogues: column → what the ids of the files of items and users say.

    Raises:
        RecganError: a value is of another type than its column, or a header stands among the rows.
    """
    facts, keep = Facts(rows=table.num_rows, kept=table.num_rows), None
    if params.leave_out:
        keep = _kept(params, table, facts)
    events = converted(params, path, table, before, facts, params.columns, EVENTS)
    described = params.item_columns if params.items is None else {}
    items = converted(params, path, table, before, facts, described, ITEMS, "items.")
    if keep is not None:  # at last, so that messages name the rows of the file
        events = {ours: column.filter(keep) for ours, column in events.items()}
        items = {ours: column.filter(keep) for ours, column in items.items()}
    ids = {}
    for ours in (ours for ours in IDS if ours in events):
        events[ours], facts.ids[ours], ids[ours] = stripped_ids(events[ours])
    first = first_sales(events["item_id"], events["timestamp"], items) if items else None
    decisions = before.followed_by(facts).decisions(catalogues)
    for ours in ids:
        if decisions["without_fraction"][ours]:
            events[ours] = without_fraction(events[ours])
    if params.event is None:
        events["event"] = _renamed(events["event"], params.event_names)
    else:
        events["event"] = pa.scalar(params.event)
    return Chunk(to_table(events, EVENTS, facts.kept), facts, decisions, ids, first)


def plain(table: pa.Table) -> pa.Table:
    """Return text as strings, whatever Parquet keeps it as."""
    return pa.table({name: _plain(table[name]) for name in table.column_names})


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column as `plain` leaves it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def tell(params: "OwnFilesSource", path: Path, facts: Facts, schema: pa.Schema) -> None:
    """Say in the log what the whole log said of itself, but of its ids.

    Raises:
        RecganError: what only the whole log can be refused for.
    """
    tell_filled(facts.filled, str(path))
    for column, words in facts.left_words.items():
        tell_missing(words, f"{path}, column {column}")
    tell_left_out(facts.left_out, params.leave_out, str(path))
    if facts.kept == 0:
        raise no_row_left(str(path))
    described = params.item_columns if params.items is None else {}
    for place, columns in (("", params.columns), ("items.", described)):
        for ours, theirs in columns.items():
            where = f"{path}, column {theirs}"
            tell_missing(facts.missing.get(place + ours, {}), where)
            if ours == "timestamp":
                facts.times.tell(where, params.timezone, params.time_format)
            if ours in facts.numbers and not place:
                facts.numbers[ours].check(plain_type(schema.field(theirs).type), where)


def _kept(params: "OwnFilesSource", table: pa.Table, facts: Facts) -> pa.ChunkedArray:
    columns = {}
    for name in params.leave_out:
        columns[name] = table[name]
        if pa.types.is_string(columns[name].type):
            columns[name], facts.left_words[name] = missing_words(columns[name], params.null_words)
    out, facts.left_out = left_out(pa.table(columns), params.leave_out)
    facts.kept -= pc.sum(out).as_py() or 0
    return pc.invert(out)


def converted(
    params: "OwnFilesSource",
    path: Path,
    table: pa.Table,
    before: Facts,
    facts: Facts,
    columns: Mapping[str, str],
    schema: pa.Schema,
    place: str = "",
) -> Columns:
    """Read mapped columns of a file in a schema's types; ids are text that is not cleaned yet.

    Args:
        params: whose words stand for nothing, and whose zone is that of local times.
        path: the file, or a folder of its parts.
        table: rows of it, in types as `plain` leaves them.
        before: what the rows before say.
        facts: to which is added what these rows say.
        columns: our column → the file's.
        schema: the table's.
        place: before our names in `facts.missing`, where a file has columns of several tables.
    """
    converted = {}
    for ours, theirs in columns.items():
        where, column, wanted = f"{path}, column {theirs}", table[theirs], schema.field(ours).type
        if pa.types.is_string(column.type):
            column, facts.missing[place + ours] = missing_words(column, params.null_words)
            if ours in ("user_id", "item_id"):
                _check_no_header(column, theirs, where, before.rows)
        if pa.types.is_null(column.type):
            converted[ours] = column.cast(wanted)
        elif ours in IDS:
            numbers = before.numbers.get(ours, NumbersSeen())
            converted[ours], facts.numbers[ours] = text_of(column, where, numbers)
        elif pa.types.is_timestamp(wanted):
            converted[ours], facts.times = times_of(
                column, where, params.timezone, params.time_format, before.times
            )
        else:
            converted[ours] = _value(column, wanted, where, params.csv.decimal, before.rows)
    return converted


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(plain_type(column.type))


def _value(
    column: pa.ChunkedArray, wanted: pa.DataType, where: str, decimal: str, first_row: int
) -> pa.ChunkedArray:
    if pa.types.is_string(wanted):
        return cast(column, wanted, where, "text", first_row=first_row)
    written = column
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        if decimal == "," and pa.types.is_floating(wanted):
            column = _with_point(column)
    words = "true or false" if pa.types.is_boolean(wanted) else "a number"
    column = cast(column, wanted, where, words, written, first_row)
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(wanted) else column


def _with_point(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write 1.234,50 as 1234.50; what is no number with a decimal comma becomes none at all."""
    whole = pc.match_substring_regex(numbers, r"^[+-]?(\d+|\d{1,3}([. \x{a0}]\d{3})+)(,\d*)?$")
    bare = pc.replace_substring_regex(numbers, r"[. \x{a0}]", "")
    # Beside a decimal comma, 1.5 is a mistake: the sign keeps it from being read as a number.
    otherwise = pc.binary_join_element_wise(numbers, "?", "")
    return pc.if_else(whole, pc.replace_substring(bare, ",", "."), otherwise)


def _check_no_header(column: pa.ChunkedArray, name: str, where: str, first_row: int) -> None:
    row = pc.index(column, name).as_py()
    if row >= 0:
        raise RecganError(
            f"{where}, row {row + 1 + first_row:,}: {name!r} is the header again; remove that row"
        )


def _renamed(kinds: pa.ChunkedArray, names: Mapping[str, str]) -> pa.ChunkedArray:
    if not names:
        return kinds
    # As ids are cleaned.
    names = {name.removesuffix(".0"): kind for name, kind in names.items()} | dict(names)
    renamed = pc.index_in(kinds, pa.array(names.keys(), pa.string()))
    return pc.coalesce(pa.array(names.values(), pa.string()).take(renamed.combine_chunks()), kinds)
