"""What a shop's export has beside one row an event: other CSV, an order's first row that speaks for all."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.columns import described_items
from recgan.data.sources.csv_files import read_csv
from recgan.data.sources.csv_format import CsvFormat
from recgan.data.sources.own_files import read as read_own_files
from recgan.data.sources.rows import FillDown, filled_down, rows_left_out
from tests.data.test_own_files import source

ORDERS = {"user_id": "Email", "item_id": "sku", "timestamp": "at", "session_id": "Name"}


def read(folder, text, encoding="utf-8", name="events.csv", **changes):
    (folder / name).write_bytes(text.encode(encoding))
    return read_own_files(
        source(**({"columns": ORDERS, "event": "purchase", "events": name} | changes)), folder
    )


def complaint(*arguments, **changes):
    with pytest.raises(RecganError) as caught:
        read(*arguments, **changes)
    return str(caught.value)


def csv(delimiter=",", encoding="utf-8", decimal="."):
    return {"delimiter": delimiter, "encoding": encoding, "decimal": decimal}


# --- how CSV is written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_every_delimiter_and_encoding_gives_the_same_table(tmp_path, delimiter, encoding):
    text = f'id{delimiter}title\n1{delimiter}"Tür, groß; 5|6\t7"\n2{delimiter}"zwei\nZeilen"\n'
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode(encoding))
    named = "utf-8" if encoding.startswith("utf-8") else encoding
    table = read_csv(path, ["id", "title"], CsvFormat(**csv(delimiter, named)))
    assert table.to_pylist() == [
        {"id": "1", "title": "Tür, groß; 5|6\t7"},
        {"id": "2", "title": "zwei\nZeilen"},
    ]


def test_lost_rows_are_found_in_utf_16_with_semicolons_too(tmp_path):
    rows = "".join(
        f"{n};{title};x\n" for n, title in enumerate(["Thing", '"Thing', "Thing", 'Thing"', "Thing"])
    )
    path = tmp_path / "log.csv"
    path.write_bytes(("id;title;more\n" + rows).encode("utf-16"))
    with pytest.raises(RecganError, match="swallows rows: line 4 has 3 fields too"):
        read_csv(path, ["id"], CsvFormat(**csv(";", "utf-16")))


def test_the_wrong_encoding_is_named_with_its_parameter(tmp_path):
    (tmp_path / "events.csv").write_bytes("Email,sku,at,Name\nä,x,0,1\n".encode("cp1252"))
    with pytest.raises(RecganError, match=r"not readable CSV in UTF-8 with commas .* ingest\.csv"):
        read_own_files(source(columns=ORDERS, event="purchase"), tmp_path)


def test_a_decimal_comma(tmp_path):
    text = "Email;sku;at;Name;n;eur\n" + "".join(
        f"a;x;2024-05-0{day};1;1;{price}\n"
        for day, price in enumerate(["12,50", "1.234,50", "1.234.567", "7", " -0,5 "], 1)
    )
    more = {"columns": ORDERS | {"value": "n", "price": "eur"}, "csv": csv(";", decimal=",")}
    assert read(tmp_path, text, **more).events["price"].to_pylist() == [12.5, 1234.5, 1234567.0, 7.0, -0.5]
    assert "column eur, row 2: '1.5' is not a number" in complaint(
        tmp_path, "Email;sku;at;Name;n;eur\na;x;0;1;1;2\na;x;0;1;1;1.5\n", **more
    )


# --- times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "time", "meant"),
    [
        ("%d.%m.%Y %H:%M", "03.04.2024 15:30", (2024, 4, 3, 13, 30)),  # Berlin's summer time
        ("%m/%d/%Y %I:%M %p", "03/04/2024 3:30 PM", (2024, 3, 4, 14, 30)),
        ("%d.%m.%Y", "03.04.2024", (2024, 4, 2, 22, 0)),
        ("%d/%m/%Y %H:%M %z", "03/04/2024 15:30 +0100", (2024, 4, 3, 14, 30)),
    ],
)
def test_times_in_a_format_of_their_own(tmp_path, written, time, meant):
    rows = f"Email,sku,at,Name\na,x,{time},1\na,x,,1\n"
    tables = read(tmp_path, rows, time_format=written, timezone="Europe/Berlin")
    assert tables.events["timestamp"].to_pylist() == [datetime(*meant, tzinfo=UTC), None]


def test_a_time_in_another_format_is_refused(tmp_path):
    rows = "Email,sku,at,Name\na,x,03.04.2024,1\na,x,13.14.2024,1\na,x,2024-05-01,1\n"
    assert (
        "column at, row 2: '13.14.2024' is not written as '%d.%m.%Y', and so are 2 of 3 values; mend them, "
        "or ingest.time_format"
    ) in complaint(tmp_path, rows, time_format="%d.%m.%Y")


# --- orders ---------------------------------------------------------------------------------------------


def test_an_orders_first_row_speaks_for_its_others():
    table = pa.table(
        {
            "Name": ["#1", "#2", "#1", "#3", "#1", None, None],
            "Email": ["a", None, None, "c", None, "g", None],
            "Paid": ["1", "2", None, None, "9", None, None],
        }
    )
    filled = filled_down(table, FillDown(order="Name", columns=("Email", "Paid")), "log")
    assert filled["Email"].to_pylist() == ["a", None, "a", "c", "a", "g", None]
    assert filled["Paid"].to_pylist() == ["1", "2", "1", None, "9", None, None]


def test_rows_are_left_out_by_what_a_column_says():
    table = pa.table(
        {"Status": ["paid", " Refunded", None, "voided", "paid"], "Cancelled": [None, "x", None, None, "y"]}
    )
    assert rows_left_out(table, {"Status": ["REFUNDED", "voided"]}, "log").to_pylist() == [
        False, True, False, True, False,
    ]  # fmt: skip
    assert rows_left_out(table, {"Cancelled": []}, "log").to_pylist() == [False, True, False, False, True]
    with pytest.raises(RecganError, match="leaves no row; name fewer values"):
        rows_left_out(table.slice(1, 1), {"Status": ["refunded"]}, "log")


def test_a_shops_orders_become_events_and_items(tmp_path, caplog):
    text = (
        "Name,Email,at,Status,sku,title,price\n"
        "#1,a@x,2024-05-01 10:00:00 +0100,paid,007,Tea,5\n"
        "#1,,,,8,Pot,20\n"
        "#2,b@x,2024-05-02 10:00:00 +0100,refunded,9,Cup,3\n"
        "#3,,2024-05-03 10:00:00 +0100,paid,007,Green Tea,6\n"
    )
    tables = read(
        tmp_path,
        text,
        fill_down={"order": "Name", "columns": ["Email", "at", "Status"]},
        leave_out={"Status": ["refunded"]},
        item_columns={"title": "title", "price": "price"},
    )
    nine = datetime(2024, 5, 1, 9, tzinfo=UTC)
    events = tables.events.select(["user_id", "item_id", "timestamp", "session_id"]).to_pylist()
    assert [tuple(event.values()) for event in events] == [
        ("a@x", "007", nine, "#1"),
        ("a@x", "8", nine, "#1"),
        (None, "007", nine.replace(day=3), "#3"),
    ]
    items = tables.items.select(["item_id", "title", "price"]).to_pylist()
    assert [tuple(item.values()) for item in items] == [("007", "Tea", 5.0), ("8", "Pot", 20.0)]


def test_a_left_out_row_shifts_no_row_number(tmp_path):
    text = "Email,sku,at,Name,n\na,x,0,1,out\na,x,1,1,in\nb,y,noon,1,in\n"
    assert "row 3: 'noon'" in complaint(tmp_path, text, leave_out={"n": ["out"]})


def test_a_column_that_is_missing_names_its_parameter(tmp_path):
    text = "Email,sku,at,Name\na,x,0,1\n"
    assert "mend ingest.leave_out.Status" in complaint(tmp_path, text, leave_out={"Status": ["x"]})
    fill = {"order": "Order", "columns": ["Email"]}
    assert "mend ingest.fill_down.order" in complaint(tmp_path, text, fill_down=fill)
    assert "mend ingest.item_columns.title" in complaint(tmp_path, text, item_columns={"title": "name"})
    assert "there is no file of items" in complaint(tmp_path, text, item_columns={"item_id": "sku"})


def test_the_first_sale_describes_an_item():
    day = [datetime(2024, 5, day, tzinfo=UTC) for day in (1, 1, 1, 2, 1, 2)]
    items = described_items(
        pa.array(["x", "x", "x", "x", "y", "y"]),
        pa.array(day, pa.timestamp("us", tz="UTC")),
        {
            "title": pa.array(["B", "A", "B", "C", None, "Y"]),
            "price": pa.array([1.0, 3.0, 0.0, 9.0, np.nan, 4.0]),
        },
    )
    # y has its price at its first sale that has one, and so its title.
    assert {name: column.to_pylist() for name, column in items.items()} == {
        "item_id": ["x", "y"],
        "title": ["A", "Y"],
        "price": [2.0, 4.0],
    }
