"""Publish a large Parquet file: made in parts, resumed after a crash, put in place by one rename."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def build(target: Path, key: str, parts: int, compute: Callable[[int], pa.Table], schema: pa.Schema) -> Path:
    """Compute the parts that are not there yet and join them, each as one row group.

    The parts lie beside the target, in a folder of the key; those of any other key are removed. Call it
    within `publishing`.

    Args:
        target: the file to publish.
        key: of all that the content depends on; a file name.
        parts: how many there are.
        compute: makes a part, in any order.
        schema: of the whole, with its metadata.

    Returns:
        The whole, beside the target and not yet in its place.
    """
    work = _work_folder(target)
    for other in work.glob("*"):
        if other.name != key:
            shutil.rmtree(other)
    folder = work / key
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number:05}.parquet" for number in range(parts)]
    missing = [number for number, path in enumerate(paths) if not _is_readable(path)]
    if len(missing) < parts:
        log.info("%s of %s parts are there already", f"{parts - len(missing):,}", f"{parts:,}")
    for done, number in enumerate(missing, start=1):
        table = compute(number)
        with replacing(paths[number]) as new:
            pq.write_table(table, new, compression="zstd")
        log.info("part %s of %s", f"{parts - len(missing) + done:,}", f"{parts:,}")
    whole = folder / target.name
    with pq.ParquetWriter(whole, schema, compression="zstd") as writer:
        for path in paths:
            part = pq.read_table(path)
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


def _is_readable(part: Path) -> bool:
    """A part appears by a rename, but a power cut can leave its name without its bytes."""
    try:
        pq.read_metadata(part)
    except (OSError, pa.ArrowInvalid):
        return False
    return True
