"""Temporary folders that do not stay where the process that made them is killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "recgan-"
_OWNER = "owner"
"""A file in each folder that its maker holds locked; the system lets go of it when the maker ends."""


@contextmanager
def temporary_folder(within: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that is gone after the block.

    A process that is killed removes nothing, so each new folder first sweeps away what dead processes left.

    Args:
        within: where it lies; None takes the system's folder. Elsewhere nothing is swept away.
    """
    sweep()
    holder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=within))
    lock = None
    try:
        with suppress(OSError):  # a file system without locks: what is left there stays
            lock = _own(holder)
        folder = holder / "files"
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep() -> None:
    """Remove the temporary folders of this user whose processes are dead."""
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        with suppress(OSError):  # another user's, another process is faster, or it is in use
            if owner.parent.lstat().st_uid == os.getuid():
                lock = os.open(owner, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(owner.parent)
                finally:
                    os.close(lock)


def _own(holder: Path) -> int:
    new = holder / f"{_OWNER}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(holder / _OWNER)  # so that nobody finds it before it is locked
    except OSError:
        os.close(lock)
        raise
    return lock
