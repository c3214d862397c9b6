"""Users' files in many states: each gives the right events or one clear error, never something between."""

import codecs
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.own_files import read as read_own_files
from tests.data.test_own_files import source

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NAMES = ["customer", "sku", "action", "at"]
ROWS = [
    [f"u{i % 3}", f"i{i % 4}", "view", f"{NOON + timedelta(hours=i):%Y-%m-%dT%H:%M:%SZ}"] for i in range(12)
]
RIGHT = [(f"u{i % 3}", f"i{i % 4}", "view", NOON + timedelta(hours=i)) for i in range(12)]


def text(rows=ROWS, names=NAMES, comma=",", end="\n"):
    return end.join(comma.join(row) for row in [names, *rows]) + end


def events(folder, content, **changes):
    (folder / "events.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return events_of(read_own_files(source(**changes), folder))


def events_of(tables):
    return [tuple(row.values()) for row in tables.events.select(range(4)).to_pylist()]


def replaced(column, value, row=5):
    return [
        [value if (r, c) == (row, column) else old for c, old in enumerate(line)]
        for r, line in enumerate(ROWS)
    ]


SOUND = {
    "a byte order mark": codecs.BOM_UTF8 + text().encode(),
    "CRLF": text(end="\r\n"),
    "CR": text(end="\r"),
    "no end of line at the end": text().rstrip("\n"),
    "blank lines": text().replace("\n", "\n\n"),
    "blank lines of CRLF, first of all": "\r\n\r\n" + text(end="\r\n") + "\r\n\r\n",
    "all in quotes": text([[f'"{value}"' for value in row] for row in ROWS]),
    "blanks around values": text([[f" {value} " for value in row] for row in ROWS]),
    "a header in quotes": text(names=[f'"{name}"' for name in NAMES]),
    "columns in another order": text([row[::-1] for row in ROWS], NAMES[::-1]),
    "more columns, one of them twice": text([[*row, "1", "2"] for row in ROWS], [*NAMES, "more", "more"]),
    "NUL padding": text([[row[0] + "\x00\x00", *row[1:]] for row in ROWS]),
    "a byte order mark at each id": text([["\ufeff" + row[0], *row[1:]] for row in ROWS]),
    "inches in a column that is not read": text([[*row, '24" screen'] for row in ROWS], [*NAMES, "title"]),
    "offsets in place of Z": text().replace("Z\n", "+00:00\n"),
    "times with nine decimals": text().replace("Z\n", ".000000000Z\n"),
}


@pytest.mark.parametrize("content", SOUND.values(), ids=SOUND.keys())
def test_what_is_only_untidy_is_read_rightly(tmp_path, content):
    assert events(tmp_path, content) == RIGHT


CLEAR = {
    "UTF-16": (text().encode("utf-16"), "not readable CSV in UTF-8"),
    "latin-1": (text(replaced(0, "é")).encode("latin-1"), "not readable CSV in UTF-8"),
    "semicolons": (text(comma=";"), "ingest.csv.delimiter that semicolons stand between"),
    "tabs": (text(comma="\t"), "ingest.csv.delimiter that tabs stand between"),
    "bars": (text(comma="|"), "ingest.csv.delimiter that bars stand between"),
    "only a header": (text([]), "has a header but no rows"),
    "only blank lines": ("\n\n\n", "has no column customer"),
    "a line too short": (text(replaced(3, "x,y")), "line 7: 5 fields where the header has 4"),
    "a line too long": (text([*ROWS, ["u1"]]), "line 14: 1 fields where the header has 4"),
    "a header with blanks": (
        text(names=["customer", " sku", "action", "at"]),
        "write ' sku' as in the header",
    ),
    "no header": (text(ROWS[1:], ROWS[0]), "has no column customer, only u0"),
    "a quote in the header": (
        text(names=['"customer', *NAMES[1:]]),
        "goes on over the end of the line: 'customer,sku",
    ),
    "a quote in the header of a long file": ('"' + text(ROWS * 500), "not readable CSV"),
    "the header again": (text([*ROWS, NAMES, *ROWS]), "row 13: 'customer' is the header again"),
    "a quote before an id": (
        text(replaced(0, '"u2')),
        "line 7, column customer: the value that begins with '\"u2",
    ),
    "a quote before a time": (text(replaced(3, '"2024-05-01')), "line 7, column at"),
    "a day first": (text(replaced(3, "31/12/2024")), "row 6: '31/12/2024' is not a time"),
    "a 13th month": (text(replaced(3, "2024-13-01")), "row 6: '2024-13-01' is not a time"),
    "one time without a zone": (text(replaced(3, "2024-05-01 12:00")), "11 times have a zone and 1"),
    "one unix time": (text(replaced(3, "1714564800")), "row 6: '1714564800' is not a time"),
    "an id from a spreadsheet": (text(replaced(0, "1.23457E+11")), "1.23457E+11 have lost their digits"),
    "a web page": ("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "has no column customer"),
    "JSON": ('{"customer": "u1", "sku": "i1"}\n', "has no column customer"),
    "Parquet by the name of CSV": (b"PAR1\x15\x04\x15\xff\x00PAR1", "not readable CSV"),
}


@pytest.mark.parametrize(("content", "message"), CLEAR.values(), ids=CLEAR.keys())
def test_what_is_damaged_is_one_clear_error(tmp_path, content, message):
    with pytest.raises(RecganError) as caught:
        events(tmp_path, content)
    assert message in str(caught.value)
    assert "; " in str(caught.value)  # what is wrong; then the remedy
    assert "\n" not in str(caught.value)


def test_rows_that_are_doubled_are_validations_matter(tmp_path):
    assert events(tmp_path, text(ROWS * 2)) == RIGHT * 2


@pytest.mark.parametrize("number", ['"1,50"', "1.5.0", "€1", "1 000"])
def test_a_number_of_another_country_is_named(tmp_path, number):
    columns = dict(zip(["user_id", "item_id", "event", "timestamp", "price"], [*NAMES, "eur"], strict=True))
    rows = [[*row, "1.50" if i else number] for i, row in enumerate(ROWS)]
    with pytest.raises(RecganError, match=r"column eur, row 1: .* is not a number; mend or remove that row"):
        events(tmp_path, text(rows, [*NAMES, "eur"]), columns=columns)


def test_a_whole_column_of_another_country_is_told_how_to_be_written(tmp_path):
    columns = dict(zip(["user_id", "item_id", "event", "timestamp", "price"], [*NAMES, "eur"], strict=True))
    rows = [[*row, '"1.299,00"'] for row in ROWS]
    with pytest.raises(RecganError) as caught:
        events(tmp_path, text(rows, [*NAMES, "eur"]), columns=columns)
    assert f"row 1: '1.299,00' is not a number, nor are the next {len(ROWS) - 1} values" in str(caught.value)
    assert "write the column as 1234.56: a point before the decimals" in str(caught.value)


def parquet(folder, **changes):
    columns = {name: pa.array(column) for name, column in zip(NAMES, zip(*ROWS, strict=True), strict=True)}
    pq.write_table(pa.table(columns | changes), folder / "events.parquet")
    return events_of(read_own_files(source(events="events.parquet"), folder))


TIMES = [row[3] for row in RIGHT]
USERS = [row[0] for row in RIGHT]


@pytest.mark.parametrize(
    "changes",
    [
        {"at": pa.array(TIMES, pa.timestamp("ns", tz="Asia/Tokyo"))},
        {"at": pa.array([time.replace(tzinfo=None) for time in TIMES], pa.timestamp("ns"))},
        {"at": pa.array([int(time.timestamp()) * 10**9 for time in TIMES])},
        {"at": pa.array([int(time.timestamp()) for time in TIMES], pa.uint32())},
        {"at": pa.array([Decimal(int(time.timestamp())) for time in TIMES])},
        {"customer": pa.array(USERS).dictionary_encode()},
        {"customer": pa.array(USERS, pa.large_string()).dictionary_encode()},
        {"customer": pa.array(USERS, pa.string_view())},
        {"customer": pa.array([user + "\xa0" for user in USERS]).dictionary_encode()},
    ],
)
def test_types_of_parquet_are_read_as_what_they_mean(tmp_path, changes):
    assert parquet(tmp_path, **changes) == RIGHT


@pytest.mark.parametrize(
    ("users", "ids"),
    [
        (
            pa.array([Decimal(7 + i) for i in range(12)], pa.decimal128(20, 2)),
            [str(7 + i) for i in range(12)],
        ),
        (pa.array([float(7 + i) for i in range(12)], pa.float32()), [str(7 + i) for i in range(12)]),
        (pa.array([2**62 + i for i in range(12)]).dictionary_encode(), [str(2**62 + i) for i in range(12)]),
        (pa.array(["NULL", "nan", None, "u1"] * 3), [None, None, None, "u1"] * 3),
        (pa.nulls(12), [None] * 12),
    ],
)
def test_ids_of_parquet_are_text_with_all_their_digits(tmp_path, users, ids):
    assert [row[0] for row in parquet(tmp_path, customer=users)] == ids


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"customer": pa.array([["a"]] * 12)}, "is of type list"),
        ({"customer": pa.array([{"id": "a"}] * 12)}, "is of type struct"),
        ({"customer": pa.array([b"\xff"] * 12)}, "is of type binary"),
        ({"customer": pa.array([2.0**60] * 12)}, "have lost their last digits"),
        ({"at": pa.array([timedelta(1)] * 12)}, "which is no time"),
        ({"at": pa.array([[1]] * 12)}, "which is no time"),
        ({"at": pa.array([1714564800] * 6 + [1714564800000] * 6)}, "6 of 12 values are unix seconds"),
    ],
)
def test_types_of_parquet_that_mean_nothing_are_refused(tmp_path, changes, message):
    with pytest.raises(RecganError) as caught:
        parquet(tmp_path, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_events_items_and_users_still_join_after_cleaning(tmp_path):
    rows = [[f"{17850 + i}.0", f"{i}.0", "view", "2024-05-01"] for i in range(3)]
    (tmp_path / "items.csv").write_text("sku,name\n0,a\n1 ,b\n2.0,c\n")
    pq.write_table(pa.table({"customer": [17850.0, 17851.0, 17852.0, None][:3]}), tmp_path / "users.parquet")
    (tmp_path / "events.csv").write_text(text(rows))
    tables = read_own_files(
        source(
            items="items.csv",
            item_columns={"item_id": "sku", "title": "name"},
            users="users.parquet",
            user_columns={"user_id": "customer"},
        ),
        tmp_path,
    )
    assert tables.events["item_id"].to_pylist() == tables.items["item_id"].to_pylist() == ["0", "1", "2"]
    assert (
        tables.events["user_id"].to_pylist()
        == tables.users["user_id"].to_pylist()
        == ["17850", "17851", "17852"]
    )


def test_ids_that_only_cleaning_makes_alike_stand_twice_in_the_items(tmp_path):
    (tmp_path / "items.csv").write_text("sku\ni0\ni0 \n")
    with pytest.raises(RecganError, match=r"1 id\(s\) more than once, such as i0; keep one row of each"):
        events(tmp_path, text(), items="items.csv", item_columns={"item_id": "sku"})


@pytest.mark.parametrize("names", [{"1": "view", "4": "purchase"}, {"1.0": "view", "4.0": "purchase"}])
def test_kinds_that_are_numbers_are_named_as_the_file_or_a_person_writes_them(tmp_path, names):
    rows = [[*row[:2], kind, row[3]] for row, kind in zip(ROWS, ["1.0", "4.0", "1"] * 4, strict=True)]
    kinds = [row[2] for row in events(tmp_path, text(rows), event_names=names)]
    assert kinds == ["view", "purchase", "view"] * 4


@pytest.mark.parametrize("users", ["customer\na\n\nb\n", 'customer\r\n"a"\r\n"b"\r\n', "customer\na\nb"])
def test_a_file_of_one_column_is_counted_like_any_other(tmp_path, users):
    (tmp_path / "users.csv").write_text(users)
    (tmp_path / "events.csv").write_text(text())
    given = source(users="users.csv", user_columns={"user_id": "customer"})
    assert read_own_files(given, tmp_path).users["user_id"].to_pylist() == ["a", "b"]
