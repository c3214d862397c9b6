"""What the sources share: raw columns become the three tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recgan.core.errors import RecganError
from recgan.data.events import EVENTS, ITEMS, USERS, Tables

Column: TypeAlias = pa.Array | pa.ChunkedArray | pa.Scalar


def make_tables(
    events: Mapping[str, Column],
    items: Mapping[str, Column] | None = None,
    users: Mapping[str, Column] | None = None,
) -> Tables:
    """Put columns into the schemas; a column that is not given is null, and so is NaN.

    Args:
        events: user_id, item_id and event at least; a scalar fills the whole column.
        items: None makes one row of each item id in the events, in their sorted order.
        users: the same for users.
    """
    event_table = to_table(events, EVENTS, len(events["user_id"]))
    items = items or {"item_id": distinct_ids(event_table["item_id"])}
    users = users or {"user_id": distinct_ids(event_table["user_id"])}
    return Tables(
        event_table,
        to_table(items, ITEMS, len(items["item_id"])),
        to_table(users, USERS, len(users["user_id"])),
    )


def check_columns(found: Sequence[str], needed: Sequence[str], name: str, remedy: str) -> None:
    """Check that a frame of pandas has each column that is needed, once.

    Raises:
        RecganError: a column is missing, or stands twice in the file.
    """
    for column in needed:
        if column not in found:
            raise RecganError(f"{name} has no column {column}, only {', '.join(found)}; {remedy}")
        if list(found).count(column) > 1 or f"{column}.1" in found:  # so pandas renames a second one
            raise RecganError(f"{name} has more than one column {column}; {remedy}")


def first_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Take each item's rows at the instant of its first sale, from which its row of the items table is made.

    Args:
        rows: item_id, price (null where it is none) and time of each event.

    Returns:
        Of an item with a price, the rows with one at the first instant that has one; of any other, the rows
        at its first instant.
    """
    rows = rows[rows["item_id"].notna()]
    priced = rows["price"].notna()
    rows = rows[priced | ~priced.groupby(rows["item_id"]).transform("any")]
    return rows[rows["time"] == rows.groupby("item_id")["time"].transform("min")]


def described_items(item_ids: Column, times: Column, described: Mapping[str, Column]) -> dict[str, pa.Array]:
    """Describe each item as its first sale does, where the log is all that says what an item is.

    Later rows must not: an average over all of them would tell the train window what things cost in the test
    window.

    Args:
        item_ids: of the events.
        times: of the events; a row without one describes nothing.
        described: column of ITEMS → its value in each event; of texts the most frequent one of the first
            instant holds, the first in the alphabet among equals, of prices above 0 the median.

    Returns:
        The columns of the items table, by item id.
    """
    return descriptions(distinct_ids(item_ids), first_sales(item_ids, times, described))


def first_sales(item_ids: Column, times: Column, described: Mapping[str, Column]) -> pa.Table:
    """Take of the events what describes their items: the rows of each item at the instant of its first sale.

    Those of several parts of a log give those of the whole, by `joined_sales`.
    """
    naive = times.cast(pa.timestamp("us"))  # in UTC
    frame = pd.DataFrame({"item_id": _pandas(item_ids), "time": _pandas(naive)})
    price = _pandas(described["price"]).astype(float) if "price" in described else np.nan
    frame = frame.assign(price=price).assign(
        price=lambda rows: rows["price"].where((rows["price"] > 0) & np.isfinite(rows["price"]))
    )
    for name in described:
        if name != "price":
            frame[name] = _pandas(described[name]).str.strip().replace("", None)
    return _sales(first_rows(frame), sales_schema(described))


def joined_sales(whole: pa.Table, more: pa.Table) -> pa.Table:
    """Return the first sales of both; in `more` an item may have others besides, under another spelling."""
    return _sales(first_rows(pa.concat_tables([whole, more]).to_pandas()), whole.schema)


def sales_schema(described: Iterable[str]) -> pa.Schema:
    """Return the columns of first sales, of which those after the price are texts."""
    fields = {"item_id": pa.string(), "time": pa.timestamp("us"), "price": pa.float64()}
    return pa.schema(fields | dict.fromkeys([name for name in described if name != "price"], pa.string()))


def _sales(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = [pa.array(frame[field.name], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def descriptions(ids: pa.Array, sales: pa.Table) -> dict[str, pa.Array]:
    """Return the columns of the items table as the items' first sales have them.

    Args:
        ids: of all items, sorted.
        sales: what `first_sales` gives.
    """
    first, items = sales.to_pandas(), {"item_id": ids}
    ids = ids.to_pandas()
    for name in first.columns[3:]:
        counts = first.groupby(["item_id", name]).size().rename("rows").reset_index()
        counts = counts.sort_values(["item_id", "rows", name], ascending=[True, False, True])
        value = counts.drop_duplicates("item_id").set_index("item_id")[name].reindex(ids)
        items[name] = pa.array(value, pa.string(), from_pandas=True)
    # Null where it never was above zero.
    prices = first.groupby("item_id")["price"].median().reindex(ids)
    items["price"] = pa.array(prices, pa.float64(), from_pandas=True)
    return items


def _pandas(column: Column) -> Any:
    return (pa.chunked_array([column]) if isinstance(column, pa.Array) else column).to_pandas()


def distinct_ids(ids: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return each id once, sorted, without null."""
    distinct = pc.unique(pc.drop_null(ids))
    return distinct.take(pc.sort_indices(distinct))


def to_table(columns: Mapping[str, Column], schema: pa.Schema, n_rows: int) -> pa.Table:
    """Put columns into a schema; a column that is not given is null, and so is NaN."""
    filled = {}
    for field in schema:
        column = columns.get(field.name, pa.scalar(None, field.type))
        if isinstance(column, pa.Scalar):
            column = pa.repeat(column, n_rows)
        column = column.cast(field.type)
        if pa.types.is_floating(field.type):  # NaN is a number to DuckDB and a null to pandas: a null to all
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
        filled[field.name] = column
    return pa.table(filled, schema=schema)
