"""The typed tables that every source is turned into: events, items, users."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.errors import RecganError
from recgan.core.files import read_whole

EVENTS = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event": pa.string(),  # view, cart, purchase, rating
        "timestamp": pa.timestamp("us", tz="UTC"),  # null in a published split without times
        "value": pa.float64(),  # a rating's stars, a purchase's quantity; null for views and carts
        "price": pa.float64(),  # of one piece; null where the source has none
        "session_id": pa.string(),  # the visit, basket or invoice; null where the source has none
        "split": pa.string(),  # train or test in a published split, else null
    }
)
"""A raw row as the source has it, faults included; only ids and times are read as what they surely mean."""

ITEMS = pa.schema(
    {
        "item_id": pa.string(),
        "title": pa.string(),
        "category": pa.string(),
        "brand": pa.string(),
        "price": pa.float64(),
        "image_url": pa.string(),  # of a picture to show; nothing is learned from it
    }
)
"""One row an item; null where the source does not say."""

USERS = pa.schema(
    {
        "user_id": pa.string(),
        "fake": pa.bool_(),  # a labelled fake account; null where the source has no labels
    }
)
"""One row a user."""


FEEDBACK_PART = "part-feedback.parquet"
"""Of a table of events in parts: those that came of the server's answers, not of the source."""


@dataclass(frozen=True)
class Tables:
    """What ingest makes: events, items and users in the schemas of this module."""

    events: pa.Table
    items: pa.Table
    users: pa.Table


def write_tables(tables: Tables, folder: Path) -> None:
    """Write events.parquet, items.parquet and users.parquet into an existing folder."""
    pq.write_table(tables.events.cast(EVENTS), folder / "events.parquet", compression="zstd")
    pq.write_table(tables.items.cast(ITEMS), folder / "items.parquet", compression="zstd")
    pq.write_table(tables.users.cast(USERS), folder / "users.parquet", compression="zstd")


def read_tables(folder: Path) -> Tables:
    """Read the three tables of a folder.

    Raises:
        RecganError: a file is missing, is not readable Parquet, or has other columns.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(folder, _read)


def _read(folder: Path) -> Tables:
    return Tables(
        read_table(folder / "events.parquet", EVENTS),
        read_table(folder / "items.parquet", ITEMS),
        read_table(folder / "users.parquet", USERS),
    )


def parts_of(path: Path) -> list[Path]:
    """Return the Parquet files of a table: the file itself, or those of a folder of that name, by name.

    Spark writes a table as such a folder, and so does an ingest of many files. What begins with a dot or an
    underscore is no part: Spark takes it for a file that is not complete.

    Raises:
        RecganError: there is no such file, or the folder holds none.
    """
    parts = sorted(path.glob("[!._]*.parquet")) if path.is_dir() else [path]
    if not parts or not path.exists():
        raise RecganError(f"no file {path}; run the stage that makes it: dvc repro")
    return parts


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet table of a known schema: a file, or a folder of its parts.

    Args:
        path: of the table.
        schema: that it must have.
        columns: that are read; None reads all.

    Raises:
        RecganError: the table is missing, is not readable Parquet, or has another schema.
    """
    check_table(path, schema)
    try:
        return pa.concat_tables(pq.read_table(part, columns=columns) for part in parts_of(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(f"{path} is not readable Parquet ({error}); delete it and run dvc repro") from None


def check_table(path: Path, schema: pa.Schema) -> None:
    """Check that a Parquet table has a schema, each part of it, without reading its rows.

    Raises:
        RecganError: the table is missing, is not readable Parquet, or has another schema.
    """
    for part in parts_of(path):
        try:
            found = pq.read_schema(part)
        except (pa.ArrowInvalid, OSError) as error:
            raise RecganError(
                f"{part} is not readable Parquet ({error}); delete it and run dvc repro"
            ) from None
        if not found.equals(schema):
            raise RecganError(
                f"{part} has the columns\n{found}\nbut these are needed\n{schema}\nrun dvc repro"
            )


def period_of(path: Path, *, feedback: bool = True) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last instant of an events table, which its files say without their rows.

    Args:
        path: of the table.
        feedback: count what came of the server's answers too.

    Raises:
        RecganError: the table is missing, is not readable Parquet, or has another schema.
    """
    check_table(path, EVENTS)
    place = EVENTS.get_field_index("timestamp")
    parts = [part for part in parts_of(path) if feedback or part.name != FEEDBACK_PART]
    known = []
    for whole in map(pq.read_metadata, parts):
        found = [whole.row_group(number).column(place).statistics for number in range(whole.num_row_groups)]
        known += [one for one in found if one is not None and one.has_min_max]
    return min((one.min for one in known), default=None), max((one.max for one in known), default=None)


def describe(folder: Path) -> str:
    """Say how many events, users and items a folder's tables have, and of which period; no row is read."""
    events, users, items = (
        sum(pq.read_metadata(part).num_rows for part in parts_of(folder / f"{name}.parquet"))
        for name in ("events", "users", "items")
    )
    first, last = period_of(folder / "events.parquet")
    when = "without times" if first is None or last is None else f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    return f"{events:,} events of {users:,} users on {items:,} items, {when}"
