from pathlib import Path

import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.published_split import PublishedSplitSource
from recgan.data.sources.published_split import read as read_published_split

PARAMS = PublishedSplitSource(
    source="published-split", path=Path("raw"), feedback=None, train="a.train", test="a.test"
)


def write(folder, train="0 0 3.0\n10\t2  5\n", test="0 7 4.0\n"):
    (folder / "a.train").write_text(train)
    (folder / "a.test").write_text(test)


def test_rows_keep_the_file_they_come_from_and_have_no_time(tmp_path):
    write(tmp_path)
    tables = read_published_split(PARAMS, tmp_path)
    columns = ["user_id", "item_id", "value", "split", "event", "timestamp"]
    assert [tuple(row.values()) for row in tables.events.select(columns).to_pylist()] == [
        ("0", "0", 3.0, "train", "rating", None),
        ("10", "2", 5.0, "train", "rating", None),
        ("0", "7", 4.0, "test", "rating", None),
    ]
    assert tables.users["user_id"].to_pylist() == ["0", "10"]
    assert tables.items["item_id"].to_pylist() == ["0", "2", "7"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("0 0 3\n1 1 good\n", r"a\.train, row 2: `1 1 good` is not `user item rating`"),
        ("0 0 3\n1 1\n", r"a\.train, row 2: `1 1` is not"),
        ("0 0\n1 1\n", r"a\.train has 2 columns"),
        ("0 0 3\n1 1 2 9\n", r"a\.train is no text file of `user item rating`"),
        ("", r"a\.train is no text file"),
    ],
)
def test_other_content_is_refused_with_its_place(tmp_path, train, message):
    write(tmp_path, train=train)
    with pytest.raises(RecganError, match=message):
        read_published_split(PARAMS, tmp_path)


def test_a_missing_file_is_named_with_its_parameter(tmp_path):
    write(tmp_path)
    (tmp_path / "a.test").unlink()
    with pytest.raises(RecganError, match=r"no file .*a\.test; .*ingest\.test"):
        read_published_split(PARAMS, tmp_path)


def test_the_split_of_the_cfgan_paper_has_its_counts(real_data):
    params = PARAMS.model_copy(update={"train": "ML100K.train", "test": "ML100K.test"})
    tables = read_published_split(params, real_data("cfgan-ml100k"))
    assert tables.events["split"].to_pylist().count("train") == 80_000
    assert tables.events.num_rows == 99_963
    assert (tables.users.num_rows, tables.items.num_rows) == (943, 1653)


def test_a_quote_sign_is_a_sign_like_any_other(tmp_path):
    write(tmp_path, train='"0 0 3.0\n1 1 2.0\n"2 2 4.0\n')
    events = read_published_split(PARAMS, tmp_path).events
    assert events["user_id"].to_pylist() == ['"0', "1", '"2', "0"]
