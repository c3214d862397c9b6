"""DVC's locks: who holds one, and the removal of those whose holder is dead.

A DVC command fails at once where another one works on the same files, and `--wait-for-lock` does not wait for
that. It notes in .dvc/tmp/rwlock which process holds which path.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from recgan.core.files import write_text

_BUSY = ("is busy, it is being blocked by:", "Unable to acquire lock.", "Unable to read RWLock-file")
_HOLDER = re.compile(r"\s*\(PID (?P<pid>\d+)\): .*?\bdvc(?:/__main__\.py)? (?P<arguments>.*)")


def holder(said: list[str]) -> str | None:
    """Return who holds the lock that a DVC command failed at; None where it failed at something else."""
    if not any(line.startswith("ERROR: ") and sign in line for line in said for sign in _BUSY):
        return None
    found = [match for line in said if (match := _HOLDER.match(line))]
    return f"`dvc {found[0]['arguments']}` (process {found[0]['pid']})" if found else "another DVC command"


def drop_dead(root: Path) -> None:
    """Remove the notes of holders that are dead, and a file of notes that a killed one left half written.

    DVC itself takes a dead holder for a living one in two cases. Another process has its id by now, as
    happens in containers; or nobody has waited for it.
    """
    notes = root / ".dvc/tmp/rwlock"
    if not notes.exists():
        return
    try:
        with FileLock(root / ".dvc/tmp/rwlock.lock", timeout=5):  # what DVC holds while it writes
            try:
                held = json.loads(notes.read_text(encoding="utf-8"))
                written = notes.stat().st_mtime
                living = {
                    "write": {
                        path: one for path, one in held["write"].items() if _may_live(one["pid"], written)
                    },
                    "read": {
                        path: [one for one in several if _may_live(one["pid"], written)]
                        for path, several in held["read"].items()
                    },
                }
            except (ValueError, KeyError, TypeError, AttributeError):
                notes.unlink()
                return
            if living != held:
                write_text(notes, json.dumps(living))
    except Timeout:
        return


def _may_live(pid: int, written: float) -> bool:
    """Tell whether the process of this id may be the one that was noted: it is older than the notes."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.create_time() <= written and process.status() != psutil.STATUS_ZOMBIE
    return False
