"""Tables of any size in pieces of one size: read from their parts, and written into such parts."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.errors import RecganError

CHUNK = 2**20
"""Rows that are in memory at a time: about 200 MB of events. Great Expectations takes half a second for each
chunk, whatever its size."""
MOST_PARTS = 100
"""That are read together: for each two files are open, and a process may have 1,024."""


def chunks_of(part: Path) -> Iterator[pa.Table]:
    """Yield a Parquet file in tables of CHUNK rows, the last of fewer; a file without rows yields none.

    Raises:
        RecganError: it is not readable Parquet.
    """
    waiting: list[pa.RecordBatch] = []
    rows = 0
    try:
        with pq.ParquetFile(part) as file:
            # A batch ends where a row group does: what another program wrote may have small ones.
            for batch in file.iter_batches(CHUNK):
                waiting.append(batch)
                rows += batch.num_rows
                if rows >= CHUNK:
                    table = pa.Table.from_batches(waiting)
                    yield table.slice(0, CHUNK)
                    waiting = table.slice(CHUNK).to_batches()
                    rows -= CHUNK
            if rows:
                yield pa.Table.from_batches(waiting)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(part, error) from None


def groups_of(parts: Sequence[Path]) -> list[range]:
    """Return the numbers of the parts that are read together: a large one alone, small ones up to CHUNK rows.

    Args:
        parts: of a table, in their order.

    Raises:
        RecganError: one is not readable Parquet.
    """
    groups: list[range] = []
    together = 0
    for number, part in enumerate(parts):
        try:
            rows = pq.read_metadata(part).num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise unreadable(part, error) from None
        if groups and together + rows <= CHUNK and len(groups[-1]) < MOST_PARTS:
            groups[-1] = range(groups[-1].start, number + 1)
            together += rows
        else:
            groups.append(range(number, number + 1))
            together = rows
    return groups


def pieces_of(parts: Sequence[Path], group: range) -> Iterator[list[tuple[int, pa.Table]]]:
    """Yield the rows of a group, at most CHUNK at a time: the number of a part, and rows of it.

    Args:
        parts: of a table, in their order.
        group: as `groups_of` returns it.

    Raises:
        RecganError: a part is not readable Parquet.
    """
    if len(group) == 1:
        for table in chunks_of(parts[group[0]]):
            yield [(group[0], table)]
    elif pieces := [(number, table) for number in group for table in chunks_of(parts[number])]:
        yield pieces


def unreadable(part: Path, error: Exception) -> RecganError:
    """Say that a part is damaged, and what to do."""
    return RecganError(f"{part} is not readable Parquet ({error}); delete it and run dvc repro")


def like(path: Path, part: Path, table: Path) -> Path:
    """Return where the rows of a part go: into a file where its table is one, else a part of the same name.

    Args:
        path: of the table that is written.
        part: of the table that is read.
        table: its path, as `parts_of` takes it.
    """
    return path / part.name if table.is_dir() else path


@contextmanager
def writers(paths: dict[Path, pa.Schema]) -> Iterator[list[pq.ParquetWriter]]:
    """Yield a writer for each of several Parquet files, which are whole after the block."""
    with ExitStack() as stack:
        made = []
        for path, schema in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            made.append(stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd")))
        yield made
