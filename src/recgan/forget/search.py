"""How often people stand in a file, whatever its form: it is told by its first bytes, not by its name."""

import csv
import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load

from recgan.core.csv_values import values_up_to
from recgan.forget.wanted import Wanted

LONGEST_VALUE = 2**27
"""Characters of a value of CSV."""


def occurrences(path: Path, wanted: Wanted) -> int:
    """Count where people stand in a file; one that another process removed holds nobody.

    Args:
        path: of Parquet, Arrow streams, NumPy's arrays, safetensors, JSON, CSV, SQLite, gzip, zip, tar or
            text. Anything else is searched as bytes.
        wanted: the people.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if head[:4] == b"PAR1":
                return _in_parquet(path, wanted)
            if head[:15] == b"SQLite format 3":
                return _in_sqlite(path, wanted)
            file.seek(0)
            return _in_stream(file, path.name, wanted)
    except FileNotFoundError:
        return 0


def _in_stream(file: IO[bytes], name: str, wanted: Wanted) -> int:
    content = file.read()
    if content[:4] == b"PAR1":
        return _in_parquet(pa.BufferReader(content), wanted)
    if content[:4] == b"\xff\xff\xff\xff":
        return _in_arrow(content, wanted)
    if content[:2] == b"PK":
        return _in_zip(content, wanted)
    if content[:2] == b"\x1f\x8b":
        return _in_stream(io.BytesIO(gzip.decompress(content)), name.removesuffix(".gz"), wanted)
    if content[:6] in (b"\x93NUMPY",):
        return _in_array(np.load(io.BytesIO(content), allow_pickle=False), name, wanted)
    if content[:6] == b"\xfd7zXZ\x00" or content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as packed:
            members = [packed.extractfile(one) for one in packed.getmembers() if one.isfile()]
            return sum(_in_stream(one, "", wanted) for one in members if one is not None)
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        return _in_safetensors(content, wanted)
    if content[:6] == b"ARROW1":
        with pa.ipc.open_file(content) as batches:
            return sum(
                in_columns(batches.get_batch(number), wanted) for number in range(batches.num_record_batches)
            )
    text = _text_of(content, wanted.encoding)
    return wanted.bytes_in(content) if text is None else _in_text(text, wanted)


def _text_of(content: bytes, encoding: str) -> str | None:
    """Return bytes as text; None where they are none.

    Args:
        content: of a file.
        encoding: of the shop's own files, where it is not UTF-8.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if content[1:4:2] == b"\0\0" and b"\0" not in content[0:4:2]:
        return content.decode("utf-16-le", errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Any bytes are text in Latin-1; what is no text has zeros.
        return None if b"\0" in content else content.decode(_known(encoding), errors="replace")


def _known(encoding: str) -> str:
    return "latin-1" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _in_text(text: str, wanted: Wanted) -> int:
    start = text.lstrip("\ufeff \r\n\t")[:1]
    if start in ("{", "["):
        try:
            return in_json(json.loads(text.lstrip("\ufeff")), wanted)
        except ValueError:
            pass  # a document a line, or none
    return max(wanted.words_in(text), _in_lines(text, wanted), _in_csv(text, wanted))


def _in_lines(text: str, wanted: Wanted) -> int:
    """Count people in a text that has a JSON document in each line."""
    if text.lstrip("\ufeff \r\n\t")[:1] != "{":
        return 0
    found = 0
    for line in text.splitlines():
        try:
            found += in_json(json.loads(line), wanted)
        except ValueError:
            found += wanted.words_in(line)
    return found


def in_json(content: Any, wanted: Wanted, speaks: bool = False) -> int:
    """Count people in what JSON holds.

    Args:
        content: of the document.
        wanted: the people.
        speaks: a name above speaks of shoppers.
    """
    if isinstance(content, dict):
        numbers = sum(
            wanted.is_one_shopper(name) and wanted.is_id(one)
            for name, one in content.items()
            if type(one) in (int, float)
        )
        return numbers + sum(
            in_json(name, wanted, speaks) + in_json(one, wanted, speaks or wanted.is_of_shoppers(name))
            for name, one in content.items()
        )
    if isinstance(content, list):
        return sum(in_json(one, wanted, speaks) for one in content)
    if isinstance(content, str):
        return 1 if speaks and wanted.is_id(content) else wanted.words_in(content)
    return 0  # any other number is a place or a count


def _in_csv(text: str, wanted: Wanted) -> int:
    """Count cells of shoppers' columns, where a text is a table with a header."""
    first = text.partition("\n")[0].strip("\ufeff\r")
    found = 0
    with values_up_to(LONGEST_VALUE):
        for mark in {*",;\t|", wanted.delimiter}:
            names = next(csv.reader([first], delimiter=mark), [])
            places = [place for place, name in enumerate(names) if wanted.is_of_shoppers(name)]
            if places and len(names) > 1:
                rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
                here = sum(wanted.is_id(row[place]) for row in rows for place in places if place < len(row))
                found = max(found, here)
    return found


def _in_parquet(source: Any, wanted: Wanted) -> int:
    found = 0
    with pq.ParquetFile(source) as file:
        found += wanted.words_in(str(file.schema_arrow.metadata or ""))
        for batch in file.iter_batches(2**18):
            found += in_columns(batch, wanted)
    return found


def _in_arrow(content: bytes, wanted: Wanted) -> int:
    found = 0
    try:
        reader = pa.ipc.open_stream(content)
        while True:
            found += in_columns(reader.read_next_batch(), wanted)
    except (StopIteration, pa.ArrowInvalid, OSError):
        return found  # the end, or a batch that is not whole


def in_columns(batch: pa.RecordBatch, wanted: Wanted) -> int:
    """Count people in the columns of a table."""
    return sum(
        int(pc.sum(rows_with(column, name, wanted)).as_py() or 0)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    )


def rows_with(column: pa.Array, name: str, wanted: Wanted) -> pa.Array:
    """Say in which rows of a column people stand.

    Args:
        column: of any type; lists count where one of theirs does.
        name: of the column, which says whether its cells are ids of shoppers.
        wanted: the people.
    """
    none = pa.repeat(pa.scalar(False), len(column))
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        inside = rows_with(column.flatten(), name, wanted)
        rows = pc.list_parent_indices(column).filter(inside).unique()
        return pc.is_in(pa.array(np.arange(len(column))), value_set=rows.cast(pa.int64()))
    if pa.types.is_map(column.type):
        column = column.cast(
            pa.list_(pa.struct({"key": column.type.key_type, "value": column.type.item_type}))
        )
        return rows_with(column, name, wanted)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        texts = [None if one is None else one.decode(errors="replace") for one in column.to_pylist()]
        column = pa.array(texts, pa.large_string())
    if pa.types.is_struct(column.type):
        for place, field in enumerate(column.type):
            none = pc.or_(none, rows_with(column.field(place), field.name, wanted))
        return none
    speaks = wanted.is_of_shoppers(name)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if not text and not (speaks and any(kind(column.type) for kind in numbers)):
        return none
    once = pc.drop_null(pc.unique(column))
    named = [
        one for one in once.to_pylist() if (speaks and wanted.is_id(one)) or (text and wanted.words_in(one))
    ]
    return pc.is_in(column, value_set=pa.array(named, once.type))


def _in_zip(content: bytes, wanted: Wanted) -> int:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return sum(_in_stream(packed.open(one), one.filename, wanted) for one in packed.infolist())


def _in_array(array: np.ndarray[Any, Any], name: str, wanted: Wanted) -> int:
    if array.dtype.kind in "US":
        speaks = wanted.is_of_shoppers(name)
        return sum((speaks and wanted.is_id(one)) or wanted.words_in(str(one)) > 0 for one in array.ravel())
    return 0


def _in_safetensors(content: bytes, wanted: Wanted) -> int:
    try:
        arrays = load(content)
    except (SafetensorError, ValueError):
        return wanted.bytes_in(content)
    length = int.from_bytes(content[:8], "little")
    found = in_json(json.loads(content[8 : 8 + length]), wanted)
    for array in arrays.values():
        if array.dtype == np.uint8 and array.tobytes()[:1] in (b"{", b"["):  # JSON beside the weights
            found += _in_stream(io.BytesIO(array.tobytes()), "", wanted)
    return found


def _in_sqlite(path: Path, wanted: Wanted) -> int:
    found = 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = database.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in rows.description]
            for row in rows:
                for name, cell in zip(names, row, strict=True):
                    if isinstance(cell, bytes):
                        found += wanted.bytes_in(cell)
                    elif isinstance(cell, str):
                        exact = wanted.is_of_shoppers(name) and wanted.is_id(cell)
                        found += 1 if exact else _in_text(cell, wanted)
    return found or wanted.bytes_in(path.read_bytes())  # rows that were deleted stay in free pages
