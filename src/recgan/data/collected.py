"""What came of answers, beside who was shown them: the folder data/feedback, which `ingest` reads.

A flow or `recgan collect` fills it (online/collect.py). It holds a part for each collecting that brought
something, and the feedback whose answer is not there yet.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, replacing, write_json

_INSTANT = pa.timestamp("us", tz="UTC")

COLLECTED = pa.schema(
    {
        "request_id": pa.string(),
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event": pa.string(),
        "time": _INSTANT,  # when it happened
        "value": pa.float64(),
        "price": pa.float64(),
        "received": _INSTANT,  # when the server was told
    }
)
"""What a shopper did with an item of an answer: one row for each answer, item and kind of event."""

REASONS = {
    "unknown_request": "no answer of that id, or one of too long ago",
    "no_user": "the request named no shopper",
    "not_shown": "the answer did not show that item",
    "out_of_range": "its time, value or price is none that validate lets pass",
    "told_again": "the same answer, item and kind was told before",
    "repeated": "of the same shopper, item and kind within moments",
    "in_log": "the shop's log has it as well",
    "unknown_item": "no item of the source has that id",
}
"""Why feedback becomes no event: the first five are found by collecting, the others by ingest."""

INDEX, WAITING, PARTS = "index.json", "waiting.parquet", "events"
SUMMARY = "feedback.json"
"""Beside the ingested tables: what of all this became events."""


class Index(BaseModel):
    """How far the servers' files were read, and what became of all that was told."""

    segments: dict[str, int | None] = {}
    """Model/day/file, without its ending, → how many of its rows were read; null for a finished file."""
    told: int = 0
    """Rows of feedback that were read, waiting ones included."""
    waiting: int = 0
    """Rows whose answer has not been found yet."""
    left_out: dict[str, int] = {}
    """Reason → rows."""
    early: int = 0
    """Rows that became events although they happened before their answer, by the shop's clock."""


def read_index(folder: Path) -> Index:
    """Return how far a folder's collecting has come; a missing folder has not begun.

    Raises:
        RecganError: the file is damaged.
    """
    path = folder / INDEX
    try:
        return Index(**read_json(path))
    except (FileNotFoundError, NotADirectoryError):
        return Index()
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise _damaged(path, error) from None


def parts_collected(folder: Path) -> list[Path]:
    """Return the files of COLLECTED, the earliest first."""
    return sorted((folder / PARTS).glob("part-*.parquet"))


def read_collected(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a file of the folder.

    Raises:
        RecganError: the file is damaged.
    """
    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def keep_or_begin(root: Path) -> None:
    """Leave data/feedback as it was filled; begin it where nobody has."""
    folder = root / layout.FEEDBACK
    if not (folder / INDEX).exists():
        with replacing(folder) as new:
            new.mkdir(parents=True)
            write_json(new / INDEX, Index().model_dump())


def sentence(summary: dict[str, Any]) -> str:
    """Say what of the feedback became events, and why the rest did not."""
    told = f"feedback: {summary['events']:,} events of {summary['told']:,} that servers were told"
    reasons = [f"{count:,} {name} ({REASONS[name]})" for name, count in summary["left_out"].items() if count]
    if summary["waiting"]:
        reasons.append(f"{summary['waiting']:,} wait for their answer until the next collecting")
    return f"{told}; left out: {'; '.join(reasons)}" if reasons else told


def _damaged(path: Path, error: Exception) -> RecganError:
    return RecganError(
        f"{path} is damaged ({error}); restore the folder with `dvc checkout {layout.FEEDBACK}`, or remove "
        "it and run `recgan collect`, which makes it of what impressions/ still holds"
    )
