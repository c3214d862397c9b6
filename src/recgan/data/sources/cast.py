"""Casts that name the first value that cannot be cast."""

import pyarrow as pa

from recgan.core.errors import RecganError

_SAMPLE = 100  # values: enough to tell a column that is written otherwise from one bad row
_WRITTEN = {
    pa.float64().id: "1234.56: a point before the decimals, nothing between the thousands, no currency",
    pa.timestamp("us").id: "2024-05-01T12:30:00Z, or as unix seconds",
}


def cast(
    column: pa.ChunkedArray,
    wanted: pa.DataType,
    where: str,
    words: str,
    shown: pa.ChunkedArray | None = None,
    first_row: int = 0,
) -> pa.ChunkedArray:
    """Cast a column, or name the first value and row that cannot be.

    Args:
        column: the values.
        wanted: their type afterwards.
        where: the file and column, for messages.
        words: what a value should be, as in "is not a number".
        shown: the values as the file has them, where `column` has been changed.
        first_row: of the column in its log, which is read part by part.

    Raises:
        RecganError: a value, or the type as a whole, cannot be cast.
    """
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
        near = column.slice(low, _SAMPLE).drop_null()
        alike = sum(not _castable(near.slice(row, 1), wanted) for row in range(len(near)))
        if 1 < alike == len(near):
            raise RecganError(
                f"{where}, row {low + 1 + first_row}: {value!r} is not {words}, nor are the next "
                f"{alike - 1:,} values; write the column as {_WRITTEN.get(wanted.id, words)}"
            ) from None
        raise RecganError(
            f"{where}, row {low + 1 + first_row}: {value!r} is not {words}; mend or remove that row"
        ) from None


def _castable(column: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        column.cast(wanted)
    except pa.ArrowInvalid:
        return False
    return True
