"""One table in one file, or in a folder of part files such as Spark writes."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.errors import RecganError
from recgan.data.sources.csv_files import read_csv, read_header
from recgan.data.sources.csv_format import DELIMITERS, PLAIN, CsvFormat

logger = logging.getLogger(__name__)

_CSV = tuple(f"{end}{packed}" for end in (".csv", ".tsv", ".txt") for packed in ("", ".gz"))
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
    tables = [(part, _read(part, name, columns, written)) for part in find_parts(path, name)]
    (_, whole), *others = tables
    for part, table in others:
        try:
            whole = pa.concat_tables([whole, table], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            differing = next(c for c in table.column_names if not _joinable(whole[c].type, table[c].type))
            raise RecganError(
                f"{part.path}: column {differing} is of type {table[differing].type}, but of type "
                f"{whole[differing].type} in the parts before; write all parts in one type"
            ) from None
    if others:
        logger.info("%s: %s parts, %s rows", path, f"{len(tables):,}", f"{whole.num_rows:,}")
    if whole.num_rows == 0:
        raise RecganError(f"{path} has a header but no rows; replace it, or mend ingest.{name}")
    return whole


def find_parts(path: Path, name: str) -> list[Part]:
    """Find the files of a table, in the order of their names; hidden ones are none.

    Raises:
        RecganError: there is none, or there are several kinds.
    """
    if path.is_file():
        return [Part(path, {})]
    if "*" in path.name:
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
    if not files:
        raise RecganError(f"{path} is a folder without files; put them there, or mend ingest.{name}")
    kinds = {".csv" if file.name.endswith(_CSV) else file.suffix for file in files}
    if len(kinds) > 1:
        raise RecganError(
            f"{path} is a folder of files of several kinds ({', '.join(sorted(kinds))}); leave one kind in it"
        )
    return [Part(file, _keys(file.relative_to(path))) for file in files]


def _keys(path: Path) -> dict[str, str | None]:
    pairs = (folder.partition("=") for folder in path.parts[:-1])
    return {key: None if value == _NULL else unquote(value) for key, equals, value in pairs if equals}


def _read(part: Part, name: str, columns: Mapping[str, str], written: CsvFormat) -> pa.Table:
    path = part.path
    if path.stat().st_size == 0:
        raise RecganError(f"{path} is empty; replace it, or mend ingest.{name}")
    if path.name.endswith(_CSV):
        _check_columns(part, columns, read_header(path, written))
        table = read_csv(path, _inside(part, columns), written)
    elif path.suffix == ".parquet":
        table = _read_parquet(part, columns)
    else:
        raise RecganError(
            f"{path} is none of .csv, .tsv, .txt (or one of them in .gz) and .parquet; convert it, and mend "
            f"ingest.{name}"
        )
    for key, value in part.keys.items():
        if key in columns.values():
            table = table.append_column(key, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table.select(list(dict.fromkeys(columns.values())))


def _read_parquet(part: Part, columns: Mapping[str, str]) -> pa.Table:
    try:
        with pq.ParquetFile(part.path) as file:
            _check_columns(part, columns, file.schema_arrow.names)
            return file.read(_inside(part, columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(f"{part.path} is not readable Parquet ({error}); write it anew") from None


def _inside(part: Part, columns: Mapping[str, str]) -> list[str]:
    """Return the mapped columns that the file itself has."""
    return [column for column in dict.fromkeys(columns.values()) if column not in part.keys]


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
