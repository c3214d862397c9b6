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
        filled = column.null_count - table[name].null_count
        logger.info("%s, column %s: %s blanks filled from rows of the order", where, name, f"{filled:,}")
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
    out = pa.chunked_array([pa.repeat(pa.scalar(False), table.num_rows)])
    for name, values in rules.items():
        text = pc.utf8_lower(pc.utf8_trim_whitespace(table[name].cast(pa.string())))
        if values:
            wanted = pa.array([value.strip().lower() for value in values], pa.string())
            matching = pc.is_in(text, value_set=wanted)
        else:
            matching = text.is_valid()
        found = sorted(
            pc.value_counts(table[name].filter(matching)).to_pylist(), key=lambda count: -count["counts"]
        )
        kinds = ", ".join(f"{count['counts']:,} {shown(str(count['values']))}" for count in found[:5])
        more = f" and {len(found) - 5:,} other values" if len(found) > 5 else ""
        rows = sum(count["counts"] for count in found)
        said = f": {kinds}{more}" if rows and values else ""
        logger.info("%s, column %s: %s rows are left out%s", where, name, f"{rows:,}", said)
        out = pc.or_(out, matching)
    if pc.all(out).as_py():
        raise RecganError(f"{where}: ingest.leave_out leaves no row; name fewer values")
    return out
