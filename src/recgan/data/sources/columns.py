"""What the sources share: raw columns become the three tables."""

from collections.abc import Mapping
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from recgan.data.events import EVENTS, ITEMS, USERS, Tables

Column: TypeAlias = pa.Array | pa.ChunkedArray | pa.Scalar


def make_tables(
    events: Mapping[str, Column],
    items: Mapping[str, Column] | None = None,
    users: Mapping[str, Column] | None = None,
) -> Tables:
    """Put columns into the schemas; a column that is not given is null.

    Args:
        events: user_id, item_id and event at least; a scalar fills the whole column.
        items: None makes one row of each item id in the events, in their sorted order.
        users: the same for users.
    """
    event_table = _table(events, EVENTS, len(events["user_id"]))
    items = items or {"item_id": _distinct(event_table["item_id"])}
    users = users or {"user_id": _distinct(event_table["user_id"])}
    return Tables(
        event_table,
        _table(items, ITEMS, len(items["item_id"])),
        _table(users, USERS, len(users["user_id"])),
    )


def _distinct(ids: pa.ChunkedArray) -> pa.Array:
    distinct = pc.unique(pc.drop_null(ids))
    return distinct.take(pc.sort_indices(distinct))


def _table(columns: Mapping[str, Column], schema: pa.Schema, n_rows: int) -> pa.Table:
    filled = {}
    for field in schema:
        column = columns.get(field.name, pa.scalar(None, field.type))
        if isinstance(column, pa.Scalar):
            column = pa.repeat(column, n_rows)
        filled[field.name] = column.cast(field.type)
    return pa.table(filled, schema=schema)
