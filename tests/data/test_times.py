import logging
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.times import to_times

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
SECOND = int(NOON.timestamp())


def read(*values, zone=None, kind=None):
    return to_times(pa.chunked_array([pa.array(values, kind)]), "log.csv, column at", zone).to_pylist()


def complaint(*values, zone=None, kind=None):
    with pytest.raises(RecganError) as caught:
        read(*values, zone=zone, kind=kind)
    return str(caught.value)


def test_a_column_of_another_country_is_told_how_to_be_written():
    message = complaint("01/05/2024 12:00", "02/05/2024 12:00", None, "03/05/2024 12:00")
    assert "row 1: '01/05/2024 12:00' is not a time" in message
    assert "nor are the next 2 values; write the column as 2024-05-01T12:30:00Z" in message
    assert "mend or remove that row" in complaint("01/05/2024 12:00", "2024-05-01", "2024-05-02")


@pytest.mark.parametrize("thousands", [0, 1, 2, 3])
def test_units_of_unix_time_are_told_apart_by_size(thousands):
    number = SECOND * 1000**thousands
    assert read(number, None) == [NOON, None]
    assert read(str(number)) == [NOON]
    assert read(100_000_000 * 1000**thousands) == [datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (1, 2), (0, 3)])
def test_units_are_not_mixed(first, second):
    message = complaint(SECOND * 1000**first, SECOND * 1000**second, SECOND * 1000**second)
    units = ["seconds", "milliseconds", "microseconds", "nanoseconds"]
    assert f"1 of 3 values are unix {units[first]} (row 1: " in message
    assert f"2 of 3 values are unix {units[second]} (row 2: " in message
    assert "; write all as 2024-05-01T12:30:00Z, or all in one unit" in message


@pytest.mark.parametrize("written", [20240501, 202405011230, 20240501123059, 19991231, 210012312359])
def test_a_date_is_no_number(written):
    for values in ((written,), (str(written),), (written, SECOND)):
        assert f"are dates written as a number (row 1: {written})" in complaint(*values)


def test_a_date_with_an_hour_is_one_where_all_are():
    assert "2 of 3 values are dates written as a number" in complaint(2024050112, None, 2024123123)
    assert read(1_900_010_111, 1_899_999_999)[0] == datetime.fromtimestamp(1_900_010_111, UTC)


@pytest.mark.parametrize("written", [45413, 45413.52, 20_000, 79_999.5])
def test_a_spreadsheets_day_is_no_second(written):
    for values in ((written, None), (f"{written}",), (float(written), float(SECOND))):
        assert "are day numbers of a spreadsheet (row 1: " in complaint(*values)


def test_small_numbers_count_from_a_beginning_of_their_own():
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    assert read(1, 45_413, 20_240_501) == [beginning + timedelta(seconds=s) for s in (1, 45_413, 20_240_501)]


def test_a_number_beyond_nanoseconds_is_refused():
    assert "larger than any unit" in complaint(17_145_648_000_000_000_000.0)


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ([0, -1, -1], "2 of 5 times are -1"),
        ([0, 0.0, 0], "3 of 5 times are 0"),
        ([-62_135_596_800] * 3, "3 of 5 times are 0001-01-01 00:00:00"),
        (["0001-01-01T00:00:00"] * 3, "3 of 5 times are 0001-01-01 00:00:00"),
        (["1900-01-01", "1900-01-01 00:00", "1900-01-01T00:00:00Z"], "2 of 5 times are 1900-01-01 00:00:00"),
        (["1899-12-30"] * 3, "1899-12-30"),
        (["1970-01-01", "1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00Z"], "1970-01-01 00:00:00"),
        (["0000-00-00 00:00:00"] * 3, "3 of 5 times are 0000-00-00"),
        ([date(1900, 1, 1)] * 3, "3 of 5 times are 1900-01-01 00:00:00"),
        ([datetime(1753, 1, 1)] * 3, "3 of 5 times are 1753-01-01 00:00:00"),
    ],
)
def test_a_calendars_first_instant_stands_for_a_missing_time(missing, word, caplog):
    if isinstance(missing[0], str):
        present = ["2024-05-01T12:00:00Z"] * 2
    elif isinstance(missing[0], date):
        present = [type(missing[0])(2024, 5, 1)] * 2
    else:
        present = [SECOND] * 2
    times = read(*present, *missing, zone="UTC")
    assert [time and time.date() for time in times] == [NOON.date()] * 2 + [None] * 3
    assert f"{word}" in caplog.text
    assert "which stands for a missing time: read as missing" in caplog.text


def test_a_second_beside_a_stand_in_is_a_time():
    assert read("1970-01-01T00:00:01Z") == [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    "zone", ["Australia/Sydney", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
)
@pytest.mark.parametrize("month", [1, 7])
def test_local_times_become_instants_as_the_standard_library_has_it(zone, month):
    local = datetime(2024, month, 1, 12)
    instant = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert read(f"{local:%Y-%m-%d %H:%M}", zone=zone) == [instant]
    assert read(local, zone=zone, kind=pa.timestamp("ns")) == [instant]
    assert read(int(instant.timestamp()), zone=zone) == [instant]  # a unix number has its zone


def test_the_changes_of_the_clock_are_decided_and_said(caplog):
    with caplog.at_level(logging.INFO):
        times = read(
            "2024-10-27T02:30:00", "2024-03-31T02:30:00", "2024-05-01T14:00:00", zone="Europe/Berlin"
        )
    assert times == [
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),  # at +02:00, an hour before the second 02:30
        datetime(2024, 3, 31, 1, 0, tzinfo=UTC),  # 03:00 at +02:00, when the clock was put on
        NOON,
    ]
    assert (
        "3 times without a zone were read as of Europe/Berlin; 1 in an hour that comes twice" in caplog.text
    )
    assert "1 in one that is skipped" in caplog.text


def test_some_times_with_a_zone_and_some_without_need_a_word():
    mixed = ("2024-05-01T12:00:00Z", "2024-05-01 14:00:00", None, "2024-05-01T14:00:00+02:00")
    message = complaint(*mixed)
    assert (
        "2 times have a zone and 1, such as 2024-05-01 14:00:00, have none; write all with a zone" in message
    )
    assert read(*mixed, zone="Europe/Berlin") == [NOON, NOON, None, NOON]
    assert read(mixed[1]) == [NOON + timedelta(hours=2)]  # all alike: UTC


def test_days_without_a_clock_begin_at_local_midnight():
    assert read("2024-05-01", zone="Europe/Berlin") == [datetime(2024, 4, 30, 22, tzinfo=UTC)]
