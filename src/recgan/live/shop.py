"""The shop of `recgan live`: its world, the log that it has anyway, and who comes to its lists each day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from recgan.data.events import Tables
from recgan.data.sources.shop import ShopSource, simulate_with_hidden
from recgan.data.sources.shop_choice import World
from recgan.data.sources.shop_fakes import Fakes
from recgan.data.sources.shop_occasions import begin
from recgan.data.sources.shop_world import draw_from

HISTORY_DAYS = 120
"""Of the log before the first day."""
EVENTS_A_DAY = 400
"""Of the log that there is anyway, over all its days."""
REQUESTS_A_DAY = 200
PLACES = 10
"""Of a list."""
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

COLUMNS = ["user_id", "item_id", "event", "timestamp", "value", "price"]
ITEM_COLUMNS = ["item_id", "title", "category", "brand", "price"]


@dataclass(frozen=True)
class Visits:
    """Visits to a list; arrays (requests,), in the order of time."""

    user: NDArray[np.int64]
    time: NDArray[np.int64]
    """ms since the log's start."""


@dataclass(frozen=True)
class Shop:
    """A shop that goes on after its log; shoppers and products are numbered as the simulation does."""

    world: World
    user_ids: list[str]
    item_ids: list[str]
    tables: Tables
    seed: int
    days: int
    """That it goes on."""
    number: dict[str, int]
    """Of each shopper id."""
    position: dict[str, int]
    """Number of each product id."""

    @property
    def start(self) -> datetime:
        """When the log begins."""
        return FIRST_DAY - timedelta(days=HISTORY_DAYS)

    def instant(self, time: int) -> datetime:
        """Return the instant of a time in ms since the log's start."""
        return self.start + timedelta(milliseconds=int(time))

    def instant_of_day(self, day: int) -> datetime:
        """Return when a day begins; 0 is the first one on which the server answers."""
        return FIRST_DAY + timedelta(days=day)

    def write_items(self, path: Path) -> None:
        """Write the products as CSV."""
        pa_csv.write_csv(self.tables.items.select(ITEM_COLUMNS), path)

    def own_log(self, first: int, end: int) -> pa.Table:
        """Return what shoppers did without any list, of days from `first` up to `end`, exclusive.

        Args:
            first: a day, 0 the first one on which the server answers; -HISTORY_DAYS the log's first.
            end: a day.
        """
        events = self.tables.events.select(COLUMNS)
        since, until = (
            pa.scalar(FIRST_DAY + timedelta(days=day), pa.timestamp("us", tz="UTC")) for day in (first, end)
        )
        time = events["timestamp"]
        return events.filter(pc.and_(pc.greater_equal(time, since), pc.less(time, until)))

    def visits(self, day: int) -> Visits:
        """Draw who comes to a list on a day; whatever was shown before changes nothing.

        A shopper comes as often as the own visits to the shop are. Who has never come before may come too.
        """
        rng = np.random.default_rng([self.seed, 1, day])
        shoppers, today = self.world.shoppers, HISTORY_DAYS + day
        here = (shoppers.first_day <= today) & (today < shoppers.last_day)
        user = draw_from(np.cumsum(shoppers.activity * here), REQUESTS_A_DAY, rng)
        time = begin(user, np.full(len(user), today), self.world, rng).start
        order = np.argsort(time, kind="stable")
        return Visits(user[order], time[order])

    def draws(self, day: int) -> np.random.Generator:
        """Return where the chance of a day's lists comes from."""
        return np.random.default_rng([self.seed, 2, day])


def open_shop(seed: int, days: int) -> Shop:
    """Make the shop, with the log of all its days: those to come happen whatever is shown."""
    whole = HISTORY_DAYS + days
    tables, hidden = simulate_with_hidden(
        ShopSource(
            source="shop",
            path=Path("raw"),
            seed=seed,
            events=EVENTS_A_DAY * whole,
            days=whole,
            end=FIRST_DAY + timedelta(days=days),
            feedback=None,
            pictures=None,
            fakes=Fakes(share=0, styles=("push",), labelled=0),
        )
    )
    # Who never comes without a list has no number of the log's; who comes to one gets an id all the same.
    user_ids = [user_id or f"v{number:06d}" for number, user_id in enumerate(hidden.user_ids)]
    item_ids = [str(item_id) for item_id in hidden.item_ids]
    position = {item_id: place for place, item_id in enumerate(item_ids)}
    number = {user_id: place for place, user_id in enumerate(user_ids)}
    return Shop(hidden.world, user_ids, item_ids, tables, seed, days, number, position)
