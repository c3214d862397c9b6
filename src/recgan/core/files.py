"""Files and folders that are the old or the new one: never half of either, never parts of both."""

import ctypes
import fcntl
import functools
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from recgan.core.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSES = (0, 0, 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds before each new try to read a folder that was replaced meanwhile."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux: fcntl.h and linux/fs.h


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place when the block ends without an error.

    Write a file there, or make a folder there. When the block raises, the temporary sibling is removed
    and what was at `path` is untouched. Parent folders are made. What killed writers of the same path left
    is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tidy(path)
    holder, lock = _new_holder(path)
    try:
        new = holder / path.name
        yield new
        if new.is_dir() and path.is_dir():
            _swap(new, path)
        else:
            new.replace(path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        os.close(lock)


def read_whole(folder: Path, read: Callable[[Path], T]) -> T:
    """Read several files of a folder as of one version: anew where it was replaced meanwhile.

    Args:
        folder: what `replacing` may replace at any time.
        read: reads what is wanted of it, to the end: nothing may be left to be read later.

    Raises:
        Unavailable: the folder was replaced during every try.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        if not folder.exists():
            tidy(folder)
        with suppress(Unavailable), unchanged(folder):
            return read(folder)
    with unchanged(folder):
        return read(folder)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Make sure that all a block reads of a folder is of one version.

    Raises:
        Unavailable: the folder was replaced meanwhile, whatever else the block raised.
    """
    try:
        # Held open, so that no later folder can get this one's number and pass for it.
        handle: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        handle = None  # the block says better what is missing
    try:
        before = None if handle is None else _stamp(os.fstat(handle))
        replaced = Unavailable(
            f"{folder} was replaced while it was read; run this again when no other run writes it"
        )
        try:
            yield
        except Exception:
            if _stamp_of(folder) != before:
                raise replaced from None
            raise
        if _stamp_of(folder) != before:
            raise replaced
    finally:
        if handle is not None:
            os.close(handle)


def link_or_copy(there: Path, here: Path) -> None:
    """Give a file a second name in an existing folder; copy it where that is not possible."""
    try:
        os.link(there.resolve(), here)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(there, here)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step (UTF-8)."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step: sorted as given, indented, ending with a newline, NaN refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    """Return what tells one version of a folder from another; files put into it in place change it too."""
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _stamp_of(folder: Path) -> tuple[int, int, int] | None:
    try:
        return _stamp(folder.stat())
    except OSError:
        return None


def _swap(new: Path, path: Path) -> None:
    """Put a folder in the place of another: in one step where the system can."""
    if _exchange(new, path):
        return
    # No folder can be renamed over another: the old one steps aside. A process that is killed before the
    # next line leaves none at `path`; `tidy` then puts the old one back.
    old = _set_aside(new.parent, path)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step, or return False where the system or the file system has no such step."""
    rename = _renameat2()
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """Return Linux's renameat2, which Python does not wrap, or None elsewhere."""
    return getattr(ctypes.CDLL(None), "renameat2", None)


def _set_aside(holder: Path, path: Path) -> Path:
    return holder / f"{path.name}.old"


def _new_holder(path: Path) -> tuple[Path, int]:
    """Make a temporary folder beside a path and lock it for as long as this process lives."""
    while True:
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        with suppress(FileNotFoundError):  # another writer took it for a dead one's before it was locked
            lock = os.open(holder, os.O_RDONLY | os.O_DIRECTORY)
            if _locked(lock) is not False and holder.exists():
                return holder, lock
            os.close(lock)


def _locked(handle: int) -> bool | None:
    """Lock an open folder; return False where another process has it, None where nothing can be locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def tidy(path: Path) -> None:
    """Remove what killed writers of a path left, and put back the folder that one of them had set aside."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.\w{{8}}\.tmp")
    with suppress(FileNotFoundError):
        for holder in [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]:
            _tidy_one(holder, path)


def _tidy_one(holder: Path, path: Path) -> None:
    try:
        lock = os.open(holder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        if _locked(lock):  # its writer is dead: the lock of a living one falls only with it
            old = _set_aside(holder, path)
            if old.exists() and not path.exists():
                old.rename(path)
                log.warning("%s: a run was killed while it replaced this; the old one is back", path)
            shutil.rmtree(holder, ignore_errors=True)
    finally:
        os.close(lock)
