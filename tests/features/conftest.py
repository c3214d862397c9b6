"""Logs built in memory, and the parameters that a test changes one at a time."""

from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recgan.data.events import EVENTS
from recgan.features.build import build_features
from recgan.features.settings import FeaturesParams

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def params():
    """Parameters that leave nothing out; name what differs."""

    def make(**changes) -> FeaturesParams:
        plain = {
            "weights": {"view": 1, "cart": 2, "purchase": 4, "rating": 3},
            "binary": False,
            "min_rating": None,
            "half_life_days": None,
            "min_user_items": 1,
            "min_item_users": 1,
            "repeat_purchases": False,
            "split": {"kind": "time", "validation_days": 2, "test_days": 2},
        }
        return FeaturesParams.model_validate(plain | changes)

    return make


@pytest.fixture
def log():
    """Make an events table of rows (user, item, kind, day), with more columns by name."""

    def make(rows, **columns) -> pa.Table:
        n = len(rows)
        users, items, kinds, days = zip(*rows, strict=True) if rows else ((), (), (), ())
        frame = {
            "user_id": users,
            "item_id": items,
            "event": kinds,
            "timestamp": [None if day is None else START + timedelta(days=day) for day in days],
            **{name: columns.get(name, [None] * n) for name in ("value", "price", "session_id", "split")},
        }
        return pa.table({name: pa.array(frame[name], EVENTS.field(name).type) for name in EVENTS.names})

    return make


@pytest.fixture
def random_log(log):
    """Make a log of random events over twelve days, its popular items met again and again."""

    def make(seed, events=800, users=40, items=30) -> pa.Table:
        rng = np.random.default_rng(seed)
        kinds = rng.choice(["view", "cart", "purchase", "rating"], events, p=[0.5, 0.1, 0.2, 0.2])
        item = np.minimum(rng.geometric(2.5 / items, events) - 1, items - 1)
        day = rng.uniform(0, 12, events)
        rows = [
            # Some users and items come late: new in validation or test.
            (f"u{u}", f"i{i}", kind, min(12.0, d + (u % 5 == 0) * 9 + (i % 7 == 6) * 9))
            for u, i, kind, d in zip(rng.integers(users, size=events), item, kinds, day, strict=True)
        ]
        value = [float(rng.integers(1, 6)) if kind == "rating" else None for kind in kinds]
        price = [float(rng.integers(100, 999)) / 100 if kind == "purchase" else None for kind in kinds]
        split = rng.choice(["train", "test"], events, p=[0.8, 0.2])
        return log(rows, value=value, price=price, split=split)

    return make


@pytest.fixture
def no_items():
    return pd.DataFrame(
        {name: pd.Series(dtype=str) for name in ("item_id", "title", "category", "brand")}
        | {"price": pd.Series(dtype=float)}
    )


@pytest.fixture
def build(no_items):
    """Build features from an Arrow table of events."""

    def run(events, params, items=no_items):
        return build_features(ibis.memtable(events), items, params)

    return run


@pytest.fixture
def cells():
    """Turn a matrix into {(user, item): value}, in ids."""

    def read(matrix, user_ids, items) -> dict[tuple[str, str], float]:
        coo = matrix.tocoo()
        names = items["item_id"].to_numpy()
        return {
            (str(user_ids[row]), str(names[column])): float(value)
            for row, column, value in zip(coo.row, coo.col, coo.data, strict=True)
        }

    return read
