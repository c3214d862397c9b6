"""The small shop of the packages' tests with a log: what the histories hold, and products added later."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.data.events import EVENTS, ITEMS
from tests.conftest import screen_out
from tests.package.conftest import ITEMS as N_ITEMS
from tests.package.conftest import TASTES, USERS, shop_features

TRAINED_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
"""As the split identity of the small shop has it."""


def write_kept(folder, new=(), more=()):
    """Write kept tables: everybody's history before the training's end, and purchases after it.

    Args:
        folder: to be made.
        new: (item_id, taste) of products added later, in the items table.
        more: (user_id, item_id, days after the training's end) of purchases.
    """
    features = shop_features()
    rows = [
        (f"user-{user}", f"item-{item}", TRAINED_UNTIL - timedelta(days=1 + place % 9))
        for user in range(USERS)
        for place, item in enumerate(features.train[[user]].indices)
    ]
    rows += [(user, item, TRAINED_UNTIL + timedelta(days=days)) for user, item, days in more]
    user_ids, item_ids, times = zip(*rows, strict=True)
    events = {"user_id": user_ids, "item_id": item_ids, "timestamp": times}
    events |= {"event": ["purchase"] * len(rows), "value": [1.0] * len(rows)}
    described = [(f"item-{item}", item % TASTES) for item in range(N_ITEMS)] + list(new)
    items = {
        "item_id": [item for item, _ in described],
        "title": [f"thing {item}" for item, _ in described],
        "category": [f"taste-{taste}" for _, taste in described],
        "price": [1.0 + place for place in range(len(described))],
    }
    folder.mkdir(parents=True, exist_ok=True)
    screen_out(folder.parents[1])
    for name, table, schema in (("events", events, EVENTS), ("items", items, ITEMS)):
        length = len(table["item_id"])
        columns = [pa.array(table.get(field.name, [None] * length), field.type) for field in schema]
        pq.write_table(pa.table(columns, schema=schema), folder / f"{name}.parquet")
