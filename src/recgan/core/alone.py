"""One run at a time in a folder: the second waits for the first."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from recgan.core.files import read_json, write_json


@contextmanager
def alone(lock: Path, what: str, say: Callable[[str], object], seconds: float = 1) -> Iterator[None]:
    """Hold a lock for the length of the block; wait while a living process holds it.

    The system drops the lock of a process that ends, however it ends.

    Args:
        lock: the lock's file; who holds it stands beside it, in a file ending in .json.
        what: runs in the block, for those who wait.
        say: takes one sentence when there is something to wait for.
        seconds: between two looks.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    waits = False
    while True:
        try:
            held.acquire(timeout=0)
            break
        except Timeout:
            if not waits:
                say(f"waiting for {_holder(lock)} to end; Ctrl-C ends the waiting")
            waits = True
            time.sleep(seconds)
    try:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        write_json(_note(lock), {"what": what, "pid": os.getpid(), "since": since})
        yield
    finally:
        _note(lock).unlink(missing_ok=True)
        held.release()


def _holder(lock: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = read_json(_note(lock))
        return f"{note['what']} (process {note['pid']}, since {note['since']} UTC)"
    return "another run"


def _note(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.json")
