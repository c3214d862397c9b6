"""Products first sold in a window: what a recommender of known items cannot name, but one of content can."""

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recgan.data.engine import rows_of
from recgan.features.confidence import NO_TIME


def first_events(events: ibis.Table, quarantined: ibis.Table | None) -> pd.Series:
    """Find the instant of each item's first event, whether it counts or not, is kept or not.

    Returns:
        Microseconds UTC by item_id; NO_TIME, before every instant, where an event has no timestamp.
    """
    if quarantined is not None:
        columns = ("item_id", "timestamp")
        events = events.select(*columns).union(
            quarantined.filter(quarantined.item_id.notnull()).select(*columns)
        )
    found = rows_of(
        events.group_by("item_id").aggregate(
            first=events.timestamp.min(), undated=events.timestamp.isnull().any()
        )
    )
    first = found["first"].to_numpy().astype("datetime64[us]").astype(np.int64)
    first[found["undated"].to_numpy()] = NO_TIME
    return pd.Series(first, index=found["item_id"].to_pandas())


def new_items(items: pd.DataFrame, first: pd.Series, sold: NDArray[np.object_], start: int) -> pd.DataFrame:
    """List the products without an event before a window, by what the items table says of them.

    Args:
        items: the items table.
        first: from `first_events`.
        sold: ids of what the window sells first; one that is not in the items table has nulls.
        start: of the window, microseconds UTC. Later windows add nothing: a product that they sell is in the
            list only if the items table has it.
    """
    listed = items.loc[~items["item_id"].isin(first.index[first < start]), "item_id"]
    ids = np.union1d(listed.to_numpy(dtype=object), sold)
    table = pd.DataFrame({"item_id": ids.astype(str)})
    return table.merge(items, on="item_id", how="left", validate="one_to_one")
