"""The ingest stage: the source of params.yaml → data/ingested."""

import logging
from pathlib import Path

import pyarrow.compute as pc

from recgan.core.files import replacing
from recgan.data.events import Tables, write_tables
from recgan.data.sources.complete_journey import read_complete_journey
from recgan.data.sources.movielens import read_movielens
from recgan.data.sources.online_retail import read_online_retail
from recgan.data.sources.own_files import read_own_files
from recgan.data.sources.published_split import read_published_split
from recgan.data.sources.shop import simulate_shop
from recgan.settings import (
    CompleteJourneySource,
    IngestParams,
    MovieLensSource,
    OnlineRetailSource,
    OwnFilesSource,
    PublishedSplitSource,
    ShopSource,
    load_params,
)

logger = logging.getLogger(__name__)


def ingest(root: Path = Path()) -> None:
    """Write events, items and users of the source into data/ingested, a row for each raw row.

    Raises:
        RecganError: the source is missing or cannot be read; nothing is written then.
    """
    params = load_params(root / "params.yaml").ingest
    tables = _read(params, root / params.path)
    with replacing(root / "data" / "ingested") as folder:
        folder.mkdir()
        write_tables(tables, folder)
    logger.info("%s: %s", params.source, _describe(tables))


def _read(params: IngestParams, folder: Path) -> Tables:
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


def _describe(tables: Tables) -> str:
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
