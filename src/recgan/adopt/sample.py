"""The first look at an export: its files, how they are written, their columns and first rows."""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.core.sections import check_section
from recgan.data.sources.csv_format import DELIMITERS, CsvFormat
from recgan.data.sources.parts import find_parts

_ROWS = 5000  # of the sample
_BLOCK = 1 << 20  # bytes
_LEAST = 3  # columns of an event: who, what, when
_BEFORE_HEADER = 30  # lines at most
_NUMBER = re.compile(r"-?\d+([.,]\d+)?")
_MAGIC = {
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive, as .xlsx files are; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
    b"SQLite format": "a database of SQLite; export the table as CSV",
}


@dataclass(frozen=True)
class Export:
    """Files of one table."""

    path: Path
    """What becomes `ingest.path`: the file, or the folder of the parts."""
    events: str
    """What becomes `ingest.events`: a point, or the pattern of the parts."""
    files: tuple[Path, ...]
    csv: CsvFormat | None
    """None for Parquet."""
    columns: tuple[str, ...]
    rows: Mapping[str, list[str | None]]
    """Column → the first values as text; blank is None."""

    def filled(self, column: str) -> float:
        """Return the share of the first rows in which a column has something."""
        values = self.rows[column]
        return sum(value is not None for value in values) / max(len(values), 1)


def look(paths: Sequence[Path], delimiter: str | None = None, encoding: str | None = None) -> Export:
    """Look at a file, several files of one kind, or a folder of parts.

    Args:
        paths: as somebody gave them.
        delimiter: of CSV; None looks for it.
        encoding: of CSV; None looks for it.

    Raises:
        RecganError: there is no file, or none that can be an export.
    """
    path, events = _place(paths)
    found = find_parts(path / events, "path")
    files = tuple(part.path for part in found)
    keys = {key: value for part in found for key, value in part.keys.items()}
    first = files[0]
    _check_kind(first)
    if first.suffix == ".parquet":
        columns, rows = _parquet_rows(first)
        written = None
    else:
        name = encoding or _encoding(files)
        header, read, mark = _csv_rows(first, name, delimiter)
        if value := next((cell for cell in header if _NUMBER.fullmatch(cell.strip())), None):
            raise RecganError(
                f"{first} has no header: its first line has {value} in the place of a name; add a line "
                "with the columns' names on top"
            )
        how = {"delimiter": mark, "encoding": name, "decimal": "."}
        written = check_section(how, Path("flags"), CsvFormat)
        columns = header
        rows = {
            column: [row[place] or None if place < len(row) else None for row in read]
            for place, column in reversed(list(enumerate(header)))  # of two equal names the first holds
        }
    columns = [*columns, *(key for key in keys if key not in columns)]
    rows = {**rows, **{key: [value] for key, value in keys.items() if key not in rows}}
    if len(columns) < _LEAST:
        raise RecganError(
            f"{first} has {len(columns)} column(s): {shown(', '.join(columns)[:80])}; an event needs "
            "three: a customer or visitor, a product, a time. Export those, or say with --delimiter what "
            "stands between the columns"
        )
    if not any(any(values) for values in rows.values()):
        raise RecganError(f"{first} has a header but no rows; export it with its rows")
    return Export(path, events, files, written, tuple(columns), rows)


def _place(paths: Sequence[Path]) -> tuple[Path, str]:
    """Find `ingest.path` and `ingest.events` for what was given."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise RecganError(f"no file {missing[0]}; give the file, the files or the folder of your export")
    if len(paths) == 1:
        return paths[0], "."
    folders = {path.parent for path in paths}
    names = sorted(path.name for path in paths)
    together = "put them into a folder of their own, and give the folder"
    if len(folders) > 1 or any(path.is_dir() for path in paths):
        raise RecganError(f"the {len(paths)} files are not in one folder; {together}")
    folder = folders.pop()
    start = _common(names)
    end = _common([name[len(start) :][::-1] for name in names])[::-1]
    pattern = f"{start}*{end}"
    matching = sorted(path.name for path in folder.glob(pattern))
    if matching != names:
        raise RecganError(
            f"{folder / pattern} would also read {', '.join(sorted(set(matching) - set(names)))}; {together}"
        )
    return folder, pattern


def _common(names: Sequence[str]) -> str:
    """Return the characters that all names begin with."""
    least, most = min(names), max(names)
    return next((least[:n] for n, letter in enumerate(least) if letter != most[n : n + 1]), least)


def _check_kind(path: Path) -> None:
    start = _start(path)
    if not start.strip():
        raise RecganError(f"{path} is empty; export it anew")
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            raise RecganError(f"{path} is {kind}; recgan reads CSV (also in .gz) and Parquet")
    if start.startswith(b"PAR1") != (path.suffix == ".parquet"):
        raise RecganError(f"{path} is Parquet by its name or by its content, but not by both; rename it")
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if path.suffix != ".parquet" and not wide and b"\0" in start and _wide_without_mark(start) is None:
        raise RecganError(f"{path} is no text; recgan reads CSV (also in .gz) and Parquet")
    if start.lstrip()[:1] in (b"{", b"["):
        raise RecganError(f"{path} is JSON; export it as CSV or Parquet, one row an event")


def _start(path: Path) -> bytes:
    try:
        with _opened(path) as file:
            return file.read(_BLOCK)
    except (OSError, EOFError) as error:
        raise RecganError(f"{path} is not readable ({error}); export it anew") from None


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _wide_without_mark(start: bytes) -> str | None:
    for encoding, zeros in (("utf-16-le", start[1:200:2]), ("utf-16-be", start[:200:2])):
        if zeros and zeros.count(0) > 0.9 * len(zeros):
            return encoding
    return None


def _encoding(files: Sequence[Path]) -> str:
    """Tell UTF-16 by its mark or zeros, UTF-8 by having no fault; all else is taken for Windows' cp1252."""
    start = _start(files[0])
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if wide := _wide_without_mark(start):
        return wide
    for name in ("utf-8", "cp1252"):
        if all(_decodes(path, name) for path in files):
            return name
    return "latin-1"  # which has every byte


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _opened(path) as file:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    except (OSError, EOFError) as error:
        raise RecganError(f"{path} is not readable ({error}); export it anew") from None
    return True


def _csv_rows(path: Path, encoding: str, delimiter: str | None) -> tuple[list[str], list[list[str]], str]:
    """Read the header and the first rows with the delimiter that gives the most rows of one width."""
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    best: tuple[tuple[int, int], int, list[tuple[int, list[str]]], str] | None = None
    for mark in [delimiter] if delimiter else DELIMITERS:
        try:
            with _opened(path) as file, io.TextIOWrapper(file, encoding=name, newline="") as text:
                reader = csv.reader(text, delimiter=mark)
                found = ((reader.line_num, row) for row in reader if row)
                rows = [row for row, _ in zip(found, range(_ROWS + 1), strict=False)]
        except (csv.Error, UnicodeError, LookupError, OSError, EOFError):
            continue
        start = _place_of_header([row for _, row in rows])
        header = rows[start][1] if rows else []
        alike = sum(len(row) == len(header) for _, row in rows[start + 1 :])
        score = (len(header) > 1 and alike, len(header))
        if best is None or score > best[0]:
            best = (score, start, rows, mark)
    if best is None:
        raise RecganError(
            f"{path} is no CSV in {encoding}; export it as CSV in UTF-8, or name its --encoding"
        )
    _, start, rows, mark = best
    if start:
        (first, before), (line, header) = rows[0], rows[start]
        raise RecganError(
            f"{path}, line {first}: '{shown(mark.join(before).rstrip(mark)[:60])}' is no header of an "
            f"export; line {line} is the first with three values: '{shown(mark.join(header)[:60])}'. If "
            "it is the header, delete the lines before it"
        )
    return (rows[0][1] if rows else []), [row for _, row in rows[1:]], mark


def _place_of_header(rows: Sequence[Sequence[str]]) -> int:
    """Return the place of the first row with enough words to name an event's columns; 0 without one.

    Some exports begin with a title or a date, and some of these fill such a line up with delimiters.
    """
    for place, row in enumerate(rows[:_BEFORE_HEADER]):
        filled = [cell for cell in row if cell.strip()]
        if len(filled) >= _LEAST:
            return 0 if any(_NUMBER.fullmatch(cell.strip()) for cell in filled) else place
    return 0


def _parquet_rows(path: Path) -> tuple[list[str], dict[str, list[str | None]]]:
    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(_ROWS), None)
            names = file.schema_arrow.names
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(f"{path} is not readable Parquet ({error}); export it anew") from None
    rows = {} if batch is None else {name: batch.column(names.index(name)).to_pylist() for name in names}
    return list(names), {
        name: [None if value is None or str(value).strip() == "" else str(value) for value in values]
        for name, values in rows.items()
    }
