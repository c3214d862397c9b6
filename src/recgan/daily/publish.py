"""Publish a large Parquet file: made in parts, resumed after a crash, put in place by one rename."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from recgan.core.errors import RecganError
from recgan.core.files import replacing

log = logging.getLogger(__name__)

METADATA = b"recgan"
"""Key of the file's metadata: JSON that says what the file holds and where it comes from."""

_LOCK_TIMEOUT = 6 * 3600.0  # seconds


@contextmanager
def publishing(target: Path, timeout: float = _LOCK_TIMEOUT) -> Iterator[None]:
    """Be the only process that works on `target`; the lock of one that was killed falls with it.

    Raises:
        RecganError: another process works on it for longer than `timeout` seconds.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is writing %s; waiting for it", target)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise RecganError(
                f"another process has been writing {target} for over {timeout:g} s; let it end, then run "
                "this again"
            ) from None
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Parts:
    """The parts of a file that is to be published; any process that sees their folder may make some."""

    folder: Path
    number: int
    """How many there are."""

    def missing(self) -> list[int]:
        """Return those that are not there yet."""
        return [number for number in range(self.number) if not self.is_there(number)]

    def is_there(self, number: int) -> bool:
        """Tell whether a part is finished.

        It appears by a rename, but a power cut can leave its name without its bytes.
        """
        try:
            pq.read_metadata(self.path(number))
        except (OSError, pa.ArrowInvalid):
            return False
        return True

    def write(self, number: int, table: pa.Table) -> None:
        """Write a part, which appears as a whole."""
        with replacing(self.path(number)) as new:
            pq.write_table(table, new, compression="zstd")
        log.info("part %s of %s", f"{number + 1:,}", f"{self.number:,}")

    def path(self, number: int) -> Path:
        """Return where a part lies."""
        return self.folder / f"part-{number:05}.parquet"

    def stop(self) -> None:
        """Ask whoever makes parts, on whatever machine, to begin no other one."""
        self._stop.touch()

    @property
    def stopped(self) -> bool:
        """True where somebody has asked for that."""
        return self._stop.exists()

    @property
    def _stop(self) -> Path:
        return self.folder / "stop"


def opened(target: Path, key: str, number: int) -> Parts:
    """Return the parts of a key, in a folder beside the target; those of any other key are removed.

    Call it within `publishing`.

    Args:
        target: the file to publish.
        key: of all that the content depends on; a file name.
        number: how many parts there are.
    """
    work = _work_folder(target)
    for other in work.glob("*"):
        if other.name != key:
            shutil.rmtree(other)
    folder = work / key
    folder.mkdir(parents=True, exist_ok=True)
    for left in [*folder.glob("recgan-*"), folder / "stop"]:  # of a run that was killed
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    parts = Parts(folder, number)
    if there := number - len(parts.missing()):
        log.info("%s of %s parts are there already", f"{there:,}", f"{number:,}")
    return parts


def joined(
    parts: Parts,
    target: Path,
    schema: pa.Schema,
    finish: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
) -> Path:
    """Join finished parts, each as one row group.

    Args:
        parts: all of them there.
        target: the file to publish.
        schema: of the whole, with its metadata.
        finish: adds to the rows of a part what its makers need not know.

    Returns:
        The whole, beside the target and not yet in its place.
    """
    whole = parts.folder / target.name
    with pq.ParquetWriter(whole, schema, compression="zstd") as writer:
        for number in range(parts.number):
            part = pq.read_table(parts.path(number))
            if finish is not None:
                batches = [finish(batch) for batch in part.combine_chunks().to_batches()]
                part = pa.Table.from_batches(batches) if batches else schema.empty_table()
            writer.write_table(part.cast(schema), row_group_size=max(part.num_rows, 1))
    return whole


def put_in_place(whole: Path, target: Path) -> None:
    """Make a finished file the one that readers see, and drop what it was made of."""
    with whole.open("rb") as file:
        os.fsync(file.fileno())  # on the disk before its name is
    whole.replace(target)
    drop_parts(target)


def drop_parts(target: Path) -> None:
    """Remove what the target was made of; a run killed right after its rename leaves that."""
    shutil.rmtree(_work_folder(target), ignore_errors=True)


def about(target: Path) -> dict[str, Any] | None:
    """Return what a published file says of itself; None where there is none.

    Raises:
        RecganError: the file was not published by this project.
    """
    try:
        found: dict[str, Any] = json.loads(pq.read_schema(target).metadata[METADATA])
    except FileNotFoundError:
        return None
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError):
        raise RecganError(f"{target} is no file of recommendations; move it away") from None
    return found


def _work_folder(target: Path) -> Path:
    return target.parent / f".{target.name}.parts"
