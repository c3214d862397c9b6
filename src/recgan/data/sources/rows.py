"""Rows of an export that are no whole events: an order's first row speaks for its others, some are none."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.core.sections import Section

logger = logging.getLogger(__name__)


class FillDown(Section):
    """Columns that an export writes in an order's first row alone."""

    order: str
    """The column that names the order; it is filled in every row."""
    columns: tuple[str, ...]
    """Where one of them is blank, the nearest value above in the same order holds."""


def filled_down(table: pa.Table, fill: FillDown, where: str) -> pa.Table:
    """Fill blanks of some columns from the rows above of the same order.

    Rows of one order need not stand together. A row without an order keeps its blanks.

    Args:
        table: has `fill.order` and `fill.columns`.
        fill: the columns.
        where: the file, for the log.
    """
    filled = _filled(table, fill)
    tell_filled(blanks_filled(table, filled, fill), where)
    return filled


def blanks_filled(before: pa.Table, after: pa.Table, fill: FillDown) -> dict[str, int]:
    """Count the blanks of each column that were filled."""
    return {name: before[name].null_count - after[name].null_count for name in fill.columns}


def tell_filled(blanks: Mapping[str, int], where: str) -> None:
    """Say in the log how many blanks of each column were filled."""
    for name, filled in blanks.items():
        logger.info("%s, column %s: %s blanks filled from rows of the order", where, name, f"{filled:,}")


def filled_after(table: pa.Table, orders: pa.Table, fill: FillDown) -> pa.Table:
    """Fill blanks of a log's next part, to which some orders go on.

    Args:
        table: the part.
        orders: as `latest` gives them of what stands above.
        fill: the columns.
    """
    above = pa.concat_tables(
        [orders.cast(orders_schema(table.schema, fill)), table], promote_options="default"
    )
    return _filled(above, fill).slice(orders.num_rows)


def latest(table: pa.Table, fill: FillDown) -> pa.Table:
    """Return each order once, with the latest value of each column that is filled down.

    Args:
        table: rows or orders, as they follow one another.
        fill: the columns.
    """
    table = _filled(table.select([fill.order, *_others(fill)]), fill)
    table = table.filter(table[fill.order].is_valid())
    places = pa.table({"order": table[fill.order].combine_chunks(), "place": np.arange(table.num_rows)})
    last = places.group_by("order").aggregate([("place", "max")])["place_max"]
    return table.take(last).sort_by(fill.order)


def unfilled(table: pa.Table, fill: FillDown) -> pa.Array:
    """Return the orders that have a blank, which only the parts above may fill."""
    blank = pa.chunked_array([pa.repeat(pa.scalar(False), table.num_rows)])
    for name in _others(fill):
        blank = pc.or_(blank, table[name].is_null())
    return pc.drop_null(pc.unique(table[fill.order].filter(blank)))


def orders_schema(schema: pa.Schema, fill: FillDown) -> pa.Schema:
    """Return the columns of orders, in the types of the log."""
    return pa.schema([schema.field(name) for name in (fill.order, *_others(fill))])


def _others(fill: FillDown) -> list[str]:
    return [name for name in dict.fromkeys(fill.columns) if name != fill.order]


def _filled(table: pa.Table, fill: FillDown) -> pa.Table:
    orders = pc.fill_null(pc.dictionary_encode(table[fill.order].combine_chunks()).indices, -1).to_numpy()
    by_order = np.argsort(orders, kind="stable")
    sorted_orders = orders[by_order]
    starts = np.flatnonzero(np.diff(sorted_orders, prepend=-2))
    start = np.repeat(starts, np.diff(starts, append=len(orders)))
    place = np.arange(len(orders))
    for name in fill.columns:
        column = table[name]
        present = column.is_valid().to_numpy()[by_order]
        latest = np.maximum.accumulate(np.where(present, place, -1))
        latest = np.where((latest >= start) & (sorted_orders >= 0), latest, place)
        source = np.empty(len(orders), np.int64)
        source[by_order] = by_order[latest]
        table = table.set_column(table.column_names.index(name), name, column.take(pa.array(source)))
    return table


def rows_left_out(table: pa.Table, rules: Mapping[str, Sequence[str]], where: str) -> pa.ChunkedArray:
    """Say which rows are no events by what a column says, and count them in the log.

    Args:
        table: has the columns of the rules; what stands for a missing value is null in them.
        rules: column → values, compared without regard to case and to blanks around; none means any value.
        where: the file, for messages.

    Returns:
        (rows,) bool.

    Raises:
        RecganError: no row is left.
    """
    out, found = left_out(table, rules)
    tell_left_out(found, rules, where)
    if pc.all(out).as_py():
        raise no_row_left(where)
    return out


def left_out(
    table: pa.Table, rules: Mapping[str, Sequence[str]]
) -> tuple[pa.ChunkedArray, dict[str, dict[str, int]]]:
    """Say which rows are no events by what a column says, and of each column how many say what."""
    out, found = pa.chunked_array([pa.repeat(pa.scalar(False), table.num_rows)]), {}
    for name, values in rules.items():
        text = pc.utf8_lower(pc.utf8_trim_whitespace(table[name].cast(pa.string())))
        if values:
            wanted = pa.array([value.strip().lower() for value in values], pa.string())
            matching = pc.is_in(text, value_set=wanted)
            counts = pc.value_counts(table[name].filter(matching)).to_pylist()
            found[name] = {str(count["values"]): count["counts"] for count in counts}
        else:
            matching = text.is_valid()
            found[name] = {"": pc.sum(matching).as_py() or 0}
        out = pc.or_(out, matching)
    return out, found


def tell_left_out(
    found: Mapping[str, Mapping[str, int]], rules: Mapping[str, Sequence[str]], where: str
) -> None:
    """Say in the log how many rows are left out, and for which values."""
    for name, counts in found.items():
        most = sorted(counts.items(), key=lambda count: -count[1])
        kinds = ", ".join(f"{count:,} {shown(value)}" for value, count in most[:5])
        more = f" and {len(most) - 5:,} other values" if len(most) > 5 else ""
        rows = sum(counts.values())
        said = f": {kinds}{more}" if rows and rules[name] else ""
        logger.info("%s, column %s: %s rows are left out%s", where, name, f"{rows:,}", said)


def no_row_left(where: str) -> RecganError:
    """Return what is raised where all rows of a log are left out."""
    return RecganError(f"{where}: ingest.leave_out leaves no row; name fewer values")
