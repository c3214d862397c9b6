"""The list of the accounts that are left out."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.screened import read_quarantined


def test_the_ids_are_sorted_and_other_columns_do_not_matter(tmp_path):
    table = pa.table(
        {"score": [1.0, 0.5, 0.0], "user_id": ["c", "b", "a"], "quarantined": [True, False, True]}
    )
    pq.write_table(table, tmp_path / "accounts.parquet")
    assert read_quarantined(tmp_path).to_pylist() == ["a", "c"]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"user_id": ["a"], "quarantined": pa.array([None], pa.bool_())}, "quarantined is empty in 1 of 1"),
        ({"user_id": ["a"], "quarantined": pa.array([1], pa.int8())}, "quarantined is int8, not bool"),
        ({"user_id": ["a"]}, "quarantined is missing"),
    ],
)
def test_a_list_that_says_nothing_for_sure_is_refused(tmp_path, columns, what):
    pq.write_table(pa.table(columns), tmp_path / "accounts.parquet")
    with pytest.raises(RecganError, match=f"column {what}.*python -m recgan screen"):
        read_quarantined(tmp_path)
