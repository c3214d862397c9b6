"""One table in one file, or in a folder of part files such as Spark writes."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.errors import RecganError
from recgan.data.sources.csv_files import csv_chunks, read_header
from recgan.data.sources.csv_format import DELIMITERS, PLAIN, CsvFormat

logger = logging.getLogger(__name__)

_CSV = tuple(f"{end}{packed}" for end in (".csv", ".tsv", ".txt") for packed in ("", ".gz"))
_ROWS = 1 << 19  # of a chunk of Parquet
_BESIDE = (".md", ".dvc")  # what a folder of raw files has beside them: words, and DVC's notes
_NULL = "__HIVE_DEFAULT_PARTITION__"
_TABLES = {"_delta_log": "Delta", "metadata/*.metadata.json": "Iceberg", ".hoodie": "Hudi"}


@dataclass(frozen=True)
class Part:
    """A file, and what the names of the folders above it say: event_date=2024-05-01."""

    path: Path
    keys: Mapping[str, str | None]


def read_parts(path: Path, name: str, columns: Mapping[str, str], written: CsvFormat = PLAIN) -> pa.Table:
    """Read the mapped columns of a file, or of all part files of a folder in the order of their names.

    A name with a * in it is a pattern, and the files that match it are the parts.

    Values in names of folders (hive partitions) are text.

    Args:
        path: the file, the folder or the pattern.
        name: its parameter in params.yaml, for messages.
        columns: the parameter that names a column, such as columns.user_id → the column.
        written: how the files are written, where they are CSV.

    Raises:
        RecganError: there is nothing to read, a file is damaged, a column is missing or stands twice, or the
            parts have other types than one another.
    """
    parts = find_parts(path, name)
    schema = schema_of(parts, name, columns, written)
    tables = [chunk for part in parts for chunk in chunks(part, schema, written)]
    whole = pa.concat_tables([schema.empty_table(), *tables])
    check_rows(path, name, len(parts), whole.num_rows)
    return whole


def check_rows(path: Path, name: str, parts: int, rows: int) -> None:
    """Say of how many parts a table is.

    Raises:
        RecganError: it has no row.
    """
    if parts > 1:
        logger.info("%s: %s parts, %s rows", path, f"{parts:,}", f"{rows:,}")
    if rows == 0:
        raise RecganError(f"{path} has a header but no rows; replace it, or mend ingest.{name}")


def find_parts(path: Path, name: str) -> list[Part]:
    """Find the files of a table, in the order of their names; hidden ones are none.

    Raises:
        RecganError: there is none, or there are several kinds.
    """
    if path.is_file():
        return [Part(path, {})]
    if "*" in path.name:
        _check_links(path.parent.glob(path.name))
        matching = sorted(file for file in path.parent.glob(path.name) if file.is_file())
        if not matching:
            raise RecganError(f"no file is like {path}; put one there, or mend ingest.path or ingest.{name}")
        return [Part(file, {}) for file in matching]
    if not path.is_dir():
        raise RecganError(f"no file {path}; put it there, or mend ingest.path or ingest.{name}")
    for pattern, kind in _TABLES.items():
        if any(path.glob(pattern)):
            raise RecganError(
                f"{path} is a table of {kind}, whose files also hold deleted rows; export it as plain Parquet"
            )
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.suffix not in _BESIDE
        and not any(p.startswith(("_", ".")) for p in file.relative_to(path).parts)
    ]
    _check_links(path.rglob("*"))
    if not files:
        raise RecganError(f"{path} is a folder without files; put them there, or mend ingest.{name}")
    kinds = {".csv" if file.name.endswith(_CSV) else file.suffix for file in files}
    if len(kinds) > 1:
        raise RecganError(
            f"{path} is a folder of files of several kinds ({', '.join(sorted(kinds))}); leave one kind in it"
        )
    return [Part(file, _keys(file.relative_to(path))) for file in files]


def _check_links(files: Iterable[Path]) -> None:
    if lost := [file for file in sorted(files) if file.is_symlink() and not file.exists()]:
        raise RecganError(f"{lost[0]} is a link to nothing; bring its file back, or remove the link")


def _keys(path: Path) -> dict[str, str | None]:
    pairs = (folder.partition("=") for folder in path.parts[:-1])
    return {key: None if value == _NULL else unquote(value) for key, equals, value in pairs if equals}


def schema_of(parts: Sequence[Part], name: str, columns: Mapping[str, str], written: CsvFormat) -> pa.Schema:
    """Return the mapped columns in the types that all parts go together in, by their headers alone.

    Args:
        parts: of the table.
        name: its parameter in params.yaml, for messages.
        columns: the parameter that names a column, such as columns.user_id → the column.
        written: how the parts are written, where they are CSV.

    Raises:
        RecganError: a part is empty or of another format, a column is missing or stands twice, or the parts
            have other types than one another.
    """
    first, *others = parts
    whole = _schema(first, name, columns, written)
    for part in others:
        found = _schema(part, name, columns, written)
        try:
            whole = pa.unify_schemas([whole, found], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            differing = next(
                c for c in found.names if not _joinable(whole.field(c).type, found.field(c).type)
            )
            raise RecganError(
                f"{part.path}: column {differing} is of type {found.field(differing).type}, but of type "
                f"{whole.field(differing).type} in the parts before; write all parts in one type"
            ) from None
    return whole


def chunks(part: Part, schema: pa.Schema, written: CsvFormat) -> Iterator[pa.Table]:
    """Read a part in chunks that fit into memory, whatever its size; none of them is empty.

    Args:
        part: a file.
        schema: what `schema_of` gives.
        written: how the file is written, where it is CSV.

    Raises:
        RecganError: the file is damaged, which may be known after the last chunk.
    """
    inside = [column for column in schema.names if column not in part.keys]
    read = _parquet_chunks(part.path, inside)
    if part.path.name.endswith(_CSV):
        read = csv_chunks(part.path, inside, written)
    for table in read:
        for key, value in part.keys.items():
            if key in schema.names:
                table = table.append_column(key, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
        if table.num_rows:
            table = table.select(schema.names)
            yield pa.concat_tables([schema.empty_table(), table], promote_options="permissive")


def _schema(part: Part, name: str, columns: Mapping[str, str], written: CsvFormat) -> pa.Schema:
    path = part.path
    if path.stat().st_size == 0:
        raise RecganError(f"{path} is empty; replace it, or mend ingest.{name}")
    if path.name.endswith(_CSV):
        names = read_header(path, written)
        types = dict.fromkeys(names, pa.string())
    elif path.suffix == ".parquet":
        with _reading(path):
            schema = pq.read_schema(path)
        names = schema.names
        types = dict(zip(names, schema.types, strict=True))
    else:
        raise RecganError(
            f"{path} is none of .csv, .tsv, .txt (or one of them in .gz) and .parquet; convert it, and mend "
            f"ingest.{name}"
        )
    _check_columns(part, columns, names)
    types |= dict.fromkeys(part.keys, pa.string())
    return pa.schema({column: types[column] for column in dict.fromkeys(columns.values())})


def _parquet_chunks(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    with _reading(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, columns=columns):
            yield pa.Table.from_batches([batch])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(f"{path} is not readable Parquet ({error}); write it anew") from None


def _check_columns(part: Part, columns: Mapping[str, str], inside: list[str]) -> None:
    available = [*inside, *part.keys]
    for parameter, theirs in columns.items():
        places = [place for place, column in enumerate(available, 1) if column == theirs]
        if len(places) > 1:
            where = f"columns {' and '.join(map(str, places))}"
            where += ", the last from the folder's name" if theirs in part.keys else ""
            raise RecganError(
                f"{part.path} has {len(places)} columns {theirs} ({where}), and ingest.{parameter} "
                "cannot say which is meant; rename one"
            )
        if not places:
            raise RecganError(
                f"{part.path} has no column {theirs}, only {', '.join(available)}; {_hint(theirs, available)}"
                f"mend ingest.{parameter}"
            )


def _hint(theirs: str, available: list[str]) -> str:
    for mark, word in DELIMITERS.items():
        if len(available) == 1 and mark in available[0]:
            return f"say in ingest.csv.delimiter that {word} stand between the columns, or "
    near = [column for column in available if column.strip().lower() == theirs.strip().lower()]
    return f"write {near[0]!r} as in the header, or " if near else ""


def _joinable(first: pa.DataType, second: pa.DataType) -> bool:
    try:
        pa.unify_schemas(
            [pa.schema({"column": first}), pa.schema({"column": second})], promote_options="permissive"
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True
