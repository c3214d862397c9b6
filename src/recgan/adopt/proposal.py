"""From an export to the parameters that read it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recgan.adopt import kinds, left_out, moments
from recgan.adopt.choice import Columns, choose
from recgan.adopt.formats import Format, named, recognise
from recgan.adopt.given import Ask, Given
from recgan.adopt.kinds import Kinds
from recgan.adopt.moments import Moments
from recgan.adopt.sample import Export
from recgan.adopt.sizes import Sizes, suited
from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.core.sections import check_section
from recgan.data.events import Tables
from recgan.data.quarantine import REASONS, broken_rules, joined, partition
from recgan.data.settings import Reason, ValidateParams
from recgan.data.sources.csv_format import PLAIN
from recgan.data.sources.ids import without_null_words
from recgan.data.sources.own_files import OwnFilesSource, read
from recgan.data.sources.parts import read_parts
from recgan.settings import Params

_DECIMAL_COMMA = r"^\s*[+-]?(\d+|\d{1,3}([. ]\d{3})+),\d+\s*$"
_NATURAL: tuple[Reason, ...] = ("null_user", "null_item", "unknown_event", "cancellation")
"""Reasons that an export has as a matter of course: guests, lines of text, other events, what came back."""
_COMMON: tuple[Reason, ...] = ("price_out_of_range", "duplicate")
"""Those that some exports have so: lines that cost nothing, a page that is opened twice in a second."""
_OFTEN = 0.02  # share of the rows from which these are taken for such


@dataclass(frozen=True)
class Proposal:
    """What an export is, and what is to be done with it."""

    export: Export
    kind: Format
    columns: Columns
    kinds: Kinds
    moments: Moments
    ingest: dict[str, Any]
    validate: dict[str, Any]
    """In what it differs."""
    rows: int
    """Of the export."""
    left_out: int
    """Of these, by `ingest.leave_out`."""
    tables: Tables
    """As ingest reads them."""
    no_products: dict[str, str]
    """Id → why."""
    reasons: dict[str, int]
    """Reason → rows that validation leaves out."""
    stays: dict[str, dict[str, int]]
    """Column of statuses → value → rows, of those that leave no row out."""
    unused: tuple[str, ...]
    """Columns of the export that mean nothing here."""
    kept: pa.Table
    sizes: Sizes | None
    """None where nothing is kept."""


def propose(export: Export, base: Params, given: Given, ask: Ask) -> Proposal:
    """Read an export whole, and propose its parameters.

    Args:
        export: the files.
        base: what examples/own-files.yaml comes to.
        given: what the flags say.
        ask: for what the data leaves open.

    Raises:
        RecganError: what ingest would say of it, or a question that nobody answers.
    """
    assert isinstance(base.ingest, OwnFilesSource)
    kind = recognise(export.columns)
    columns = choose(export, kind, given, ask)
    table = _whole(export, kind, columns, given)
    when = columns.events["timestamp"]
    times = table[when]
    if pa.types.is_string(times.type):
        times = without_null_words(times, base.ingest.null_words, when)
    written = moments.decide(times, when, given, ask)
    meant = kinds.decide(_values(table, columns.events.get("event")), columns, kind, given, ask)
    ingest: dict[str, Any] = {
        "path": str(export.path),
        "events": export.events,
        "columns": {
            ours: theirs for ours, theirs in columns.events.items() if not (ours == "event" and meant.event)
        },
    }
    if export.csv is not None:
        csv = export.csv.model_dump() | {"decimal": _decimal(table, columns)}
        ingest["csv"] = csv
    if columns.items:
        ingest["item_columns"] = columns.items
    ingest["event"] = meant.event
    if meant.names:
        ingest["event_names"] = meant.names
    rules = left_out.rules(table, columns, export, kind, given)
    used = {*columns.events.values(), *rules}
    filled = [column for column in columns.filled if column in used]
    if columns.order is not None and filled:
        ingest["fill_down"] = {"order": columns.order, "columns": filled}
    if rules:
        ingest["leave_out"] = {column: list(values) for column, values in rules.items()}
    if given.timezone is not None:
        ingest["timezone"] = given.timezone
    if written.written is not None:
        ingest["time_format"] = written.written
    source = check_section(base.ingest.model_dump(mode="json") | ingest, Path("flags"), OwnFilesSource)
    tables = read(source, export.path)
    validate = _ranges(tables, base.validate_)
    nothing = left_out.no_products(tables, given)
    if nothing:
        validate["not_products"] = list(nothing)
    now = datetime.now(UTC)
    if expected := _expected(tables, base, validate, meant, now):
        validate["expected"] = expected
    params = ValidateParams.model_validate(base.validate_.model_dump() | validate)
    parts = partition(tables.events, broken_rules(joined(tables), params, now))
    counts = pc.value_counts(parts.quarantined["reason"]).to_pylist()
    stays = left_out.stays(table, kind, export, rules)
    spoken_for = {*used, *columns.items.values(), *filled, *stays}
    unused = tuple(column for column in export.columns if column not in spoken_for)
    sizes = suited(parts.kept.to_pandas(), base.monitor.days) if parts.kept.num_rows else None
    if sizes is not None:
        validate["min_events"] = min(sizes.min_events, parts.kept.num_rows)
        validate["max_user_share"] = sizes.max_user_share
    return Proposal(
        export, kind, columns, meant, written, ingest, validate, table.num_rows,
        table.num_rows - tables.events.num_rows, tables, nothing,
        {str(count["values"]): count["counts"] for count in counts}, stays, unused, parts.kept, sizes,
    )  # fmt: skip


def _whole(export: Export, kind: Format, columns: Columns, given: Given) -> pa.Table:
    """Read all columns that matter, text as text."""
    names = [*columns.events.values(), *columns.items.values(), *columns.filled]
    names += [*named(export.columns, kind.statuses), *named(export.columns, kind.cancelled)]
    names += [*(given.leave_out or {}), *([columns.order] if columns.order else [])]
    wanted = {f"columns: {name}": name for name in names if name in export.columns}
    table = read_parts(export.path / export.events, "events", wanted, export.csv or PLAIN)
    plain = {
        name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pa.table(
        {
            name: column.cast(pa.string()) if pa.types.is_large_string(column.type) else column
            for name, column in plain.items()
        }
    )


def _values(table: pa.Table, column: str | None) -> list[str]:
    """Return the values of a column as text, the most frequent first."""
    if column is None:
        return []
    text = pc.drop_null(pc.utf8_trim_whitespace(table[column].cast(pa.string())))
    counts = sorted(pc.value_counts(text).to_pylist(), key=lambda count: -count["counts"])
    return [count["values"] for count in counts if count["values"]]


def _decimal(table: pa.Table, columns: Columns) -> str:
    """Tell a decimal comma by the numbers that have one.

    Raises:
        RecganError: a comma may as well stand between thousands.
    """
    names = [columns.events.get("value"), columns.events.get("price"), columns.items.get("price")]
    for name in dict.fromkeys(name for name in names if name is not None):
        column = table[name]
        if not pa.types.is_string(column.type):
            continue
        commas = column.filter(pc.match_substring_regex(column, _DECIMAL_COMMA))
        if not len(commas):
            continue
        if pc.all(pc.match_substring_regex(commas, r"^\s*[+-]?\d{1,3},\d{3}\s*$")).as_py():
            raise RecganError(
                f"column {name} has numbers such as {shown(str(commas[0]))}, whose comma may stand before "
                "decimals or between thousands; export numbers without a sign between the thousands"
            )
        return ","
    return "."


def _ranges(tables: Tables, limits: ValidateParams) -> dict[str, Any]:
    """Propose ranges of values and prices that hold what this export has, where the usual ones do not.

    Stars get the range that they have. Quantities and prices get the next power of ten; what is zero or less
    is for other rules.
    """
    proposed: dict[str, Any] = {}
    values = {kind: held.model_dump() for kind, held in limits.values.items()}
    event, value, price = (tables.events[name] for name in ("event", "value", "price"))
    for kind in ("rating", "purchase"):
        least, most = _span(value.filter(pc.equal(event, kind)), positive=kind == "purchase")
        if least is None or (values[kind]["low"] <= least and most <= values[kind]["high"]):
            continue
        wide = _widened(values[kind], least, most)
        proposed["values"] = values = values | {
            kind: wide if kind == "purchase" else {"low": least, "high": most}
        }
    least, most = _span(price, positive=True)
    if limits.price is not None and least is not None:
        held = limits.price.model_dump()
        if (wide := _widened(held, least, most)) != held:
            proposed["price"] = wide
    return proposed


def _span(column: pa.ChunkedArray, positive: bool) -> tuple[Any, Any]:
    column = column.filter(pc.is_finite(column))
    span = pc.min_max(column.filter(pc.greater(column, 0)) if positive else column).as_py()
    return span["min"], span["max"]


def _widened(held: dict[str, float], least: float, most: float) -> dict[str, float]:
    return {
        "low": held["low"] if least >= held["low"] else 10.0 ** math.floor(math.log10(least)),
        "high": held["high"] if most <= held["high"] else 10.0 ** math.ceil(math.log10(most)),
    }


def _expected(
    tables: Tables, base: Params, validate: dict[str, Any], meant: Kinds, now: datetime
) -> list[Reason]:
    """Propose the reasons for which an export of this kind has rows as a matter of course."""
    params = ValidateParams.model_validate(base.validate_.model_dump() | validate)
    broken = broken_rules(joined(tables), params, now)
    rows = broken.sum()
    natural = [reason for reason in _NATURAL if rows[reason] and (reason != "unknown_event" or meant.others)]
    often = [reason for reason in _COMMON if rows[reason] > _OFTEN * len(broken)]
    return [reason for reason in REASONS if reason in (*natural, *often)]
