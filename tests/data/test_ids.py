import logging
from decimal import Decimal

import pyarrow as pa
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.ids import clean_ids, ids_as_text, without_null_words


def ids(*values):
    return pa.chunked_array([values], pa.string())


def cleaned(*values):
    return clean_ids({"log.csv, column user": ids(*values)})[0].to_pylist()


@pytest.mark.parametrize(
    "around", [" ", "\t", "\xa0", "\u200b", "\ufeff", "\u3000", "\x00", "\r\n", "\u2060 \u202f"]
)
def test_blanks_and_invisible_characters_around_an_id_go(around, caplog):
    assert cleaned(f"{around}u1{around}", "u1", "u2" + around, None) == ["u1", "u1", "u2", None]
    assert (
        "log.csv, column user: 2 of 4 ids were read without the blanks or invisible characters" in caplog.text
    )


def test_what_lies_inside_an_id_stays():
    assert cleaned("a b", "a\u200bb", "a\xa0b") == ["a b", "a\u200bb", "a\xa0b"]


def test_one_letter_has_one_form(caplog):
    assert cleaned("cafe\u0301", "caf\xe9") == ["caf\xe9", "caf\xe9"]
    assert "1 of 2 ids were read in Unicode's form NFC" in caplog.text


def test_whole_numbers_lose_a_fraction_where_all_that_have_one_are_whole(caplog):
    assert cleaned("17850.0", "17850", "0.0", "-1.0", None) == ["17850", "17850", "0", "-1", None]
    assert "3 of 5 ids were whole numbers with a fraction" in caplog.text
    assert cleaned("85123A", "10002.0") == ["85123A", "10002"]  # Online Retail's kinds of codes
    assert cleaned("17.00", "17", "9.00") == ["17", "17", "9"]  # an export with two decimals


@pytest.mark.parametrize(
    "values",
    [("1.0", "1.10"), ("2.0", "2.5", "3"), ("1.00", "2.0"), ("1.0.0", "1.2.0"), ("v1.0",), ("01.0",)],
)
def test_versions_are_no_whole_numbers(values):
    assert cleaned(*values) == list(values)


def test_all_tables_are_cleaned_by_one_decision():
    events, items = clean_ids({"events": ids("1.0", "2.0"), "items": ids("1.0", "1.10", "2.0")})
    assert events.to_pylist() == ["1.0", "2.0"]
    assert items.to_pylist() == ["1.0", "1.10", "2.0"]
    events, items = clean_ids({"events": ids("1.0", "2"), "items": ids("1", "2 ")})
    assert set(events.to_pylist()) == set(items.to_pylist()) == {"1", "2"}


@pytest.mark.parametrize("lost", ["1.23457E+11", "1.2345678901234568e+17", "9E+05"])
def test_a_rounded_number_is_no_id(lost):
    with pytest.raises(RecganError, match=r"such as .* have lost their digits.*; export the column as text"):
        cleaned("u1", lost)
    assert cleaned("1E5", "12e34", "5e-3", "1.5E5") == ["1E5", "12e34", "5e-3", "1.5E5"]  # codes have no plus


def test_a_number_that_doubles_do_not_hold_is_no_id():
    assert cleaned(f"{2**53 - 1}.0") == [str(2**53 - 1)]
    with pytest.raises(RecganError, match=r"9007199254740992\.0 was a floating number"):
        cleaned(f"{2**53}.0", "5")
    with pytest.raises(RecganError, match="cannot begin with zeros as 007 does; export the ids as text"):
        cleaned("007", "8.0")


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_floats_of_parquet_are_ids_while_they_are_exact(kind):
    bits = 53 if kind == pa.float64() else 24
    column = pa.chunked_array([[2.0**bits - 1, None, float("nan"), 7.0]], kind)
    assert ids_as_text(column, "log").to_pylist() == [str(2**bits - 1), None, None, "7"]
    with pytest.raises(
        RecganError, match="have lost their last digits; export the ids as text or whole numbers"
    ):
        ids_as_text(pa.chunked_array([[2.0**bits, 1.0]], kind), "log")


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([2**63 - 1, None]), ["9223372036854775807", None]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([Decimal("17850.00"), None]), ["17850", None]),
        (pa.array([Decimal("17850.50"), Decimal("1.00")]), ["17850.50", "1.00"]),
        (pa.array([Decimal("12345678901234567890")]), ["12345678901234567890"]),
    ],
)
def test_whole_numbers_of_parquet_keep_all_their_digits(column, text):
    assert ids_as_text(pa.chunked_array([column]), "log").to_pylist() == text


@pytest.mark.parametrize(
    "column",
    [pa.array([b"\xff"]), pa.array([["x"]]), pa.array([True]), pa.array([0]).cast(pa.timestamp("s"))],
)
def test_other_types_are_no_ids(column):
    with pytest.raises(RecganError, match=r"is of type .*, not text or whole numbers; convert it"):
        ids_as_text(pa.chunked_array([column]), "log")


def test_null_words_are_missing_and_counted(caplog):
    written = ids("None", "NONE ", "\\N", "u1", "", "  ", "none at all", None, "None")
    with caplog.at_level(logging.INFO):
        read = without_null_words(written, ["none", "\\N"], "log.csv, column user")
    assert read.to_pylist() == [None, None, None, "u1", None, None, "none at all", None, None]
    assert "read as missing: 2 'None', 1 '', 1 '  ', 1 'NONE ', 1 '\\\\N'" in caplog.text


def test_a_word_that_is_not_listed_is_an_id():
    assert without_null_words(ids("NA", "nil"), ["nil"], "log").to_pylist() == ["NA", None]


@pytest.mark.parametrize(
    "twins",
    [
        ("A1", "a1"),
        ("0110", "110"),
        ("+0017", "0017"),
        ("17,017", "17017"),
        ("17.017", "17017"),
        ("1.234.567", "1234567"),
        ("17017,00", "17017"),
        ("'u17", "u17"),
        ("\uff55\uff11", "u1"),
    ],
)
def test_ids_that_may_be_one_stay_apart_with_a_warning(twins, caplog):
    assert cleaned(*twins, "B", None) == [*twins, "B", None]
    assert "1 ids differ from another only by case, width, leading zeros or separators" in caplog.text
    caplog.clear()
    clean_ids({"kinds": ids(*twins)}, cased=False)
    assert not caplog.text


@pytest.mark.parametrize("others", [("0", "00a", "a0"), ("1,2", "12"), ("1.2.3", "123"), ("10", "1", "100")])
def test_ids_that_are_two_need_no_warning(others, caplog):
    assert cleaned(*others) == list(others)
    assert "differ from another" not in caplog.text
