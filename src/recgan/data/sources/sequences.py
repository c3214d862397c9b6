"""Sequences as the literature on sequential recommendation ships them: `user item item …`, oldest first.

So do Amazon's Beauty and Sports in S3-Rec (Zhou et al., CIKM 2020), whose files lie in the folder `data` of
github.com/aHuiWang/CIKM2020-S3Rec.

The files have no times. Event j of a user's n is put n - j days before `end`: a step is a day, and
everybody's last event is on the last day. These times stand for order alone. So ages count steps, and neither
weekdays nor a split at global instants mean anything.
"""

import json
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.core.sections import Instant
from recgan.data.events import Tables
from recgan.data.settings import Source
from recgan.data.sources.columns import make_tables


class SequencesSource(Source):
    """A text file of sequences, and what is known of their items."""

    source: Literal["sequences"]
    sequences: str
    """Name of the file inside `path`, one user a line: `user item item …`, oldest first."""
    attributes: str | None
    """Name of the JSON file inside `path`, item id → list of attributes; null where there is none."""
    end: Instant
    """When everybody's last event is said to be."""


_SECOND = 1_000_000  # microseconds
_DAY = 86_400 * _SECOND
_FROM = "such files are in the folder data of github.com/aHuiWang/CIKM2020-S3Rec"


def read(params: SequencesSource, folder: Path) -> Tables:
    """Read every step as a purchase; an item's attributes are its category, joined by `|`.

    Raises:
        RecganError: a file is missing or no UTF-8; a line has no item or a user that stood before; the
            attributes are no JSON of item id → list.
    """
    users, sequences = _sequences(folder / params.sequences)
    lengths = np.array([len(items) for items in sequences], dtype=np.int64)
    steps_before = np.concatenate([np.arange(length)[::-1] for length in lengths])
    end = params.end.replace(tzinfo=UTC) if params.end.tzinfo is None else params.end
    times = round(end.timestamp()) * _SECOND - steps_before * _DAY
    sold = [item for items in sequences for item in items]
    events = {
        "user_id": pa.array(users).take(pa.array(np.repeat(np.arange(len(users)), lengths))),
        "item_id": pa.array(sold),
        "event": pa.scalar("purchase"),
        "timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
        "value": pa.scalar(1.0),
    }
    if params.attributes is None:
        return make_tables(events)
    categories = _categories(folder / params.attributes)
    ids = sorted({*sold, *categories})
    items = {
        "item_id": pa.array(ids, pa.string()),
        "category": pa.array([categories.get(item) for item in ids], pa.string()),
    }
    return make_tables(events, items)


def _sequences(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the users and their items, oldest first."""
    text = _text(path, "sequences")
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        parts = line.split()
        if not parts:
            continue
        place = f"{path}, line {number}: `{shown(line.strip())}`"
        if len(parts) == 1:
            raise RecganError(
                f"{place} has no item; write `user item item …` with blanks between, or remove it"
            )
        if parts[0] in found:
            raise RecganError(
                f"{place} is of user {shown(parts[0])}, who has a line before; make one of both, oldest first"
            )
        found[parts[0]] = parts[1:]
    if not found:
        raise RecganError(f"{path} is empty; replace it: {_FROM}")
    return list(found), list(found.values())


def _categories(path: Path) -> dict[str, str | None]:
    """Return each item's attributes as one text; None of an item that has none."""
    try:
        content = json.loads(_text(path, "attributes"))
    except ValueError as error:
        raise RecganError(
            f"{path} is no JSON ({error}); replace it, or set ingest.attributes to null"
        ) from None
    if not isinstance(content, dict):
        raise RecganError(f"{path} is no JSON object of item id → list of attributes; replace it")
    return {item: _joined(path, item, attributes) for item, attributes in content.items()}


def _joined(path: Path, item: str, attributes: Any) -> str | None:
    listed = attributes if isinstance(attributes, list) else [None]
    for one in listed:
        if type(one) not in (int, str) or not str(one).strip() or "|" in str(one):
            raise RecganError(
                f"{path}, item {shown(item)}: `{shown(attributes)}` is no list of attributes, each a "
                "whole number or a text without `|`; mend that entry"
            )
    return "|".join(str(one) for one in listed) or None


def _text(path: Path, name: str) -> str:
    if not path.is_file():
        raise RecganError(f"no file {path}; put it there, or mend ingest.path and ingest.{name}: {_FROM}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecganError(f"{path} is no text in UTF-8 ({error}); replace it") from None
