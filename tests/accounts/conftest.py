"""Logs of pairs, and the section screen."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import yaml

from recgan.accounts.settings import ScreenParams
from recgan.data.events import EVENTS
from tests.conftest import SHOP

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def params():
    """The section of the shop; name what differs."""

    def make(**changes) -> ScreenParams:
        return ScreenParams.model_validate(yaml.safe_load(SHOP.read_text())["screen"] | changes)

    return make


@pytest.fixture
def events():
    """Make an events table of rows (user, item, day) or (user, item, day, kind, value)."""

    def make(rows) -> pa.Table:
        return pa.Table.from_pylist(
            [
                {
                    "user_id": user,
                    "item_id": item,
                    "event": rest[0] if rest else "view",
                    "timestamp": None if day is None else START + timedelta(days=day),
                    "value": rest[1] if rest else None,
                }
                for user, item, day, *rest in rows
            ],
            EVENTS,
        )

    return make
