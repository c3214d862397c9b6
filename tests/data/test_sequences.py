"""Sequences without times: order is kept as steps of a day, attributes as categories."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.sequences import SequencesSource, read

PARAMS = SequencesSource(
    source="sequences",
    feedback=None,
    path=Path("raw"),
    sequences="some.txt",
    attributes="some.json",
    end="2015-01-10T12:00:00+02:00",
)
ALONE = PARAMS.model_copy(update={"attributes": None})


def write(folder, text="7 a b c\n\n9\tb  a b\n", attributes=None):
    (folder / "some.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    content = {"a": [3, "red"], "d": []} if attributes is None else attributes
    (folder / "some.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_last_event_is_at_the_end_and_a_step_back_a_day_before(tmp_path):
    write(tmp_path)
    events = read(PARAMS, tmp_path).events
    assert [tuple(row.values()) for row in events.select(["user_id", "item_id"]).to_pylist()] == [
        *(("7", item) for item in "abc"),
        *(("9", item) for item in "bab"),
    ]
    days = [datetime(2015, 1, day, 10, tzinfo=UTC) for day in (8, 9, 10)]
    assert events["timestamp"].to_pylist() == days * 2
    assert set(events["event"].to_pylist()) == {"purchase"}


def test_attributes_are_one_category(tmp_path):
    write(tmp_path)
    tables = read(PARAMS, tmp_path)
    categories = dict(zip(*tables.items.select(["item_id", "category"]).to_pydict().values(), strict=True))
    assert categories == {"a": "3|red", "b": None, "c": None, "d": None}
    assert tables.users["user_id"].to_pylist() == ["7", "9"]
    assert read(ALONE, tmp_path).items["item_id"].to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7 a\n8\n", r"some\.txt, line 2: `8` has no item; write `user item item …`"),
        ("7,a,b\n", r"line 1: `7,a,b` has no item; .* with blanks"),
        ("7 a\n8 a\n7 b\n", r"line 3: `7 b` is of user 7, who has a line before; make one of both"),
        ("\n\n", r"some\.txt is empty; replace it"),
        (b"7 \xff\n", r"some\.txt is no text in UTF-8 .*; replace it"),
    ],
)
def test_a_damaged_line_is_named_with_its_place_and_a_remedy(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(RecganError, match=message):
        read(ALONE, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("{", r"some\.json is no JSON .*; replace it, or set ingest\.attributes to null"),
        ([1], r"some\.json is no JSON object of item id"),
        ({"a": 3}, r"some\.json, item a: `3` is no list of attributes.*; mend that entry"),
        ({"a": ["x|y"]}, r"item a: `\['x\|y'\]` is no list"),
        ({"a": [1.5]}, r"item a: `\[1\.5\]` is no list"),
    ],
)
def test_damaged_attributes_are_named_with_a_remedy(tmp_path, attributes, message):
    write(tmp_path, attributes=attributes)
    with pytest.raises(RecganError, match=message):
        read(PARAMS, tmp_path)


def test_a_missing_file_says_where_such_files_come_from(tmp_path):
    with pytest.raises(RecganError, match=r"no file .*some\.txt; put it there.*github\.com"):
        read(PARAMS, tmp_path)
    write(tmp_path)
    (tmp_path / "some.json").unlink()
    with pytest.raises(RecganError, match=r"no file .*some\.json; .*ingest\.attributes"):
        read(PARAMS, tmp_path)


def test_the_real_set_has_its_published_counts(real_data):
    named = {"sequences": "Beauty.txt", "attributes": "Beauty_item2attributes.json"}
    tables = read(PARAMS.model_copy(update=named), real_data("s3rec"))
    assert (tables.users.num_rows, tables.items.num_rows, tables.events.num_rows) == (22_363, 12_101, 198_502)
    assert len(set(tables.events["item_id"].to_pylist())) == 12_101
