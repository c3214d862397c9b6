"""What the events of each item in each window add up to."""

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recgan.data.engine import rows_of
from recgan.features.clean import Log
from recgan.features.confidence import Pairs, counts_of, windowed
from recgan.features.settings import FeaturesParams
from recgan.features.split import WINDOWS, Cuts

NAMES = ("events", "view", "purchase", "recent", "price_sum", "prices", "rating_sum", "ratings")

Statistics = dict[str, NDArray[np.float64]]
"""By name: (items, windows) whole numbers. `recent` are the events since the last quarter of the train window
began; sums are of whole parts (data/sums.py)."""


def statistics_of(
    events: ibis.Table,
    pairs: Pairs,
    windows: NDArray[np.int8],
    params: FeaturesParams,
    log: Log,
    cuts: Cuts | None,
) -> Statistics:
    """Sum up events by item and window.

    Where instants cut, the engine does it: an item in a window is a row, and no pair carries what it adds.

    Args:
        events: all events, as `pair_events` takes them.
        pairs: all interactions.
        windows: (pairs,) of each.
        params: the features section.
        log: of the events.
        cuts: of a split in time.
    """
    if cuts is None:
        rows, items, found = pairs.rows, pairs.rows["item"].to_numpy(), windows
    else:
        counted = windowed(events, params, cuts)
        table = rows_of(counted.group_by("item_id", "window").aggregate(**counts_of(counted, log, cuts)))
        items = pc.index_in(table["item_id"], value_set=pa.array(pairs.item_ids, pa.string())).to_numpy()
        rows, found = table, table["window"].to_numpy()
    place, size = items.astype(np.int64) * len(WINDOWS) + found, len(pairs.item_ids) * len(WINDOWS)
    # Whole numbers add up exactly in any order.
    return {
        name: np.bincount(place, weights=rows[name].to_numpy(), minlength=size)
        .astype(np.float64)
        .reshape(-1, len(WINDOWS))
        for name in NAMES
    }
