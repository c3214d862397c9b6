"""Ids outside, whole numbers inside."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def encode(ids: pa.ChunkedArray) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
    """Turn ids into codes.

    Returns:
        The distinct ids, sorted, and for each row the place of its id among them.
    """
    encoded = pc.dictionary_encode(ids).unify_dictionaries().combine_chunks()
    # combine_chunks gives an array, or a chunked one without chunks when there is no row.
    distinct, place = _sorted(encoded.dictionary)
    return distinct, place[encoded.indices.to_numpy()]


@dataclass(frozen=True)
class Coded:
    """Rows about a user and an item, sorted by both, with codes for ids."""

    user_ids: NDArray[np.object_]
    """All users, sorted."""
    item_ids: NDArray[np.object_]
    """All items, sorted."""
    columns: dict[str, NDArray[Any]]
    """(rows,) each: `user` and `item`, which count into the ids, and what else there is. An instant is in
    microseconds UTC, and the least whole number where there is none."""


def code_rows(batches: pa.RecordBatchReader, then_by: str | None = None) -> Coded:
    """Code the ids of rows as they come, and sort the rows.

    A large log has tens of millions of pairs. So no id is held twice, and no column longer than it must be.

    Args:
        batches: of user_id, item_id and other columns.
        then_by: a column of whole numbers below 128, by which rows of one user and item are sorted.
    """
    ids = {"user_id": _Ids(), "item_id": _Ids()}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in batches.schema.names}
    for batch in batches:
        for name, column in zip(parts, batch.columns, strict=True):
            # A view would keep the whole batch, its ids included.
            parts[name].append(ids[name].code(column) if name in ids else _values(column).copy())
    columns = {}
    for name in list(parts):
        empty = _values(pa.array([], pa.int32() if name in ids else batches.schema.field(name).type))
        columns[name.removesuffix("_id")] = np.concatenate([empty, *parts.pop(name)])
    user_ids, user_places = _sorted(ids["user_id"].known)
    item_ids, item_places = _sorted(ids["item_id"].known)
    columns["user"], columns["item"] = user_places[columns["user"]], item_places[columns["item"]]
    # One whole number for each row sorts several times faster than three keys.
    key = columns["user"].astype(np.int64) * len(item_ids) + columns["item"]
    if then_by is not None:
        key = key * 128 + columns[then_by]
    order = np.argsort(key)
    del key
    for name in columns:
        columns[name] = columns[name][order]
    return Coded(user_ids, item_ids, columns)


class _Ids:
    """Ids in the order in which they came."""

    def __init__(self) -> None:
        self.known = pa.array([], pa.string())

    def code(self, ids: pa.Array) -> NDArray[np.int32]:
        """Return the place of each id, new ones added."""
        found = pc.index_in(ids, value_set=self.known)
        if found.null_count:
            new = pc.unique(ids.filter(pc.is_null(found)))
            self.known = pa.concat_arrays([self.known, new])
            found = pc.index_in(ids, value_set=self.known)
        codes: NDArray[np.int32] = found.to_numpy()
        return codes


def _sorted(distinct: pa.Array) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
    """Sort distinct ids, and return the new place of each."""
    ids = distinct.to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(ids, kind="stable")
    place = np.empty(len(ids), dtype=np.int32)
    place[order] = np.arange(len(ids), dtype=np.int32)
    return ids[order], place


def _values(column: pa.Array) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.astype("datetime64[us]").view(np.int64) if values.dtype.kind == "M" else values
