"""A simulated shop: enough of a real one to try, test and size the whole pipeline without data.

Products live in cells (category x hidden style). A persona is a distribution over cells. A shopper mixes up
to three personas, one of which is foremost for some weeks, and comes with one of them per visit. Each shopper
has a price level and a sensitivity to prices off that level. So taste is clustered, several-sided and not
linear in any single quantity. A share of the views follows sheer popularity, and another returns to products
that were viewed before. Nothing here knows of any recommender.

Order matters. Within a visit most views stay in the cell of the one before, or follow the products that its
page shows. A visit may go on in the next days where it ended. A purchase may bring the shopper back: in the
next days for an accessory, or when the product is used up. Some launches are hits that fade, more are flops,
and nothing in a product's content tells which.

About 3 % of the rows are faulty in ways that cleaning is meant to catch. There are visits without a user,
cancellations, prices of zero and below, exact duplicates, and labelled fake accounts that push a few
products.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from recgan.core.sections import Instant, Seed
from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.settings import EVENT_KINDS, Source
from recgan.data.sources.shop_choice import World
from recgan.data.sources.shop_names import named
from recgan.data.sources.shop_pictures import pictured
from recgan.data.sources.shop_visits import (
    CART,
    PURCHASE,
    RATING,
    VIEW,
    Generation,
    Log,
    concatenate,
    genuine,
    take,
)
from recgan.data.sources.shop_world import (
    CATEGORIES,
    DAY,
    Catalogue,
    make_catalogue,
    make_personas,
    make_shoppers,
    number_of_personas,
)


class ShopSource(Source):
    """The simulated shop."""

    source: Literal["shop"]
    seed: Seed
    events: Annotated[int, Field(ge=1000)]
    """Rows to simulate, the dirty ones included."""
    days: Annotated[int, Field(ge=7)]
    end: Instant
    """The instant (UTC) at which the simulated log ends."""


# Shares of all rows.
_NULL_USER = 0.008


_CANCELLED = 0.006


_BAD_PRICE = 0.004


_DUPLICATED = 0.006


_FAKE = 0.006


_EVENTS_PER_FAKE = 40


def read(params: ShopSource, folder: Path) -> Tables:
    """Simulate the shop; no folder is read."""
    return simulate_shop(params)


@dataclass(frozen=True)
class Hidden:
    """What the tables do not tell; shoppers and products are numbered as the simulation does."""

    world: World
    generations: list[Generation]
    """All visits; those of the first `first_visits`, and what they brought about, are in the log."""
    first_visits: int
    user_ids: NDArray[np.object_]
    """(users,) "" for who never came."""
    item_ids: NDArray[np.object_]
    """(items,)."""


def simulate_shop(params: ShopSource) -> Tables:
    """Simulate the shop's log; equal parameters give equal tables.

    Args:
        params: `events` is the exact number of rows; shoppers grow with it (about 60 rows each), products
            more slowly (about 1,000 at 120,000 rows, 28,000 at 10 million).
    """
    return _simulate(params, None)[0]


def simulate_with_hidden(params: ShopSource) -> tuple[Tables, Hidden]:
    """Simulate the same log, and keep what the tables do not tell: for measuring what can be known at all."""
    generations: list[Generation] = []
    tables, world, first_visits, users = _simulate(params, generations)
    user_ids = np.full(len(world.shoppers.activity), "", dtype=object)
    genuine_users = users < len(user_ids)
    user_ids[users[genuine_users]] = tables.users["user_id"].to_numpy(zero_copy_only=False)[genuine_users]
    item_ids = tables.items["item_id"].to_numpy(zero_copy_only=False)[world.catalogue.number]
    return tables, Hidden(world, generations, first_visits, user_ids, item_ids)


def _simulate(
    params: ShopSource, watched: list[Generation] | None
) -> tuple[Tables, World, int, NDArray[np.int64]]:
    """Return the tables, the world, how many first visits are in them, and the number of each user."""
    rng = np.random.default_rng(params.seed)
    n_users = round((params.events + 8000) / 60)
    n_items = max(40, round(1000 * (params.events / 120_000) ** 0.75))
    catalogue = make_catalogue(n_items, params.days, rng)
    shoppers = make_shoppers(n_users, params.days, rng)
    persona_cells = make_personas(number_of_personas(n_users), catalogue, rng)
    world = World(catalogue, shoppers, persona_cells, params.days)

    n_cancelled, n_duplicated, n_fake = (
        round(share * params.events) for share in (_CANCELLED, _DUPLICATED, _FAKE)
    )
    n_genuine = params.events - n_cancelled - n_duplicated - n_fake
    log, n_first_visits = genuine(n_genuine, params, world, rng, watched)
    log = _with_dirt(log, n_cancelled, n_duplicated, n_fake, n_users, params, catalogue, rng)
    tables, users = _tables(log, catalogue, n_users, params)
    return tables, world, n_first_visits, users


def _with_dirt(
    log: Log,
    n_cancelled: int,
    n_duplicated: int,
    n_fake: int,
    n_users: int,
    params: ShopSource,
    catalogue: Catalogue,
    rng: np.random.Generator,
) -> Log:
    """Add and spoil rows, and sort all by time."""
    end = params.days * DAY
    n_sessions = int(log.session.max()) + 1

    anonymous = rng.random(n_sessions) < _NULL_USER
    log = log.with_columns(user=np.where(anonymous[log.session], -1, log.user))

    purchases = rng.choice(np.flatnonzero(log.kind == PURCHASE), n_cancelled, replace=False)
    cancelled = log.rows(purchases)
    later = cancelled.time + 60_000 + (rng.exponential(3, n_cancelled) * DAY).astype(np.int64)
    sooner = cancelled.time + (rng.random(n_cancelled) * (end - cancelled.time)).astype(np.int64)
    cancelled = cancelled.with_columns(time=np.where(later < end, later, sooner), value=-cancelled.value)

    # Each fake account pushes three unpopular products within three days, one visit a day.
    n_accounts = max(1, round(n_fake / _EVENTS_PER_FAKE))
    there = np.flatnonzero(catalogue.arrival < 0)
    unpopular = there[np.argsort(catalogue.popularity[there])][: max(3, len(there) // 2)]
    targets = rng.choice(unpopular, (n_accounts, 3))
    first_day = rng.integers(0, max(1, params.days - 3), n_accounts)
    account = np.arange(n_fake) % n_accounts
    item = targets[account, rng.integers(3, size=n_fake)]
    kind = rng.choice(np.array([VIEW, CART, PURCHASE, RATING], np.int8), n_fake, p=[0.5, 0.1, 0.2, 0.2])
    day = first_day[account] + rng.integers(3, size=n_fake)
    fake = Log(
        user=n_users + account,
        item=item,
        kind=kind,
        time=day * DAY + rng.integers(0, DAY, n_fake),
        value=np.select([kind == PURCHASE, kind == RATING], [1.0, 5.0], np.nan),
        price=np.where(kind == RATING, np.nan, catalogue.price[item]),
        session=n_sessions + account * params.days + day,
    )

    priced = rng.choice(
        np.flatnonzero(~np.isnan(log.price)), round(_BAD_PRICE * params.events), replace=False
    )
    price = log.price.copy()
    price[priced] = np.where(rng.random(len(priced)) < 0.8, 0.0, -price[priced])
    log = log.with_columns(price=price)

    log = concatenate([log, cancelled, fake])
    log = concatenate([log, log.rows(rng.choice(len(log), n_duplicated, replace=False))])
    return log.rows(np.argsort(log.time, kind="stable"))


def _tables(
    log: Log, catalogue: Catalogue, n_users: int, params: ShopSource
) -> tuple[Tables, NDArray[np.int64]]:
    end = params.end.replace(tzinfo=UTC) if params.end.tzinfo is None else params.end
    start_ms = round((end - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) - params.days * DAY
    timestamps = pa.array((start_ms + log.time) * 1000).cast(pa.timestamp("us", tz="UTC"))

    # Numbers of shoppers and visits are dense and in the order of appearance, as a shop would count them.
    present, first_row, row_user = np.unique(log.user, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first_row, kind="stable")
    by_appearance = by_appearance[present[by_appearance] >= 0]
    number = np.full(len(present), -1)
    number[by_appearance] = np.arange(len(by_appearance))
    row_number = number[row_user]
    user_ids = _ids("u", np.arange(1, len(by_appearance) + 1), 6)
    _, first_row, row_session = np.unique(log.session, return_index=True, return_inverse=True)
    session_number = np.empty(len(first_row), dtype=np.int64)
    session_number[np.argsort(first_row, kind="stable")] = np.arange(len(first_row))
    session_ids = _ids("s", np.arange(1, len(first_row) + 1), 8)
    item_ids = _ids("i", catalogue.number + 1, 5)

    events = pa.table(
        {
            "user_id": take(user_ids, row_number, missing=row_number < 0),
            "item_id": take(item_ids, log.item),
            "event": take(pa.array(EVENT_KINDS), log.kind.astype(np.int64)),
            "timestamp": timestamps,
            "value": pa.array(log.value, mask=np.isnan(log.value)),
            "price": pa.array(log.price, mask=np.isnan(log.price)),
            "session_id": take(session_ids, session_number[row_session]),
            "split": pa.nulls(len(log), pa.string()),
        },
        schema=EVENTS,
    )

    brands, titles = named(catalogue, params.seed)
    items = pa.table(
        {
            "item_id": item_ids,
            "title": titles,
            "category": take(pa.array(CATEGORIES), catalogue.category),
            "brand": brands,
            "price": pa.array(catalogue.price),
            "image_url": pictured(catalogue),
        },
        schema=ITEMS,
    ).take(pa.array(np.argsort(catalogue.number)))
    users = pa.table({"user_id": user_ids, "fake": pa.array(present[by_appearance] >= n_users)}, schema=USERS)
    return Tables(events, items, users), present[by_appearance]


def _ids(prefix: str, numbers: NDArray[np.int64], width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")
