import csv
import gzip
import io
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recgan.core.errors import RecganError
from recgan.data.sources import csv_files
from recgan.data.sources.csv_files import check_lines, count_lines, read_csv

HEADER = "user,item,at,title\n"


def rows(n, title="Thing"):
    return [f"u{i},i{i},2024-05-01,{title} {i}\n" for i in range(n)]


def written(folder, text, name="log.csv"):
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(text.encode())
    return path


def complaint(path):
    with pytest.raises(RecganError) as caught:
        read_csv(path, ["user"])
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "filled", "blank", "last"),
    [
        ("", 0, 0, b""),
        ("a\nb\n", 2, 0, b"b"),
        ("a\nb", 2, 0, b"b"),
        ("a\r\nb\r\n", 2, 0, b"b"),
        ("a\rb\r", 2, 0, b"b"),
        ("\n\na\n\nb\n\n", 2, 4, b"b"),
        ("a\r\n\r\nb\r\n\r\n", 2, 2, b"b"),
    ],
)
@pytest.mark.parametrize("block", [1, 2, 3, 1 << 20])
def test_lines_are_counted_whatever_ends_them(tmp_path, monkeypatch, text, filled, blank, last, block):
    monkeypatch.setattr(csv_files, "_BLOCK", block)
    for name in ("log.csv", "log.csv.gz"):
        lines = count_lines(written(tmp_path, text, name))
        assert (lines.filled, lines.blank, lines.last, lines.quotes) == (filled, blank, last, False)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_two_values_that_open_a_quote_far_apart_are_refused(tmp_path, name):
    lines = rows(30)
    lines[10] = 'u10,i10,2024-05-01,"Best of\n'
    lines[20] = 'u20,i20,2024-05-01,"Best of\n'
    message = complaint(written(tmp_path, HEADER + "".join(lines), name))
    assert "line 12, column title: the value that begins with '\"Best of' swallows rows: line 13" in message
    assert "'u11,i11,2024-05-01,Thing 11' (also where the value is sound" in message
    assert "; on export write each quote sign of a value twice" in message


def swallowing():
    stray, plain = 'u8,i8,2024-05-01,"Best of\n', rows(8)
    yield "neighbouring lines", [*plain, stray, stray, *plain]
    yield "never closed", [*plain, stray, *plain]
    yield "never closed, on the last line", [*plain, stray]
    yield "never closed, without an end of line", [*plain, stray.rstrip("\n")]
    yield "closed by inches", [*plain, stray, 'u9,i9,2024-05-01,Monitor 24"\n', *plain]
    yield "in the first column", [*plain, '"u8,i8,2024-05-01,x\n', '"u9,i9,2024-05-01,x\n', *plain]
    yield (
        "in a middle column, line by line",
        [*plain, 'u8,"i8,2024-05-01,x\n', 'u9,"i9,2024-05-01,x\n', *plain],
    )
    yield "among sound quotes", [*plain, stray, 'u9,i9,2024-05-01,"red, ""big"""\n', *plain]
    yield "a blank line inside", [*plain, stray, "\n", *plain, stray, *plain]


@pytest.mark.parametrize("lines", [pytest.param(lines, id=name) for name, lines in swallowing()])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_no_stray_quote_swallows_a_line(tmp_path, lines, end):
    message = complaint(written(tmp_path, (HEADER + "".join(lines)).replace("\n", end)))
    assert "log.csv, line 10, column" in message
    assert "; on export write each quote sign of a value twice" in message


def test_what_stands_rightly_in_quotes_is_read_and_its_lines_accounted_for(tmp_path, caplog):
    text = HEADER + (
        'u0,i0,2024-05-01,"two\nlines"\n'
        "\n"
        'u1,i1,2024-05-01,"a ""quoted"" word, and\n\na blank line"\n'
        'u2,i2,2024-05-01,24" Monitor\n'
        '"u3",i3,2024-05-01,"Best" of\n'
        'u4,"i\n4",2024-05-01,\n'
    )
    with caplog.at_level(logging.INFO):
        table = read_csv(written(tmp_path, text), ["user", "title"])
    assert table["user"].to_pylist() == ["u0", "u1", "u2", "u3", "u4"]
    assert table["title"].to_pylist()[1] == 'a "quoted" word, and\n\na blank line'
    # By hand: 11 lines; one blank between rows, four that go on inside values.
    assert "1 header, 5 rows, 1 blank, 4 inside values" in caplog.text


def test_a_single_line_is_one_row_without_a_quote_sign(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read_csv(written(tmp_path, "\ufeff" + HEADER + "\n".join(r.strip() for r in rows(3))), ["title"])
    assert "log.csv: 4 lines are 1 header, 3 rows, 0 blank, 0 inside values" in caplog.text


def test_a_ragged_line_is_named(tmp_path):
    lines = rows(5)
    lines[2] = "u2,i2,2024-05-01,Thing, red\n"
    message = complaint(written(tmp_path, HEADER + "".join(lines)))
    assert "line 4: 5 fields where the header has 4: 'u2,i2,2024-05-01,Thing, red'; mend that line" in message


def test_a_compressed_file_that_was_cut_short_is_refused(tmp_path):
    path = written(tmp_path, HEADER + "".join(rows(5000)), "log.csv.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    assert "not readable CSV" in complaint(path)


def test_rows_of_another_parser_are_held_against_the_lines(tmp_path):
    path = written(tmp_path, HEADER + "".join(rows(5)))
    check_lines(path, 5)
    with pytest.raises(RecganError, match="5 rows by its lines, but 4 were read; save it anew"):
        check_lines(path, 4)


def test_a_line_is_quoted_without_addresses_and_orders_to_a_terminal(tmp_path):
    lines = rows(5)
    lines[2] = "anna@example.com,i2,\x1b[2J2024-05-01\n"
    message = complaint(written(tmp_path, HEADER + "".join(lines)))
    assert "line 4: 3 fields" in message
    assert "'a…@…,i2,\\x1b[2J2024-05-01'" in message


TEXT = st.text(st.sampled_from('ab ,"\n'), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(TEXT, min_size=6, max_size=6), min_size=1, max_size=5))
def test_what_a_csv_writer_writes_is_read_whole_or_refused(tmp_path_factory, values):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([[*"abcdef"], *values])
    path = written(tmp_path_factory.mktemp("csv"), text.getvalue())
    try:
        table = read_csv(path, [*"abcdef"])
    except RecganError:
        assert any("\n" in value for row in values for value in row)
    else:
        assert [list(row.values()) for row in table.to_pylist()] == [
            [v or None for v in row] for row in values
        ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.text(st.sampled_from('ab" '), max_size=4)] * 4), min_size=1, max_size=6))
def test_lines_without_breaks_in_values_are_never_fewer_rows(tmp_path_factory, values):
    # Raw text as a careless export writes it: no value is quoted, any may begin with a quote sign.
    lines = [f"u{number}," + ",".join(row) + "\n" for number, row in enumerate(values)]
    path = written(tmp_path_factory.mktemp("csv"), "user,a,b,c,d\n" + "".join(lines))
    try:
        table = read_csv(path, ["user"])
    except RecganError:
        return
    assert table["user"].to_pylist() == [f"u{number}" for number in range(len(values))]
