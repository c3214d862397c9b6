"""Rows come in batches; their ids become codes, and their order that of the ids."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from recgan.data.codes import code_rows

SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "window": pa.int8(),
        "first": pa.timestamp("us", "UTC"),
        "events": pa.int32(),
    }
)
AT = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
ROWS = [
    ("v", "ö", 1, AT, 1),
    ("v", "ö", 0, None, 2),
    ("u", "z", 2, AT, 3),
    ("", "a", 0, AT, 4),
    ("v", "a", 0, AT, 5),
]


def reader(rows, length):
    batches = [
        pa.RecordBatch.from_arrays(
            [
                pa.array(column, field.type)
                for column, field in zip(zip(*part, strict=True), SCHEMA, strict=True)
            ],
            schema=SCHEMA,
        )
        for part in (rows[start : start + length] for start in range(0, len(rows), length))
    ]
    return pa.RecordBatchReader.from_batches(SCHEMA, batches)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_rows_are_coded_and_sorted_whatever_the_batches(length):
    found = code_rows(reader(ROWS, length), then_by="window")
    assert found.user_ids.tolist() == ["", "u", "v"]
    assert found.item_ids.tolist() == ["a", "z", "ö"]
    assert found.columns["user"].tolist() == [0, 1, 2, 2, 2]
    assert found.columns["item"].tolist() == [0, 1, 0, 2, 2]
    assert found.columns["events"].tolist() == [4, 3, 5, 2, 1]
    never = np.iinfo(np.int64).min
    assert found.columns["first"].tolist() == [1_000_000, 1_000_000, 1_000_000, never, 1_000_000]


def test_no_rows_have_the_same_columns():
    found = code_rows(reader([], 1))
    assert set(found.columns) == {"user", "item", "window", "first", "events"}
    assert all(len(column) == 0 for column in found.columns.values())
