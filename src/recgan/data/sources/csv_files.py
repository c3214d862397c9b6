"""CSV files, their lines counted beside the parser: a stray quote sign must not swallow rows.

A parser that follows RFC 4180 reads on from a quote sign at the start of a value to the next one, line breaks
included. Two titles that begin with a quote sign so hide all rows between them.
"""

import codecs
import csv
import gzip
import io
import logging
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from recgan.core.csv_values import values_up_to
from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.data.sources.csv_format import DELIMITERS, PLAIN, CsvFormat

logger = logging.getLogger(__name__)

_BLOCK = 1 << 24  # bytes
_CHUNK = 1 << 25  # bytes
_LONGEST = 1 << 21  # characters of a value; pyarrow refuses rows of more than 1 MB
_DAMAGE = (OSError, EOFError, zlib.error, UnicodeError)  # a gzip file cut short is an EOFError


@dataclass(frozen=True)
class Lines:
    """The lines of a text file as its bytes have them, whatever stands in quotes."""

    filled: int
    """With something in them; the header is one."""
    blank: int
    quotes: bool
    """There is a quote sign somewhere."""
    last: bytes
    """The last line with something in it."""


def read_header(path: Path, written: CsvFormat = PLAIN) -> list[str]:
    """Read the names of the columns.

    Raises:
        RecganError: the file is not text in that encoding, or a name swallows lines.
    """
    try:
        with _reading(path, written), _open(path, written.encoding, "strict") as file:
            header = next((row for row in csv.reader(file, delimiter=written.delimiter) if row), [])
    except csv.Error as error:  # a name longer than 131,072 characters
        raise _unreadable(path, error, written) from None
    if (broken := next((name for name in header if "\n" in name or "\r" in name), None)) is not None:
        raise RecganError(
            f"{path}: a column's name goes on over the end of the line: {_short(broken)}; "
            "mend the quotes of the header"
        )
    return header


def read_csv(path: Path, columns: Sequence[str], written: CsvFormat = PLAIN) -> pa.Table:
    """Read some columns whole, as `csv_chunks` does."""
    schema = pa.schema(dict.fromkeys(columns, pa.string()))
    return pa.concat_tables([schema.empty_table(), *csv_chunks(path, columns, written)])


def csv_chunks(path: Path, columns: Sequence[str], written: CsvFormat = PLAIN) -> Iterator[pa.Table]:
    """Read some columns as text, chunk by chunk; an empty field is null.

    Args:
        path: a text file, or one in gzip that is named .gz.
        columns: names that the header has once.
        written: its delimiter and encoding.

    Raises:
        RecganError: the file is not readable, or lines are lost in quotes, known after the last chunk.
    """
    with _reading(path, written):
        lines = count_lines(path, written.encoding)
    rows = 0
    try:
        with pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(encoding=_plain_name(written.encoding), block_size=_CHUNK),
            parse_options=pacsv.ParseOptions(delimiter=written.delimiter, newlines_in_values=lines.quotes),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        ) as reader:
            for batch in reader:
                rows += batch.num_rows
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError, UnicodeError) as error:
        _scan(path, written)  # which can name the line
        raise _unreadable(path, error, written) from None
    check_lines(path, rows, written, lines)


def _plain_name(encoding: str) -> str:
    # Arrow takes only these names for its own UTF-8, which is the fast way, and skips a BOM in it.
    return "utf8" if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii") else encoding


def check_lines(path: Path, rows: int, written: CsvFormat = PLAIN, lines: Lines | None = None) -> None:
    """Hold the rows that a parser found against the lines that the file has.

    Args:
        path: a CSV file with a header.
        rows: that the parser found, without the header.
        written: its delimiter and encoding.
        lines: what `count_lines` says of it; None counts now.

    Raises:
        RecganError: a value in quotes swallows lines that are rows, or is never closed.
    """
    with _reading(path, written):
        lines = lines or count_lines(path, written.encoding)
    inside, blank = 0, lines.blank
    if lines.filled != rows + 1 or lines.last.count(b'"') % 2:
        counted, inside, blank = _scan(path, written)
        if counted != rows:
            raise RecganError(
                f"{path} has {counted:,} rows by its lines, but {rows:,} were read; save it anew"
            )
    logger.info(
        "%s: %s lines are 1 header, %s rows, %s blank, %s inside values",
        path, f"{lines.filled + lines.blank:,}", f"{rows:,}", f"{blank:,}", f"{inside:,}",
    )  # fmt: skip


def count_lines(path: Path, encoding: str = "utf-8") -> Lines:
    r"""Count the lines of a text file by its bytes; \n, \r\n and \r end one."""
    filled = blank = 0
    quotes = False
    last, held, tail = b"\n", b"", b""
    with _open_bytes(path, encoding) as file:
        while block := file.read(_BLOCK):
            block = held + block
            held = b"\r" if block.endswith(b"\r") else b""  # its \n may come with the next block
            block = block[: len(block) - len(held)]
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            ends = np.frombuffer(last + block, np.uint8) == ord("\n")
            empty = int(np.count_nonzero(ends[1:] & ends[:-1]))
            filled += int(np.count_nonzero(ends[1:])) - empty
            blank += empty
            quotes = quotes or b'"' in block
            last = block[-1:] or last
            tail = (tail + block)[-_LONGEST:]
    unended = last != b"\n"
    last_line = tail.rstrip(b"\n").rsplit(b"\n", 1)[-1]
    return Lines(filled + unended, blank + (bool(held) and not unended), quotes, last_line)


def _scan(path: Path, written: CsvFormat) -> tuple[int, int, int]:
    """Read the rows one by one with another parser, and judge each that has several lines.

    A line inside a value that has as many fields as the header is taken for a row. So is the last line of a
    value, when what stands before the value's first line break makes a whole row too.

    Returns:
        The rows without the header, the line breaks inside values, the blank lines between rows.

    Raises:
        RecganError: a value swallows rows or is never closed, or a line has too many or too few fields.
    """
    header: list[str] = []
    held: list[str] = []  # the lines of the row that is being read
    rows = inside = blank = ended = 0  # ended: lines of the rows that are complete

    def lines(file: IO[str]) -> Iterator[str]:
        for line in file:
            held.append(line)
            yield line
            # The parser asks on: what is held is no whole row, so the latest line lies inside a value.
            if len(held) > 1 and len(header) in _widths(held[-1], written):
                raise _swallowed(path, written, held, header, ended, len(held) - 1)

    try:
        with (
            values_up_to(_LONGEST),
            _reading(path, written),
            _open(path, written.encoding, "replace") as file,
        ):
            for row in csv.reader(lines(file), delimiter=written.delimiter):
                if not header:
                    header = row
                elif not row:
                    blank += 1
                else:
                    _judge(path, written, held, row, header, ended)
                    rows += 1
                    inside += len(held) - 1
                ended += len(held)
                held.clear()
    except csv.Error:
        raise _swallowed(path, written, held, header, ended, None) from None
    return rows, inside, blank


def _judge(
    path: Path, written: CsvFormat, held: list[str], row: list[str], header: list[str], ended: int
) -> None:
    """Judge one complete row by the lines that it has."""
    if len(held) > 1 and all(len(header) in _widths(line, written) for line in (held[0], held[-1])):
        raise _swallowed(path, written, held, header, ended, len(held) - 1)
    fault = _fault(held, written) if len(held) > 1 or held[0].count('"') % 2 else None
    if fault and (len(held) > 1 or "end of data" in fault):
        raise _swallowed(path, written, held, header, ended, None)
    if len(row) != len(header):
        raise RecganError(
            f"{path}, line {ended + 1:,}: {len(row)} fields where the header has {len(header)}: "
            f"{_short(held[0])}; mend that line (around a value with a delimiter in it belong quotes)"
        )


def _swallowed(
    path: Path, written: CsvFormat, held: list[str], header: list[str], ended: int, inner: int | None
) -> RecganError:
    """Say which value swallows lines; `inner` is the place of one that looks like a row."""
    start = next(csv.reader(held[:1], delimiter=written.delimiter))
    column = header[len(start) - 1] if len(start) <= len(header) else "?"
    evidence = (
        "is not closed before a delimiter or the end of a line"
        if inner is None
        else f"swallows rows: line {ended + inner + 1:,} has {len(header)} fields too: {_short(held[inner])}"
    )
    value = _short('"' + start[-1])
    sound = "" if inner is None else " (also where the value is sound: it cannot be told from lost rows)"
    return RecganError(
        f"{path}, line {ended + 1:,}, column {column}: the value that begins with {value} {evidence}{sound}; "
        "on export write each quote sign of a value twice and put the value in quotes, "
        "or leave out that column, or the line breaks inside its values"
    )


def _widths(line: str, written: CsvFormat) -> set[int]:
    """Count the fields of one line, as delimiters alone and as quotes have it."""
    return {
        line.count(written.delimiter) + 1,
        len(next(csv.reader([line], delimiter=written.delimiter), [])),
    }


def _fault(held: list[str], written: CsvFormat) -> str | None:
    """Say what is wrong with the quotes of one row's lines: never closed, or closed inside a value."""
    try:
        list(csv.reader(held, strict=True, delimiter=written.delimiter))
    except csv.Error as error:
        return str(error)
    return None


@contextmanager
def _reading(path: Path, written: CsvFormat) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise _unreadable(path, error, written) from None


def _unreadable(path: Path, error: Exception, written: CsvFormat) -> RecganError:
    encoding = "UTF-8" if written.encoding == PLAIN.encoding else written.encoding
    return RecganError(
        f"{path} is not readable CSV in {encoding} with {DELIMITERS[written.delimiter]} ({error}); "
        "save it anew, or say how it is written in ingest.csv"
    )


def _open_bytes(path: Path, encoding: str = PLAIN.encoding) -> IO[bytes]:
    """Open a file for its bytes; those of an encoding in which a line's end is no single byte as UTF-8."""
    file = cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    return cast(IO[bytes], codecs.EncodedFile(file, "utf-8", encoding)) if wide else file


def _open(path: Path, encoding: str, errors: str) -> io.TextIOWrapper:
    if codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"
    return io.TextIOWrapper(_open_bytes(path), encoding=encoding, errors=errors, newline="")


def _short(text: str) -> str:
    text = text.rstrip("\r\n")
    return f"'{shown(text if len(text) <= 60 else text[:60] + '…')}'"
