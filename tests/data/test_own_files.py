import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.own_files import OwnFilesSource
from recgan.data.sources.own_files import read as read_own_files
from recgan.data.sources.shop import ShopSource, simulate_shop
from recgan.settings import load_with_base
from tests.conftest import ROOT

COLUMNS = {"user_id": "customer", "item_id": "sku", "event": "action", "timestamp": "at"}
NULL_WORDS = load_with_base(ROOT / "examples/own-files.yaml").ingest.null_words
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def source(**changes):
    settings = {
        "source": "files",
        "path": Path("raw"),
        "feedback": None,
        "events": "events.csv",
        "csv": {"delimiter": ",", "encoding": "utf-8", "decimal": "."},
        "items": None,
        "users": None,
        "columns": COLUMNS,
        "item_columns": {},
        "user_columns": {},
        "event": None,
        "event_names": {},
        "fill_down": None,
        "leave_out": {},
        "null_words": NULL_WORDS,
        "timezone": None,
        "time_format": None,
    }
    return OwnFilesSource(**(settings | changes))


def read(folder, csv, **changes):
    (folder / "events.csv").write_text(csv, encoding="utf-8")
    return read_own_files(source(**changes), folder)


def complaint(folder, csv, **changes):
    with pytest.raises(RecganError) as caught:
        read(folder, csv, **changes)
    assert ";" in str(caught.value)  # what is wrong; then the remedy
    return str(caught.value)


def read_parquet(folder, **columns):
    pq.write_table(pa.table(columns), folder / "events.parquet")
    return read_own_files(source(events="events.parquet"), folder)


def test_columns_are_mapped_and_missing_ones_are_null(tmp_path):
    tables = read(
        tmp_path,
        'customer,sku,action,at,extra\n007,x,buy,2024-05-01T12:00:00,1\n,"a, b",poke,2024-05-01 12:00,\n',
        event_names={"buy": "purchase"},
    )
    assert tables.events.to_pylist() == [
        {"user_id": "007", "item_id": "x", "event": "purchase", "timestamp": NOON}
        | dict.fromkeys(["value", "price", "session_id", "split"]),
        {"user_id": None, "item_id": "a, b", "event": "poke", "timestamp": NOON}
        | dict.fromkeys(["value", "price", "session_id", "split"]),
    ]
    assert tables.users.to_pylist() == [{"user_id": "007", "fake": None}]
    assert tables.items["item_id"].to_pylist() == ["a, b", "x"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01 12:00:00", NOON),
        ("2024-05-01T14:00:00+02:00", NOON),
        ("2024-05-01 07:00:00-0500", NOON),
        ("2024-05-01 13:00:00 +0100", NOON),
        ("2024-05-01 12:00:00.25  -00:00", NOON.replace(microsecond=250_000)),
        ("2024-05-01 12:00:00 UTC", NOON),
        ("2024-05-01T12:00:00.000000000Z", NOON),
        ("2024-05-01T12:00:00.250", NOON.replace(microsecond=250_000)),
        ("2024-05-01", NOON.replace(hour=0)),
        ("1714564800", NOON),
        ("1714564800.25", NOON.replace(microsecond=250_000)),
        ("1714564800250", NOON.replace(microsecond=250_000)),
        ("", None),
    ],
)
def test_times_in_csv(tmp_path, written, meant):
    tables = read(tmp_path, f"customer,sku,action,at\na,x,view,{written}\n")
    assert tables.events["timestamp"].to_pylist() == [meant]


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        (pa.array([datetime(2024, 5, 1, 12)], pa.timestamp("ns")), NOON),
        (pa.array([datetime(2024, 5, 1, 12)], pa.timestamp("s")), NOON),
        (pa.array([NOON], pa.timestamp("ms", tz="Europe/Berlin")), NOON),
        (pa.array([date(2024, 5, 1)]), NOON.replace(hour=0)),
        (pa.array([1714564800]), NOON),
        (pa.array([1714564800.0]), NOON),
        (pa.array([1714564800000]), NOON),
        (pa.array(["2024-05-01T12:00:00"], pa.large_string()), NOON),
        (pa.array([None], pa.null()), None),
    ],
)
def test_times_in_parquet(tmp_path, column, meant):
    tables = read_parquet(tmp_path, customer=["a"], sku=["x"], action=["view"], at=column)
    assert tables.events["timestamp"].to_pylist() == [meant]


def test_ids_in_parquet_are_text_as_one_would_write_them(tmp_path):
    tables = read_parquet(
        tmp_path,
        customer=pa.array([17850.0, None]),
        sku=pa.array([12, 7]),
        action=pa.array(["view", "cart"]).dictionary_encode(),
        at=[0, 1],
    )
    assert tables.events["user_id"].to_pylist() == ["17850", None]
    assert tables.events["item_id"].to_pylist() == ["12", "7"]
    assert tables.events["event"].to_pylist() == ["view", "cart"]


def test_compressed_csv_and_a_pandas_parquet_are_read_alike(tmp_path):
    frame = pd.DataFrame({"customer": ["a", "b"], "sku": ["x", "y"], "action": "view", "at": [NOON, NOON]})
    frame.to_parquet(tmp_path / "events.parquet", index=False)
    with gzip.open(tmp_path / "events.csv.gz", "wt") as file:
        frame.to_csv(file, index=False)
    tables = [read_own_files(source(events=f"events.{end}"), tmp_path) for end in ("parquet", "csv.gz")]
    assert tables[0].events.equals(tables[1].events)


def test_numbers_nulls_and_one_kind_for_all(tmp_path):
    tables = read(
        tmp_path,
        "customer,sku,at,n,eur\na,x,0,2, 1.50\na,x,0,,nan\n",
        columns={"user_id": "customer", "item_id": "sku", "timestamp": "at", "value": "n", "price": "eur"},
        event="purchase",
    )
    assert tables.events["event"].to_pylist() == ["purchase", "purchase"]
    assert tables.events["value"].to_pylist() == [2.0, None]
    assert tables.events["price"].to_pylist() == [1.5, None]


def test_items_and_users_have_files_of_their_own(tmp_path):
    (tmp_path / "items.csv").write_text('sku,name,eur\nx,"two\nlines",3\ny,,\n')
    (tmp_path / "users.csv").write_text("customer,bot\na,true\nb,0\nc,\n")
    tables = read(
        tmp_path,
        "\ufeffcustomer,sku,action,at\na,x,view,0\n",
        items="items.csv",
        item_columns={"item_id": "sku", "title": "name", "price": "eur"},
        users="users.csv",
        user_columns={"user_id": "customer", "fake": "bot"},
    )
    assert tables.items.select(["item_id", "title", "price"]).to_pylist() == [
        {"item_id": "x", "title": "two\nlines", "price": 3.0},
        {"item_id": "y", "title": None, "price": None},
    ]
    assert tables.users["fake"].to_pylist() == [True, False, None]


def test_a_shop_written_as_csv_comes_back_as_it_was(tmp_path):
    fakes = {"share": 0.03, "styles": ["push"], "labelled": 0.5}
    settings = {
        "source": "shop",
        "path": tmp_path,
        "feedback": None,
        "seed": 1,
        "events": 2000,
        "days": 60,
        "end": NOON,
    }
    shop = ShopSource(**settings, pictures=None, fakes=fakes)
    tables = simulate_shop(shop)
    for name in ("events", "items", "users"):
        table = getattr(tables, name)
        pacsv.write_csv(
            table.drop_columns(["split"]) if name == "events" else table, tmp_path / f"{name}.csv"
        )

    def same(table):
        return {name: name for name in table.column_names if name != "split"}

    params = source(
        columns=same(tables.events),
        items="items.csv",
        item_columns=same(tables.items),
        users="users.csv",
        user_columns=same(tables.users),
    )
    again = read_own_files(params, tmp_path)
    assert again.events.equals(tables.events)
    assert again.items.equals(tables.items)
    assert again.users.equals(tables.users)


HEADER = "customer,sku,action,at\n"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecganError, match=r"no file .*events\.csv; .*ingest\.path or ingest\.events"):
        read_own_files(source(), tmp_path)


def test_an_empty_file_is_named(tmp_path):
    assert "events.csv is empty" in complaint(tmp_path, "")
    assert "events.csv has a header but no rows" in complaint(tmp_path, HEADER)


def test_a_missing_column_is_named_with_the_available_ones(tmp_path):
    message = complaint(tmp_path, "customer,product,action,at\na,x,view,0\n")
    assert "has no column sku, only customer, product, action, at; mend ingest.columns.item_id" in message


def test_a_value_of_the_wrong_type_is_shown_with_its_row(tmp_path):
    rows = "".join(f"a,x,view,{second}\n" for second in range(50))
    message = complaint(tmp_path, HEADER + rows + "a,x,view,31/12/2024\n" + rows)
    assert "column at, row 51: '31/12/2024' is not a time in unix seconds" in message
    dates = "a,x,view,2024-01-01\n" * 50
    message = complaint(tmp_path, HEADER + dates + "a,x,view,31/12/2024\n" + dates)
    assert "column at, row 51: '31/12/2024' is not a time" in message
    message = complaint(
        tmp_path,
        "customer,sku,action,at,eur\na,x,view,0,1\na,x,view,0,cheap\n",
        columns=COLUMNS | {"price": "eur"},
    )
    assert "column eur, row 2: 'cheap' is not a number" in message


def test_numbers_too_large_for_a_time_are_refused(tmp_path):
    message = complaint(tmp_path, HEADER + "a,x,view,17145648000000000000\n")
    assert "1 of 1 values are larger than any unit of unix time" in message


def test_dates_without_dashes_are_not_taken_for_seconds(tmp_path):
    rows = "a,x,view,20240501\na,x,view,20240430\n"
    assert (
        "2 of 2 values are dates written as a number (row 1: 20240501); write all as 2024-05-01"
        in complaint(tmp_path, HEADER + rows)
    )


def test_a_column_of_another_kind_is_refused(tmp_path):
    with pytest.raises(RecganError, match=r"column at is of type bool, which is no time"):
        read_parquet(tmp_path, customer=["a"], sku=["x"], action=["view"], at=[True])
    with pytest.raises(RecganError, match=r"column sku is of type list.*, not text"):
        read_parquet(tmp_path, customer=["a"], sku=[["x"]], action=["view"], at=[0])


def test_corrupt_files_are_named(tmp_path):
    (tmp_path / "events.parquet").write_bytes(b"PAR1 and then something else")
    with pytest.raises(RecganError, match=r"events\.parquet is not readable Parquet .*write it anew"):
        read_own_files(source(events="events.parquet"), tmp_path)
    (tmp_path / "events.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(RecganError, match=r"events\.csv\.gz is not readable CSV"):
        read_own_files(source(events="events.csv.gz"), tmp_path)
    message = complaint(tmp_path, HEADER + "a,x,view\n")
    assert "events.csv, line 2: 3 fields where the header has 4: 'a,x,view'" in message
    (tmp_path / "events.csv").write_bytes(HEADER.encode() + "a,é,view,0\n".encode("latin-1"))
    with pytest.raises(RecganError, match="not readable CSV in UTF-8"):
        read_own_files(source(), tmp_path)


def test_another_format_is_refused(tmp_path):
    (tmp_path / "events.json").write_text("{}")
    with pytest.raises(RecganError, match=r"none of \.csv, .* and \.parquet"):
        read_own_files(source(events="events.json"), tmp_path)


def test_faults_of_the_mapping_are_named(tmp_path):
    rows = HEADER + "a,x,view,0\n"
    some = {key: COLUMNS[key] for key in ("user_id", "item_id", "event")}
    assert "ingest.columns does not say which column is timestamp" in complaint(tmp_path, rows, columns=some)
    some = {key: COLUMNS[key] for key in ("user_id", "item_id", "timestamp")}
    assert "add event (or ingest.event" in complaint(tmp_path, rows, columns=some)
    assert "has colour, which is none of user_id" in complaint(
        tmp_path, rows, columns=COLUMNS | {"colour": "at"}
    )
    assert "both ingest.event (view)" in complaint(tmp_path, rows, event="view")


@pytest.mark.parametrize(
    ("items", "message"),
    [("sku\nx\ny\nx\n", "1 id(s) more than once, such as x"), ("sku,n\nx,1\n,2\n", "row 2: no id")],
)
def test_item_ids_stand_once_and_are_there(tmp_path, items, message):
    (tmp_path / "items.csv").write_text(items)
    rows = HEADER + "a,x,view,0\n"
    assert message in complaint(tmp_path, rows, items="items.csv", item_columns={"item_id": "sku"})
