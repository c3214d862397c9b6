"""The section `ingest` of params.yaml: what each source needs to be told."""

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from recgan.core.sections import Instant, Section, Seed
from recgan.data.settings import EventKind


def _event_name(name: Any) -> Any:
    # YAML reads an unquoted 1 as a number, and some readers yes, on and off as truth values.
    if isinstance(name, str) or type(name) is int:
        return str(name)
    raise ValueError(f"YAML reads the name {name!r} as no text; write it in quotes, as the file has it")


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; write an IANA name such as Europe/Berlin") from None


EventName = Annotated[str, BeforeValidator(_event_name)]


# --- ingest ---------------------------------------------------------------------------------------------


class Source(Section):
    """What every source has."""

    path: Path
    """The raw file or folder, tracked by DVC; `raw` for a source that is simulated or downloaded."""


class ShopSource(Source):
    """The simulated shop."""

    source: Literal["shop"]
    seed: Seed
    events: Annotated[int, Field(ge=1000)]
    """Rows to simulate, the dirty ones included."""
    days: Annotated[int, Field(ge=7)]
    end: Instant
    """The instant (UTC) at which the simulated log ends."""


class MovieLensSource(Source):
    """MovieLens as GroupLens ships it."""

    source: Literal["movielens-100k", "movielens-1m"]


class OnlineRetailSource(Source):
    """UCI Online Retail, the raw log."""

    source: Literal["online-retail"]


class CompleteJourneySource(Source):
    """84.51° Complete Journey, exported from the R package completejourney."""

    source: Literal["completejourney"]


class PublishedSplitSource(Source):
    """A fixed published split: two text files of `user item rating`, ids as the paper has them."""

    source: Literal["published-split"]
    train: str
    """Name of the train file inside `path`."""
    test: str
    """Name of the test file inside `path`."""


class OwnFilesSource(Source):
    """The user's own CSV or Parquet files with a mapping of columns."""

    source: Literal["files"]
    events: str
    """Name of the events file inside `path` (.csv, .csv.gz or .parquet), or of a folder of part files."""
    items: str | None
    """Name of the items file inside `path`; null makes the items from the events."""
    users: str | None
    """Name of the users file inside `path`; null makes the users from the events."""
    columns: dict[str, str]
    """recgan's event column → the file's column; user_id, item_id and timestamp are required."""
    item_columns: dict[str, str]
    """recgan's item column → the file's column; item_id is required where `items` is given."""
    user_columns: dict[str, str]
    """recgan's user column → the file's column; user_id is required where `users` is given."""
    event: EventKind | None
    """The kind of every event when the file has no such column; null when it has."""
    event_names: dict[EventName, EventKind]
    """The file's name of an event kind → ours, where they differ."""
    null_words: tuple[str, ...]
    """Words that stand for a missing value in any column, in upper or lower case; blank always does. Take one
    out if it is an id or a title of yours."""
    timezone: Annotated[str, AfterValidator(_known_zone)] | None
    """IANA name of the zone (Europe/Berlin) of times that are written without one; null takes those as UTC,
    and refuses a column where others have a zone."""


IngestParams = Annotated[
    ShopSource
    | MovieLensSource
    | OnlineRetailSource
    | CompleteJourneySource
    | PublishedSplitSource
    | OwnFilesSource,
    Field(discriminator="source"),
]
