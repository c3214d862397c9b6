"""A log in parts is read like one file, and a night that reads only what is new like a first night."""

import json
import logging
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.events import read_tables
from recgan.data.sources import csv_files, own_log, parts
from recgan.data.sources.own_files import write
from tests.data.test_own_files import source

HEADER = "order,who,what,at,state,title,eur\n"
MONTHS = {
    "01": "#1, a ,1.0,1704067200000,paid,Tea,5\n#1,,2.0,,,,\n#2,cafe\u0301,1,1704067201000,void,Tee,9\n",
    "02": "#1,,3.0,0,,Cup,\n#3,b,1.0,1706745600000,paid,Tea,6\n,None,7,1706745601000,paid,Pot,1\n",
    "03": "#3,,2.0,,,Pan,4\n#2,,3.0,,,Can,4\n#9,B,8.0,1709251200000, VOID,Jar,4\n#9,,8.0,,paid,Jar,2\n",
}
SETTINGS = {
    "events": "orders-*.csv",
    "columns": {
        "user_id": "who",
        "item_id": "what",
        "timestamp": "at",
        "session_id": "order",
        "price": "eur",
    },
    "item_columns": {"title": "title", "price": "eur"},
    "event": "purchase",
    "fill_down": {"order": "order", "columns": ["who", "at", "state"]},
    "leave_out": {"state": ["void"]},
}


def put(folder, months):
    folder.mkdir(exist_ok=True)
    for month, rows in months.items():
        (folder / f"orders-{month}.csv").write_text(HEADER + rows)
    return folder


def ingest(folder, into, earlier=None, **changes):
    into.mkdir()
    write(source(**(SETTINGS | changes)), folder, into, earlier)
    return into


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def told(caplog):
    """What was said of the whole log."""
    return [
        line.replace("*", "all")
        for line in caplog.messages
        if " lines are " not in line and "parts" not in line
    ]


@pytest.fixture(autouse=True)
def _one_code(monkeypatch):
    monkeypatch.setattr("recgan.core.closure.digest", lambda module: "this code")  # a tenth of a second each


@pytest.fixture
def read(monkeypatch):
    """Return the names of the files that are read."""
    names = []

    def noting(part, *rest):
        names.append(part.path.name)
        return parts.chunks(part, *rest)

    monkeypatch.setattr(own_log, "chunks", noting)
    return names


@pytest.mark.parametrize("chunk", [40, 80, 1 << 20])
def test_parts_and_chunks_are_read_like_one_file(tmp_path, monkeypatch, caplog, chunk):
    caplog.set_level(logging.INFO)
    one = ingest(put(tmp_path / "one", {"all": "".join(MONTHS.values())}), tmp_path / "from one")
    of_one = told(caplog)
    caplog.clear()
    monkeypatch.setattr(csv_files, "_CHUNK", chunk)
    several = ingest(put(tmp_path / "several", MONTHS), tmp_path / "from several")
    assert [path.name for path in sorted((several / "events.parquet").iterdir())] == [
        "part-00000.parquet", "part-00001.parquet", "part-00002.parquet",
    ]  # fmt: skip
    tables = read_tables(several)
    assert tables.events.equals(read_tables(one).events)
    assert tables.items.equals(read_tables(one).items)
    assert tables.users.equals(read_tables(one).users)
    assert [line.replace("several", "one") for line in told(caplog)] == of_one
    # By hand: #1 goes on in February, #2 and #3 in March; fractions go, as all are .0; 0 is no time.
    events = [
        tuple(row.values())[:4] for row in tables.events.select(["user_id", "item_id", "price"]).to_pylist()
    ]
    assert events == [
        ("a", "1", 5), ("a", "2", None), ("a", "3", None), ("b", "1", 6), (None, "7", 1), ("b", "2", 4),
        ("B", "8", 2),
    ]  # fmt: skip
    assert tables.items.to_pylist()[0] | {"title": "Tea", "price": 5.0} == tables.items.to_pylist()[0]
    assert "1 ids differ from another only by case" in caplog.text


def same_size(rows):
    return rows.replace("Tea,6", "Tee,6")


NIGHTS = {
    "nothing": (lambda raw: None, []),
    "a new month": (lambda raw: put(raw, {"04": "#9,,8.0,,,,\n#4,d,9.0,1711929600000,paid,Urn,7\n"}), ["04"]),
    "a month before all others": (
        lambda raw: put(raw, {"00": "#0,d,9.0,1701388800000,paid,Urn,7\n"}),
        ["00"],
    ),
    "orders of an earlier month go on": (
        lambda raw: put(
            raw, {"00": "#9,z,9.0,1701388800000,paid,Urn,7\n#1,y,9.0,1701388800001,paid,Urn,7\n"}
        ),
        ["00"],
    ),
    "another order's first month": (
        lambda raw: put(raw, {"01": MONTHS["01"].replace(" a ", " e ")}),
        ["01", "02"],  # whose order goes on
    ),
    "a month that is mended": (lambda raw: put(raw, {"02": same_size(MONTHS["02"])}), ["02"]),
    "a month that is gone": (lambda raw: (raw / "orders-02.csv").unlink(), ["03"]),
    "the first month is gone": (lambda raw: (raw / "orders-01.csv").unlink(), ["02", "03"]),
    "another name": (lambda raw: (raw / "orders-03.csv").rename(raw / "orders-05.csv"), []),
    "another order of months": (lambda raw: (raw / "orders-02.csv").rename(raw / "orders-05.csv"), ["03"]),
    "an id with a fraction": (
        lambda raw: put(raw, {"04": "#4,d,1.10,1711929600000,paid,Urn,7\n"}),
        ["04", "01", "02", "03"],
    ),
    "a first month of ISO times": (
        lambda raw: (
            [(raw / f"orders-0{n}.csv").unlink() for n in (1, 2, 3)]
            and put(raw, {"00": "#1,a,1,2024-01-01,,,\n", "01": "#1,a,1,2024-01-02,,,\n"})
        ),
        ["00", "01"],
    ),
}


@pytest.mark.parametrize(("change", "expected"), NIGHTS.values(), ids=NIGHTS.keys())
def test_a_night_that_reads_what_is_new_gives_what_a_first_night_gives(tmp_path, read, change, expected):
    raw = put(tmp_path / "raw", MONTHS)
    first = ingest(raw, tmp_path / "first")
    before, stamps = files(first), {path: path.stat().st_mtime_ns for path in raw.iterdir()}
    change(raw)
    for path in raw.iterdir():  # neither size nor time need tell a change
        if path in stamps:
            os.utime(path, ns=(stamps[path], stamps[path]))
    read.clear()
    second = ingest(raw, tmp_path / "second", first)
    assert read == [f"orders-{month}.csv" for month in expected]
    assert files(first) == before  # its parts may be the same files as the new ones
    assert files(second) == files(ingest(raw, tmp_path / "anew"))
    for path in (
        (first / "events.parquet").iterdir() if not expected and change is NIGHTS["nothing"][0] else ()
    ):
        assert path.samefile(second / "events.parquet" / path.name)


def test_other_settings_and_other_code_read_all_again(tmp_path, read, monkeypatch):
    raw = put(tmp_path / "raw", MONTHS)
    first = ingest(raw, tmp_path / "first")
    read.clear()
    ingest(raw, tmp_path / "second", first, leave_out={})
    assert len(read) == 3
    monkeypatch.setattr("recgan.core.closure.digest", lambda module: "other code")
    ingest(raw, tmp_path / "third", first)
    assert len(read) == 6


def test_what_was_damaged_since_is_read_again(tmp_path, read):
    raw = put(tmp_path / "raw", MONTHS)
    first = ingest(raw, tmp_path / "first")
    anew = files(first)
    (first / "events.parquet/part-00001.parquet").write_bytes(b"PAR1")
    (first / "facts/00002/item_id.parquet").unlink()
    read.clear()
    assert files(ingest(raw, tmp_path / "second", first)) == anew
    assert read == ["orders-02.csv", "orders-03.csv"]
    (first / "facts/parts.json").write_text("{")
    assert files(ingest(raw, tmp_path / "third", first)) == anew


def test_types_of_parquet_are_decided_by_all_parts(tmp_path):
    raw = tmp_path / "raw"
    (raw / "log").mkdir(parents=True)
    for number, (who, at) in enumerate([([1.0, None], [5, 6]), ([2.0, 3.5], [1_700_000_000_000] * 2)]):
        table = pa.table({"who": who, "what": ["x", "y"], "at": at})
        pq.write_table(table, raw / f"log/{number}.parquet")
        columns = {"user_id": "who", "item_id": "what", "timestamp": "at"}
        changes = {
            "columns": columns,
            "item_columns": {},
            "fill_down": None,
            "leave_out": {},
            "events": "log",
        }
        earlier = tmp_path / f"night {number - 1}"
        last = ingest(raw, tmp_path / f"night {number}", earlier, **changes)
    events = read_tables(last).events
    assert events["user_id"].to_pylist() == [
        "1",
        None,
        "2",
        "3.5",
    ]  # no whole numbers, so as Arrow writes them
    assert [time.year for time in events["timestamp"].to_pylist()] == [1970, 1970, 2023, 2023]
    assert events["timestamp"][0].as_py().microsecond == 5_000  # milliseconds, as February's are
    assert files(last) == files(ingest(raw, tmp_path / "anew", **changes))


@pytest.mark.parametrize(
    ("month", "message"),
    [
        ("#4,d,1.0,1711929600,paid,Urn,7\n", "1 of 11 values are unix seconds (row 11: 1711929600)"),
        ("#4,d,1.0,noon,paid,Urn,7\n", "column at, row 11: 'noon' is not a time in unix seconds"),
        ("#4,d,1.0,1711929600000,paid,Urn,?\n", "column eur, row 11: '?' is not a number"),
        ("#4,d,007,1711929600000,paid,Urn,7\n", "cannot begin with zeros as 007 does"),
        (
            '#4,?,1.0,noon,paid,"Urn,7\n#4,d,7,,,,\n',
            "orders-04.csv, line 2, column title: the value that begins",
        ),
    ],
)
def test_a_fault_of_a_new_part_is_told_with_its_place_in_the_log(tmp_path, month, message):
    raw = put(tmp_path / "raw", MONTHS)
    first = ingest(raw, tmp_path / "first")
    put(raw, {"04": month})
    for earlier in (first, None):
        with pytest.raises(RecganError) as caught:
            ingest(raw, tmp_path / f"second {earlier is None}", earlier)
        assert message in str(caught.value)


def test_where_no_link_can_be_made_parts_are_copied(tmp_path, monkeypatch, read):
    def refused(*_):
        raise OSError("another file system")

    raw = put(tmp_path / "raw", MONTHS)
    first = ingest(raw, tmp_path / "first")
    monkeypatch.setattr(os, "link", refused)
    read.clear()
    assert files(ingest(raw, tmp_path / "second", first)) == files(first)
    assert read == []


def test_a_month_without_rows_and_a_folder_that_becomes_one_file(tmp_path, read):
    raw = put(tmp_path / "raw", {"01": MONTHS["01"], "02": ""})
    first = ingest(raw, tmp_path / "first")
    assert read_tables(first).events.num_rows == 2
    read.clear()
    assert files(ingest(raw, tmp_path / "second", first)) == files(first)
    assert read == []
    (raw / "orders-02.csv").unlink()
    one = ingest(raw, tmp_path / "one", first)
    assert sorted(path.name for path in one.iterdir()) == ["events.parquet", "items.parquet", "users.parquet"]
    assert (one / "events.parquet").is_file()
    shutil.rmtree(first)
    assert read_tables(one).events.num_rows == 2


@pytest.mark.parametrize("several", [False, True])
def test_two_spellings_of_an_item_have_one_first_sale(tmp_path, several):
    """Ids written 2 and 2.0 are one item, which its first sale describes, whichever spelling that had."""
    first = "#1,a,2,1704067200000,paid,Old,10\n"
    later = "#2,b,2.0,1717200000000,paid,New,30\n#3,c,2.0,1717200001000,paid,New,30\n"
    months = {"01": first, "02": later} if several else {"01": first + later}
    items = read_tables(ingest(put(tmp_path / "raw", months), tmp_path / "into")).items
    assert items.select(["item_id", "title", "price"]).to_pylist() == [
        {"item_id": "2", "title": "Old", "price": 10.0}
    ]


def test_a_manifest_that_was_changed_is_not_believed(tmp_path):
    folder, first = put(tmp_path / "raw", MONTHS), tmp_path / "first"
    before = files(ingest(folder, first))
    manifest = first / "facts" / "parts.json"
    text = manifest.read_text()
    keys = [part["key"] for part in json.loads(text)["parts"]]
    swapped = text.replace(keys[0], "x").replace(keys[1], keys[0]).replace("x", keys[1], 1)
    manifest.write_text(swapped)
    assert files(ingest(folder, tmp_path / "second", first)) == before


def test_a_link_to_nothing_among_the_parts_is_named(tmp_path):
    folder = put(tmp_path / "raw", MONTHS)
    (folder / "orders-04.csv").symlink_to(tmp_path / "unmounted.csv")
    for events in ("orders-*.csv", "."):
        with pytest.raises(RecganError, match=r"orders-04\.csv is a link to nothing"):
            ingest(folder, tmp_path / f"into{len(events)}", events=events)
