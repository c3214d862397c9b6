"""Where the tables of events are grouped and joined: DuckDB, or Spark where a machine is too small.

The environment says which: RECGAN_ENGINE=duckdb (the default) or spark. Both give the same rows. That takes
care: see `rows_of` and data/sums.py.
"""

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ibis
import pyarrow as pa

from recgan.core import memory
from recgan.core.errors import RecganError
from recgan.core.temporary import temporary_folder
from recgan.data import spark
from recgan.data.events import parts_of

T = TypeVar("T")

VARIABLE = "RECGAN_ENGINE"
_ENGINES = ("duckdb", "spark")
_INSTANT = pa.timestamp("us", tz="UTC")


class Engine:
    """A backend of Ibis, and how it reads a table of the project."""

    def __init__(self, backend: ibis.BaseBackend) -> None:
        self.backend = backend

    @property
    def session(self) -> Any | None:
        """Return the SparkSession; None on DuckDB."""
        return self.backend._session if self.backend.name == "pyspark" else None

    def read(self, path: Path) -> ibis.Table:
        """Return a Parquet table: a file, or a folder of its parts.

        Raises:
            RecganError: there is none.
        """
        parts = parts_of(path)
        if self.session is None:
            return self.backend.read_parquet(_exactly(parts))
        name = ibis.util.gen_name("parts")
        self.session.read.parquet(*map(spark.address, parts)).createOrReplaceTempView(name)
        return self.backend.table(name)

    def numbered(self, path: Path) -> ibis.Table:
        """Return a Parquet table and each row's place: `part`, the name of its file, and `row`, from 0.

        Raises:
            RecganError: there is none.
        """
        parts = parts_of(path)
        if self.session is None:
            table = self.backend.read_parquet(_exactly(parts), filename=True, file_row_number=True)
            named = table.mutate(part=table.filename.re_extract("[^/]+$", 0), row=table.file_row_number)
            return named.drop("filename", "file_row_number")
        name = ibis.util.gen_name("parts")
        rows = self.session.read.parquet(*map(spark.address, parts))
        # As in an address: a space is %20, and + is itself.
        part = "url_decode(replace(_metadata.file_name, '+', '%2B')) AS part"
        places = (part, "_metadata.row_index AS row")
        rows.selectExpr("*", *places).createOrReplaceTempView(name)
        return self.backend.table(name)

    def each(self, function: Callable[[int], T], count: int) -> list[T]:
        """Call a function with 0, 1, … and return what it returns: here, or side by side on Spark's machines.

        Args:
            function: that can be pickled, as what it returns.
            count: of the calls.
        """
        if self.session is None:
            return [function(number) for number in range(count)]
        return spark.each(self.session, function, count)


def _exactly(parts: list[Path]) -> list[str]:
    """Return what DuckDB reads as these files: in a name of its own a * stands for other names too."""
    return [glob.escape(str(part)) for part in parts]


def chosen() -> str:
    """Return the engine that the environment names, after a check that it can run here.

    Raises:
        RecganError: there is no such engine, or Spark lacks something.
    """
    name = os.environ.get(VARIABLE) or _ENGINES[0]
    if name not in _ENGINES:
        raise RecganError(f"{VARIABLE} is {name}, which is no engine; give it {' or '.join(_ENGINES)}")
    if name == "spark":
        spark.check()
    return name


@contextmanager
def engine() -> Iterator[Engine]:
    """Give the engine of the environment. Each spills to disk what is more than half of the memory.

    Raises:
        RecganError: there is no such engine, or it does not start.
    """
    name = chosen()
    with temporary_folder() as spill:
        if name == "spark":
            with spark.session(spill) as session:
                yield Engine(ibis.pyspark.connect(session))
            return
        backend = ibis.duckdb.connect(
            memory_limit=f"{memory.total() // 2**21}MiB",
            temp_directory=str(spill),
            preserve_insertion_order=False,
        )
        try:
            yield Engine(backend)
        finally:
            backend.disconnect()


def rows_of(table: ibis.Table) -> pa.Table:
    """Compute a table. Its timestamps have the zone UTC on every engine.

    Ibis would take the rows of Spark through pandas, where NaN and null are one. And it has no zone for
    Spark's timestamps, which are UTC: read as naive ones, they would be times of this machine's zone.
    """
    backend = table.get_backend()
    if backend.name == "pyspark":
        rows = backend.raw_sql(backend.compile(table)).toArrow()
    else:
        rows = table.to_pyarrow()
    kinds = [(one.name, _INSTANT if pa.types.is_timestamp(one.type) else one.type) for one in rows.schema]
    return rows.cast(pa.schema(kinds))


def batches_of(table: ibis.Table, rows: int = 2**22) -> pa.RecordBatchReader:
    """Compute a table a batch at a time, so that DuckDB's rows are never there as a whole."""
    backend = table.get_backend()
    if backend.name != "pyspark":
        backend._run_pre_execute_hooks(table)  # Ibis 12 asks DuckDB 2 by a name that it no longer has
        reader = backend.con.sql(backend.compile(table)).to_arrow_reader(rows)
        return reader.cast(table.schema().to_pyarrow())  # its sums of whole numbers have 128 bits
    found = rows_of(table)  # in thousands of small batches
    parts = (found.slice(start, rows).combine_chunks() for start in range(0, len(found), rows))
    return pa.RecordBatchReader.from_batches(
        found.schema, (one for part in parts for one in part.to_batches())
    )


def beside(table: ibis.Table, rows: pa.Table) -> ibis.Table:
    """Bring rows to where a table is, so that both can be joined.

    Ibis would bring them to Spark through pandas.
    """
    backend = table.get_backend()
    if backend.name != "pyspark":
        return ibis.memtable(rows)
    name = ibis.util.gen_name("rows")
    backend._session.createDataFrame(rows).createOrReplaceTempView(name)
    return backend.table(name)
