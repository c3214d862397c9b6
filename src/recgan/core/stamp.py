"""What tells one version of a file from another, without reading it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stamp:
    """What tells one version of the file from another."""

    number: int
    modified: int
    size: int


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_ino, found.st_mtime_ns, found.st_size)
