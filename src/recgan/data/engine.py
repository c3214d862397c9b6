"""Where the tables of events are grouped and joined: a backend of Ibis."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis

from recgan.core import memory
from recgan.core.temporary import temporary_folder
from recgan.data.events import parts_of


class Engine:
    """A backend of Ibis, and how it reads a table of the project."""

    def __init__(self, backend: ibis.BaseBackend) -> None:
        self.backend = backend

    def read(self, path: Path) -> ibis.Table:
        """Return a Parquet table: a file, or a folder of its parts.

        Raises:
            RecganError: there is none.
        """
        return self.backend.read_parquet(parts_of(path))


@contextmanager
def engine() -> Iterator[Engine]:
    """Give DuckDB, which spills what is more than half of the memory."""
    with temporary_folder() as spill:
        backend = ibis.duckdb.connect(
            memory_limit=f"{memory.total() // 2**21}MiB",
            temp_directory=str(spill),
            preserve_insertion_order=False,
        )
        try:
            yield Engine(backend)
        finally:
            backend.disconnect()
