"""A log of rows in files that are finished one after another, written beside whoever adds to it.

Adding a row takes microseconds. Each second a thread hands what was added to the operating system, as one
batch of an Arrow stream. So a process that is killed loses what was added in that second at most, and one
that is told to end loses nothing. A machine that loses its power loses what its disk had not taken yet.
"""

import fcntl
import io
import logging
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.data.impressions import FINISH, FINISHED, OPEN, read_open
from recgan.serving.buffered import Buffered, Row

log = logging.getLogger(__name__)

SEGMENT_ROWS = 100_000
SEGMENT_SECONDS = 900.0
"""A file is finished once it has so many rows or is so old, and at midnight (UTC)."""


class Segments(Buffered):
    """Appends rows of one schema below a folder."""

    def __init__(self, folder: Path, schema: pa.Schema, lost: Callable[[int], Any]) -> None:
        """Keep the folder; `start` makes it.

        Args:
            folder: of one table.
            schema: of its rows.
            lost: is told of rows that nothing keeps.
        """
        super().__init__(str(folder), "see to free space and permission", lost)
        self.folder = folder
        self.schema = schema
        self._open: _Segment | None = None

    def start(self) -> None:
        """Finish what killed processes left, and begin to write; a disk that takes nothing ends nothing."""
        try:
            finish_left(self.folder)
        except (OSError, pa.ArrowInvalid) as error:
            log.error("%s: what a killed server left stays unfinished (%s)", self.folder, error)
        super().start()

    def _put(self, rows: list[Row]) -> None:
        if self._open is not None and self._open.is_over():
            self._finish()
        if not rows:
            return
        if self._open is None:
            self._open = _Segment(self.folder, self.schema)
        try:
            self._open.write(rows)
        except OSError:
            self._open = None  # what it holds is read as far as its batches are whole
            raise
        rows.clear()

    def _finish(self) -> None:
        over, self._open = self._open, None
        if over is not None:
            over.finish()


class _Whole(io.FileIO):
    """A file that takes all bytes or raises: at the end of a disk a write may take some without a word."""

    def write(self, data: Any) -> int:
        """Write all bytes.

        Raises:
            OSError: the disk takes no more.
        """
        bytes_ = memoryview(data).cast("B")
        done = 0
        while done < len(bytes_):
            done += os.write(self.fileno(), bytes_[done:])
        return done


class _Segment:
    """A file that is being written; locked, so that nobody takes it for one that a killed process left."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        now = datetime.now(UTC)
        self.day, self.began, self.rows = now.date(), time.monotonic(), 0
        self.schema, self._made, self._finish = schema, time.time(), folder / FINISH
        day = folder / f"date={self.day}"
        day.mkdir(parents=True, exist_ok=True)
        self.path = day / f"{now:%H%M%S}-{uuid.uuid4().hex[:12]}{OPEN}"
        self._file = _Whole(self.path, "x")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._stream = pa.ipc.new_stream(self._file, schema)

    def is_over(self) -> bool:
        return (
            self.rows >= SEGMENT_ROWS
            or time.monotonic() - self.began > SEGMENT_SECONDS
            or _today() != self.day
            or self._is_asked_for()
        )

    def _is_asked_for(self) -> bool:
        try:
            return self._finish.stat().st_mtime >= self._made
        except OSError:
            return False

    def write(self, rows: list[Row]) -> None:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self.schema, strict=True)]
        self._stream.write_batch(pa.record_batch(arrays, schema=self.schema))
        self.rows += len(rows)

    def finish(self) -> None:
        self._stream.close()
        finish_file(self.path)
        self._file.close()


def _today() -> date:
    return datetime.now(UTC).date()


def finish_left(folder: Path) -> None:
    """Finish the files below a folder whose process was killed."""
    for path in sorted(folder.glob(f"date=*/*{OPEN}")):
        with suppress(FileNotFoundError), path.open("rb") as file:
            if _is_free(file):
                finish_file(path)


def _is_free(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def finish_file(path: Path) -> None:
    """Write the whole batches of a stream as Parquet in its place; an empty one goes."""
    rows = read_open(path)
    if rows is not None and len(rows):
        unfinished = path.with_suffix(".tmp")
        pq.write_table(rows, unfinished, compression="zstd")
        os.replace(unfinished, path.with_suffix(FINISHED))  # noqa: PTH105
    path.unlink()
