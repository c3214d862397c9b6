"""Tables of one file and of several part files are read alike."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.engine import engine
from recgan.data.events import EVENTS, check_table, parts_of, period_of, read_table


def _events(days: list[int]) -> pa.Table:
    rows = [
        {"user_id": f"u{day}", "item_id": "a", "event": "view", "timestamp": day * 86_400_000_000}
        for day in days
    ]
    return pa.Table.from_pylist(rows, EVENTS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = tmp_path / "events.parquet"
    table.mkdir()
    pq.write_table(_events([3, 1]), table / "part-1.parquet")
    pq.write_table(_events([2]), table / "part-0.parquet")
    (table / "_SUCCESS").touch()
    return table


def test_a_folder_of_parts_is_one_table_in_the_order_of_their_names(folder: Path) -> None:
    assert [part.name for part in parts_of(folder)] == ["part-0.parquet", "part-1.parquet"]
    assert read_table(folder, EVENTS)["user_id"].to_pylist() == ["u2", "u3", "u1"]
    assert read_table(folder, EVENTS, ["item_id"]).column_names == ["item_id"]
    first, last = period_of(folder)
    assert first is not None
    assert last is not None
    assert (first.day, last.day) == (2, 4)  # of January 1970


def test_the_engine_reads_a_file_and_a_folder(folder: Path) -> None:
    with engine() as tables:
        assert tables.read(folder).count().to_pyarrow().as_py() == 3
        assert tables.read(folder / "part-0.parquet").count().to_pyarrow().as_py() == 1


def test_a_part_of_other_columns_is_named(folder: Path) -> None:
    pq.write_table(_events([5]).drop_columns("price"), folder / "part-2.parquet")
    with pytest.raises(RecganError, match=r"part-2\.parquet has the columns"):
        check_table(folder, EVENTS)


def test_an_empty_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(RecganError, match=r"no file .*; run the stage that makes it"):
        parts_of(tmp_path)
