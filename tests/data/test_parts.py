from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.parts import read_parts

COLUMNS = {"columns.user_id": "who", "columns.item_id": "what"}


def read(path, **more):
    return read_parts(path, "events", COLUMNS | {f"columns.{ours}": name for ours, name in more.items()})


def complaint(path, **more):
    with pytest.raises(RecganError) as caught:
        read(path, **more)
    return str(caught.value)


def parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_a_partitioned_folder_is_the_frame_that_was_written(tmp_path):
    frame = pd.DataFrame(
        {"who": ["a", "b", "c"], "what": ["x", "y", "z"], "day": ["2024-05-02", "2024-05-01"] * 1 + [None]}
    )
    frame.to_parquet(tmp_path / "log.parquet", partition_cols=["day"])
    table = read(tmp_path / "log.parquet", timestamp="day").to_pylist()
    assert sorted(table, key=lambda row: row["who"]) == [
        {"who": "a", "what": "x", "day": "2024-05-02"},
        {"who": "b", "what": "y", "day": "2024-05-01"},
        {"who": "c", "what": "z", "day": None},
    ]


def test_names_of_folders_are_text_as_it_stands(tmp_path):
    parquet(tmp_path / "log/shop=007/kind=a%2Fb/part-0.parquet", who=["a"], what=["x"])
    assert read(tmp_path / "log", session_id="shop", event="kind").to_pylist() == [
        {"who": "a", "what": "x", "shop": "007", "kind": "a/b"}
    ]


def test_parts_of_csv_are_joined_and_what_spark_writes_beside_them_is_no_part(tmp_path):
    folder = tmp_path / "log.csv"
    folder.mkdir()
    (folder / "part-00001.csv").write_text("what,who\ny,b\n")
    (folder / "part-00000.csv").write_text("who,what\na,x\n")
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-00000.csv.crc").write_bytes(b"crc")
    assert read(folder).to_pylist() == [{"who": "a", "what": "x"}, {"who": "b", "what": "y"}]
    (folder / "part-00002.csv").write_text('who,what,title\nc,"x,t\nd,"y,t\n')
    assert "part-00002.csv, line 2, column what: the value that begins with" in complaint(folder)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (pa.array([1]), pa.array([2], pa.int32()), [1, 2]),
        (pa.array([1]), pa.array([None, 2.0]), [1.0, None, 2.0]),
        (pa.array(["a"]), pa.array([None], pa.null()), ["a", None]),
        (pa.array(["a"]), pa.array(["b"], pa.large_string()), ["a", "b"]),
    ],
)
def test_parts_of_types_that_go_together_are_joined(tmp_path, first, second, joined):
    parquet(tmp_path / "log/0.parquet", who=first, what=["x"] * len(first))
    parquet(tmp_path / "log/1.parquet", who=second, what=["x"] * len(second))
    assert read(tmp_path / "log")["who"].to_pylist() == joined


@pytest.mark.parametrize("second", [["b"], [[2]], [True], [b"2"]])
def test_parts_of_other_types_are_named(tmp_path, second):
    parquet(tmp_path / "log/0.parquet", who=[1], what=["x"])
    parquet(tmp_path / "log/1.parquet", who=second, what=["x"])
    message = complaint(tmp_path / "log")
    assert "1.parquet: column who is of type" in message
    assert "but of type int64 in the parts before; write all parts in one type" in message


def test_a_part_without_a_column_is_named(tmp_path):
    parquet(tmp_path / "log/0.parquet", who=[1], what=["x"])
    parquet(tmp_path / "log/1.parquet", whom=[1], what=["x"])
    assert "1.parquet has no column who, only whom, what; mend ingest.columns.user_id" in complaint(
        tmp_path / "log"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "is a folder without files; put them there"),
        (["_SUCCESS"], "is a folder without files"),
        (["a.csv", "b.parquet"], "files of several kinds (.csv, .parquet); leave one kind in it"),
        (
            ["a.parquet", "_delta_log/0.json"],
            "is a table of Delta, whose files also hold deleted rows; export it",
        ),
        (["data/a.parquet", "metadata/v1.metadata.json"], "is a table of Iceberg, whose"),
        (["a.json"], "a.json is none of .csv, .tsv, .txt (or one of them in .gz) and .parquet; convert it"),
        (["a.csv"], "a.csv is empty; replace it"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, files, message):
    (tmp_path / "log").mkdir()
    for file in files:
        path = tmp_path / "log" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if file in ("a.csv", "_SUCCESS") else "{}")
    assert message in complaint(tmp_path / "log")


def duplicated(folder: Path, kind: str) -> Path:
    path = folder / f"log.{kind}"
    if kind == "csv":
        path.write_text("who,what,who,other,other\na,x,b,1,2\n")
    else:
        arrays = [pa.array([value]) for value in ("a", "x", "b", "1", "2")]
        pq.write_table(pa.Table.from_arrays(arrays, ["who", "what", "who", "other", "other"]), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_stands_twice_is_refused_where_it_is_meant(tmp_path, kind):
    path = duplicated(tmp_path, kind)
    message = complaint(path)
    assert (
        f"log.{kind} has 2 columns who (columns 1 and 3), and ingest.columns.user_id cannot say which"
        in message
    )
    assert read_parts(path, "events", {"columns.item_id": "what"}).to_pylist() == [{"what": "x"}]


def test_a_column_in_the_file_and_in_the_folders_name_is_refused(tmp_path):
    parquet(tmp_path / "log/who=b/0.parquet", who=["a"], what=["x"])
    assert "2 columns who (columns 1 and 3, the last from the folder's name)" in complaint(tmp_path / "log")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("who;what", "say in ingest.csv.delimiter that semicolons stand between the columns, or mend"),
        ("who\twhat", "say in ingest.csv.delimiter that tabs stand"),
        ("who, what", "has no column what, only who,  what; write ' what' as in the header, or mend"),
        ("WHO,what", "write 'WHO' as in the header"),
    ],
)
def test_a_header_of_another_kind_is_told(tmp_path, header, message):
    (tmp_path / "log.csv").write_text(header + "\na,x\n")
    assert message in complaint(tmp_path / "log.csv")


def test_words_and_notes_beside_the_parts_are_none(tmp_path):
    (tmp_path / "log.csv").write_text("who,what\na,x\n")
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "log.csv.dvc").write_text("outs: []")
    assert read(tmp_path).to_pylist() == [{"who": "a", "what": "x"}]


def test_a_pattern_names_several_files_of_a_folder(tmp_path):
    for month, who in (("02", "b"), ("01", "a")):
        (tmp_path / f"orders-{month}.csv").write_text(f"who,what\n{who},x\n")
    (tmp_path / "other.csv").write_text("nothing,here\n1,2\n")
    assert read(tmp_path / "orders-*.csv")["who"].to_pylist() == ["a", "b"]
    assert "no file is like" in complaint(tmp_path / "baskets-*.csv")
