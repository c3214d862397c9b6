"""The source of params.yaml as events, items and users."""

from pathlib import Path

import pyarrow.compute as pc

from recgan.data.events import Tables
from recgan.data.sources.complete_journey import read_complete_journey
from recgan.data.sources.movielens import read_movielens
from recgan.data.sources.online_retail import read_online_retail
from recgan.data.sources.own_files import read_own_files
from recgan.data.sources.published_split import read_published_split
from recgan.data.sources.settings import (
    CompleteJourneySource,
    IngestParams,
    MovieLensSource,
    OnlineRetailSource,
    OwnFilesSource,
    PublishedSplitSource,
    ShopSource,
)
from recgan.data.sources.shop import simulate_shop


def read_source(params: IngestParams, folder: Path) -> Tables:
    """Read or simulate the source, a row for each raw row.

    Args:
        params: the section `ingest`.
        folder: where the raw files lie.

    Raises:
        RecganError: the source is missing or cannot be read.
    """
    match params:
        case ShopSource():
            return simulate_shop(params)
        case MovieLensSource():
            return read_movielens(params, folder)
        case OnlineRetailSource():
            return read_online_retail(folder)
        case CompleteJourneySource():
            return read_complete_journey(folder)
        case PublishedSplitSource():
            return read_published_split(params, folder)
        case OwnFilesSource():
            return read_own_files(params, folder)


def describe(tables: Tables) -> str:
    """Say how many events, users and items there are, and of which period."""
    period = pc.min_max(tables.events["timestamp"]).as_py()
    when = (
        "without times"
        if period["min"] is None
        else f"from {period['min']:%Y-%m-%d} to {period['max']:%Y-%m-%d}"
    )
    return (
        f"{tables.events.num_rows:,} events of {tables.users.num_rows:,} users "
        f"on {tables.items.num_rows:,} items, {when}"
    )
