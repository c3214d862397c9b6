"""What published lists show."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq


def published_items(path: Path, depth: int) -> "pd.Series[str]":
    """Read the item ids of the first places of every list, each once a list, a row group at a time.

    New products are left out: the reference is of what the champion was trained on.
    """
    file = pq.ParquetFile(path)
    # A file from before there was such a column has none.
    columns = [one for one in ("user_id", "rank", "item_id", "new") if one in file.schema_arrow.names]
    groups = (file.read_row_group(number, columns=columns) for number in range(file.num_row_groups))
    kept = [
        group.filter(_counts(group, depth)).group_by(["user_id", "item_id"]).aggregate([])["item_id"]
        for group in groups  # no list is in two of them
    ]
    item_ids: pd.Series[str] = pa.chunked_array(
        [chunk for part in kept for chunk in part.chunks], pa.string()
    ).to_pandas()
    return item_ids


def _counts(group: pa.Table, depth: int) -> pa.ChunkedArray:
    first = pa.compute.less_equal(group["rank"], depth)
    return pa.compute.and_not(first, group["new"]) if "new" in group.column_names else first
