"""Counts and sums that are the same on every engine, in whatever order its threads meet the rows.

Sums are of whole numbers. A count is never null, as `count(where=)` is on Spark where no condition is known.
"""

import ibis

FIXED_POINT = 10_000
"""Prices and ratings are summed in whole ten-thousandths."""
_HUGE = 1e9  # beyond it, nothing is a price or a rating, and whole ten-thousandths may overflow


def known(values: ibis.Value, low: float = -_HUGE) -> ibis.Value:
    """Tell which values are numbers that can be summed."""
    # The statistics of a Parquet file leave NaN out, so DuckDB may fold `between` to true.
    return ~values.isnan() & values.between(low, _HUGE)


def count(where: ibis.Value) -> ibis.Value:
    """Count the rows that fulfil a condition; those where it is null do not."""
    return where.ifelse(1, None).count().cast("int32")  # half the memory, and many pairs have many counts


def fixed_sum(values: ibis.Value, parts: int = FIXED_POINT) -> ibis.Value:
    """Sum values in whole parts of one; nulls count as 0."""
    return (values * float(parts)).round().cast("int64").sum().fill_null(0).cast("int64")
