"""Parts that an ingest has converted, as the next ingest finds them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from recgan.core import closure
from recgan.core.files import link_or_copy, read_json, write_json
from recgan.data.sources.conversion import Decisions, Facts
from recgan.data.sources.parts import Part

FACTS = "facts"
"""The folder beside the events: what the parts say that the whole log decides by."""
_MANIFEST = "parts.json"
EVENTS_OF_PART = "events"
"""The events of a part; its other files are facts."""


class Converted(BaseModel):
    """A part that is converted, as the manifest has it."""

    source: str
    """Name of its file."""
    size: int
    """Bytes of its file."""
    key: str
    """Of its bytes, of the names of its folders, of the settings and the code: sha256."""
    context: dict[str, Any]
    """What the parts before decide for it."""
    decisions: Decisions
    """What the whole log decides, under which it was converted."""
    facts: Facts
    files: dict[str, str]
    """What was made of it → sha256."""


def place(folder: Path, number: int, name: str) -> Path:
    """Return where a file of a part lies, by the number of the part."""
    if name == EVENTS_OF_PART:
        return folder / "events.parquet" / f"part-{number:05d}.parquet"
    return folder / FACTS / f"{number:05d}" / f"{name}.parquet"


def fingerprint(*what: str) -> str:
    """Return what tells one way of converting from another: settings, code and the libraries."""
    code = closure.digest("recgan.data.sources.own_files")
    return json.dumps([*what, code, pa.__version__, pd.__version__])


def key_of(part: Part, way: str) -> str:
    """Return what tells a part that is converted in some way from any other: its bytes, not its time."""
    with part.path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    told = json.dumps([way, part.path.suffix, dict(part.keys), content])
    return hashlib.sha256(told.encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, tuple[int, Converted]]:
    """Return the parts of an earlier ingest by their keys, with their numbers; none where it kept none."""
    try:
        manifest = read_json(folder / FACTS / _MANIFEST)
        entries = manifest["parts"]
        if manifest["sha256"] != _digest(entries):
            return {}
        return {entry["key"]: (number, Converted(**entry)) for number, entry in enumerate(entries)}
    except (OSError, ValueError, TypeError, KeyError, ValidationError):
        return {}


def write_manifest(folder: Path, entries: list[Converted]) -> None:
    """Write the parts of this ingest for the next."""
    parts = json.loads(json.dumps([entry.model_dump() for entry in entries]))  # as they are read again
    write_json(folder / FACTS / _MANIFEST, {"sha256": _digest(parts), "parts": parts})


def _digest(parts: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take(entry: Converted, old: Path, old_number: int, new: Path, number: int) -> bool:
    """Take the files of a part from an earlier ingest; False where they are no longer what it wrote."""
    try:
        for name, expected in entry.files.items():
            there, here = place(old, old_number, name), place(new, number, name)
            if checksum(there) != expected:
                return False
            here.parent.mkdir(parents=True, exist_ok=True)
            here.unlink(missing_ok=True)
            link_or_copy(there, here)
    except OSError:
        return False
    return True
