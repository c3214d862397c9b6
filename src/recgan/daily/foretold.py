"""What `recgan behaviour` foretold of each shopper, as columns of the published lists."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from recgan.core import layout
from recgan.core.files import replacing
from recgan.daily.publish import METADATA
from recgan.data.events import parts_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Foretold:
    """Probabilities that are of the very events that the lists are made from."""

    table: pa.Table
    """user_id, and a column of float32 for each outcome."""
    md5: str
    """Of the file."""

    @property
    def columns(self) -> list[pa.Field]:
        """The columns that lists get."""
        return list(self.table.schema)[1:]

    def beside(self, lists: pa.RecordBatch) -> pa.RecordBatch:
        """Put each shopper's probabilities into every row of the shopper; null for one without events."""
        of = pa.compute.index_in(lists["user_id"], value_set=self.table["user_id"].combine_chunks())
        for field in self.columns:
            lists = lists.append_column(field, self.table[field.name].combine_chunks().take(of))
        return lists


def write_foretold(table: pa.Table, root: Path, days: float, events_md5: str | None) -> None:
    """Write recommendations/behaviour.parquet, one row a shopper.

    Args:
        table: user_id and a column for each outcome.
        root: the project.
        days: how far ahead it looks.
        events_md5: of the events that it was made from, by `md5_of_events`.
    """
    about = {METADATA: json.dumps({"days": days, "events_md5": events_md5})}
    with replacing(root / layout.BEHAVIOUR) as file:
        pq.write_table(table.replace_schema_metadata(about), file, compression="zstd")


def days_of(root: Path) -> float | None:
    """Return how far ahead the present file looks; None where there is none, or it does not say."""
    about = _about(root / layout.BEHAVIOUR)
    return None if about is None else float(about["days"])


def foretold_for(root: Path) -> Foretold | None:
    """Return what was foretold from the present kept events; None, with a warning, where it was from others.

    Args:
        root: the project.
    """
    path = root / layout.BEHAVIOUR
    if not path.exists():
        return None
    about = _about(path)
    if about is None or about["events_md5"] != md5_of_events(root):
        log.warning(
            "%s is not of today's events: lists go out without its columns; run `recgan behaviour` before",
            path,
        )
        return None
    found = pq.read_table(path)
    schema = pa.schema(
        [found.schema.field(0), *(pa.field(name, pa.float32()) for name in found.column_names[1:])]
    )
    return Foretold(found.cast(schema), md5_of_file(path))


def md5_of_events(root: Path) -> str | None:
    """Return a checksum of the kept events and of who is left out of them; None where either is missing."""
    tables = (root / layout.KEPT / "events.parquet", root / layout.SCREENED / "accounts.parquet")
    if not all(table.exists() for table in tables):
        return None
    return " ".join(md5_of_file(part) for table in tables for part in parts_of(table))


def md5_of_file(path: Path) -> str:
    """Return the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _about(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[METADATA])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None  # of a time when it did not say
    return found
