"""The command that measures detectors on somebody's own file."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.accounts.command import _cell, accounts
from recgan.accounts.labelled_set import read_folder, read_ratings, read_user_labels
from recgan.accounts.trial import Measured
from recgan.core.errors import RecganError
from recgan.data.events import EVENTS, USERS

ROWS = [("a", "x", 3.0, 0), ("a", "y", 5.0, 86400), ("b", "x", 4.5, 43200)]


def write(path, rows, separator, head=()):
    path.write_text("\n".join(separator.join(map(str, row)) for row in [*head, *rows]) + "\n")
    return path


@pytest.mark.parametrize("separator", [" ", "  ", "\t", ",", ";", "|", "::"])
def test_separators_are_guessed(tmp_path, separator):
    log = read_ratings(write(tmp_path / "file", ROWS, separator), None, None)
    assert log.user_ids.tolist() == ["a", "b"]
    assert log.stars.tolist() == [3, 5, 4.5]
    assert log.first.tolist() == [0, 1, 0.5]


def test_names_of_columns_clipping_and_dates(tmp_path):
    rows = [("1", "7", 5, "2024-01-01"), ("2", "7", 1, "2024-01-02 12:00:00")]
    path = write(tmp_path / "file.csv", rows, ",", [("user", "item", "rating", "time")])
    log = read_ratings(path, None, 4.0)
    assert log.stars.tolist() == [4, 1]
    assert log.first.tolist() == [0, 1.5]
    assert read_ratings(write(tmp_path / "bare", [row[:3] for row in ROWS], " "), None, None).first is None


def test_labels_are_words_or_numbers(tmp_path):
    log = read_ratings(write(tmp_path / "file", [(n, "x", 1) for n in range(25)], " "), None, None)
    told = [(n, "fake" if n < 10 else 0) for n in range(24)]
    path = write(tmp_path / "labels", told, ",", [("user", "label")])
    found = dict(zip(log.user_ids, read_user_labels(path, log, None), strict=True))
    assert [found[str(n)] for n in (0, 9, 10, 24)] == [1, 1, 0, -1]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([("a", "x", "good"), ("b", "x", "bad")], "row 2: the rating is bad"),
        ([("a", "x", 3, "noon")], "row 1: the time is noon"),
        ([("a", "x")], r"2 column\(s\)"),
        ([("a", "x", "NaN"), ("b", "x", 3)], "row 1: the rating is NaN"),
        ([("user", "item", "rating")], "one row, whose rating is rating"),
        ([("a", "x", 3, 10**30), ("b", "x", 3, 9), ("c", "x", 3, 9)], "row 1: the time is 1000"),
    ],
)
def test_what_is_no_rating_is_said_with_its_line(tmp_path, rows, what):
    with pytest.raises(RecganError, match=what):
        read_ratings(write(tmp_path / "file", rows, " "), None, None)


def test_what_is_no_file_or_label_is_said(tmp_path):
    with pytest.raises(RecganError, match="none is not readable"):
        read_ratings(tmp_path / "none", None, None)
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(RecganError, match="no text in UTF-8"):
        read_ratings(tmp_path / "picture", None, None)
    log = read_ratings(write(tmp_path / "file", ROWS, " "), None, None)
    with pytest.raises(RecganError, match="row 2: the label is maybe"):
        read_user_labels(write(tmp_path / "labels", [("a", 1), ("b", "maybe")], " "), log, None)
    with pytest.raises(RecganError, match="1 fake and 1 genuine accounts of the 2"):
        read_user_labels(write(tmp_path / "labels", [("a", 1), ("b", 0)], " "), log, None)


def test_an_empty_field_is_named_with_its_row(tmp_path):
    rows = [(n, "x", 3, "" if n == 9 else 1703916203 + n) for n in range(12)]
    with pytest.raises(RecganError, match="row 10: the time is empty"):
        read_ratings(write(tmp_path / "file", rows, ","), None, None)
    with pytest.raises(RecganError, match="row 2: the user is empty"):
        read_ratings(write(tmp_path / "file", [("a", "x", 3), ("", "x", 3)], ","), None, None)


def test_a_user_with_both_labels_is_refused(tmp_path):
    log = read_ratings(write(tmp_path / "file", [(n, "x", 1) for n in range(20)], " "), None, None)
    told = [(n, int(n < 10)) for n in range(20)]
    twice = write(tmp_path / "labels", [*told, (3, "fake")], " ")
    assert (read_user_labels(twice, log, None) == 1).sum() == 10
    with pytest.raises(RecganError, match="row 21: the user is 3; an earlier row gives it the other"):
        read_user_labels(write(tmp_path / "labels", [*told, (3, 0)], " "), log, None)


def test_a_damaged_archive_and_an_odd_separator_are_said(tmp_path):
    path = tmp_path / "file.gz"
    whole = gzip.compress("".join(f"u{n} x {n % 5}\n" for n in range(500)).encode())
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for broken in (whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(broken)
        with pytest.raises(RecganError, match="cut off or damaged"):
            read_ratings(path, None, None)
    with pytest.raises(RecganError, match=r"1 column.*--separator"):
        read_ratings(write(tmp_path / "file", ROWS, " "), "((", None)
    assert len(read_ratings(write(tmp_path / "file", ROWS, "(("), "((", None).user) == 3


def labelled(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(user, item, 3) for user in range(60) for item in rng.choice(40, 6, replace=False)]
    rows += [(user, 99, 5) for user in range(48, 60)]
    labels = [(user, int(user >= 48)) for user in range(60)]
    return write(tmp_path / "file", rows, "\t"), write(tmp_path / "labels", labels, "\t")


def test_the_command_prints_a_table_of_all_detectors(tmp_path, capsys):
    file, labels = labelled(tmp_path)
    accounts(file, labels=labels, share=[0.5], repetitions=2, thin=0.15)
    said = capsys.readouterr().out
    assert "60 accounts" in said
    assert "no times" in said
    assert "| labels given | 50 % |" in said
    assert "| chance | 0.1" in said
    assert "lockstep" not in said
    with pytest.raises(RecganError, match="--share 5"):
        accounts(file, labels=labels, share=[5.0])
    with pytest.raises(RecganError, match="--labels"):
        accounts(file)
    with pytest.raises(RecganError, match="leave --labels out"):
        accounts(tmp_path, labels=labels)
    with pytest.raises(RecganError, match="--clip -inf"):
        accounts(file, labels=labels, clip=-np.inf)
    with pytest.raises(RecganError, match="of 12 fake accounts 1 would be left"):
        accounts(file, labels=labels, share=[0.999])


def test_one_draw_has_no_interval():
    assert _cell(Measured(0.5, float("nan"))) == "0.500"
    assert _cell(Measured(0.5, 0.01)) == "0.500 ± 0.010"


def test_a_folder_of_events_has_its_own_labels(tmp_path):
    users = [{"user_id": f"u{n}", "fake": n < 12 if n < 24 else None} for n in range(25)]
    events = [{"user_id": one["user_id"], "item_id": "x", "event": "view"} for one in users]
    events.append({"user_id": None, "item_id": "x", "event": "view"})
    pq.write_table(pa.Table.from_pylist(events, EVENTS), tmp_path / "events.parquet")
    pq.write_table(pa.Table.from_pylist(users, USERS), tmp_path / "users.parquet")
    log, labels = read_folder(tmp_path)
    assert len(log.user_ids) == 25
    assert [(labels == kind).sum() for kind in (1, 0, -1)] == [12, 12, 1]
