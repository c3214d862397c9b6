"""Rows out of files: each file is the old or the new one."""

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.core.csv_values import values_up_to
from recgan.core.files import replacing
from recgan.data.sources.csv_format import CsvFormat
from recgan.forget.search import LONGEST_VALUE, rows_with
from recgan.forget.wanted import Wanted
from recgan.newcomers.file import read_newcomers, write_newcomers


def without_rows(path: Path, wanted: Wanted, written: CsvFormat, orders: "Orders | None" = None) -> bool:
    """Take the rows that name people out of a file; False where it is of no form that has rows.

    Args:
        path: of Parquet, CSV, JSON, or of new products.
        wanted: the people.
        written: how CSV is written.
        orders: whose further rows name nobody; None where each row names its shopper.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        _parquet(path, wanted)
    elif path.suffix == ".safetensors":
        _newcomers(path, wanted)
    elif path.suffix == ".json":
        with replacing(path) as new:
            new.write_text(
                json.dumps(
                    without_json(json.loads(path.read_text(encoding="utf-8")), wanted), ensure_ascii=False
                )
                + "\n",
                encoding="utf-8",
            )
    elif any(mark in path.name for mark in (".csv", ".tsv", ".txt")):
        _csv(path, wanted, written, orders)
    else:
        return False
    return True


def without_values(path: Path, column: str, values: pa.Array) -> int:
    """Take rows out of Parquet by the values of a column, and return how many they were."""
    table = pq.read_table(path, partitioning=None)
    kept = table.filter(pc.invert(pc.is_in(table[column], value_set=values)))
    if len(kept) < len(table):
        with replacing(path) as new:
            pq.write_table(kept, new, compression="zstd")
    return len(table) - len(kept)


def _parquet(path: Path, wanted: Wanted) -> None:
    """Write the other rows with the same schema, metadata and row groups."""
    with replacing(path) as new, pq.ParquetFile(path) as file:
        packed = "zstd"
        if file.num_row_groups and file.metadata.num_columns:
            packed = file.metadata.row_group(0).column(0).compression
        with pq.ParquetWriter(new, file.schema_arrow, compression=packed) as writer:
            for number in range(file.num_row_groups):
                rows = file.read_row_group(number)
                named = pa.chunked_array([pa.repeat(pa.scalar(False), len(rows))], pa.bool_())
                for name in rows.column_names:
                    if wanted.is_of_shoppers(name) and len(rows):
                        named = pc.or_(named, rows_with(rows[name].combine_chunks(), name, wanted))
                kept = rows.filter(pc.invert(named))
                if len(kept):
                    writer.write_table(kept, row_group_size=len(kept))


def without_json(content: Any, wanted: Wanted, speaks: bool = False) -> Any:
    """Return JSON without the names and values that are people, where a name above speaks of shoppers."""
    if isinstance(content, dict):
        return {
            name: without_json(one, wanted, speaks or wanted.is_of_shoppers(name))
            for name, one in content.items()
            if not (speaks and wanted.is_id(name))
        }
    if isinstance(content, list):
        return [
            without_json(one, wanted, speaks)
            for one in content
            if not (speaks and isinstance(one, str) and wanted.is_id(one))
        ]
    return content


def _newcomers(path: Path, wanted: Wanted) -> None:
    found = read_newcomers(path)
    owners = {user: items for user, items in found.owners.items() if not wanted.is_id(user)}
    write_newcomers(replace(found, owners=owners), path)


# --- CSV ------------------------------------------------------------------------------------------------


class Orders:
    """Orders of which only the first row names the shopper."""

    def __init__(self, column: str) -> None:
        """Say which column has the order's number."""
        self.column = column
        self.numbers: set[str] = set()


def find_orders(path: Path, wanted: Wanted, written: CsvFormat, orders: Orders) -> None:
    """Remember the orders whose rows in a CSV file name people."""
    for row, names, _ in _records(path, written):
        if _names(row, names, wanted):
            orders.numbers.add(_cell(row, names, orders.column))


def _csv(path: Path, wanted: Wanted, written: CsvFormat, orders: Orders | None) -> None:
    """Write the other records as they stand."""
    with replacing(path) as new, _opened(new, "wt", written) as out:
        for row, names, text in _records(path, written):
            further = (
                orders is not None
                and row is not names
                and _cell(row, names, orders.column) in orders.numbers
                and not any(row[place].strip() for place in _places(names, wanted) if place < len(row))
            )
            if not further and not _names(row, names, wanted):
                out.write(text)


def _records(path: Path, written: CsvFormat) -> Iterator[tuple[list[str], list[str], str]]:
    """Yield each record with the header's names and its text as it stands; the header comes first."""
    lines: list[str] = []

    def taken(file: IO[str]) -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line

    with values_up_to(LONGEST_VALUE), _opened(path, "rt", written) as file:
        names: list[str] | None = None
        for row in csv.reader(taken(file), delimiter=written.delimiter):
            if names is None:
                names = row
                row[:1] = [name.removeprefix("\ufeff") for name in row[:1]]
            yield row, names, "".join(lines)
            lines.clear()


def _opened(path: Path, mode: str, written: CsvFormat) -> IO[str]:
    """Open a table that may be packed; bytes that are no text of its encoding go through unchanged."""
    how: Any = gzip.open if path.name.endswith(".gz") else open
    return cast(
        IO[str],
        how(path, mode, encoding=written.encoding, errors="surrogateescape", newline=""),
    )


def _places(names: list[str], wanted: Wanted) -> list[int]:
    return [place for place, name in enumerate(names) if wanted.is_of_shoppers(name)]


def _names(row: list[str], names: list[str], wanted: Wanted) -> bool:
    if row is names:
        return False
    return any(wanted.is_id(row[place]) for place in _places(names, wanted) if place < len(row))


def _cell(row: list[str], names: list[str], column: str) -> str:
    place = names.index(column) if column in names else -1
    return row[place].strip() if 0 <= place < len(row) else ""
