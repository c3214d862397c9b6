"""A simulated shop: enough of a real one to try, test and size the whole pipeline without data.

Products live in cells (category x hidden style). A persona is a distribution over cells; a shopper mixes up
to three personas, has a price level and a sensitivity to prices off that level, and comes with one persona in
mind per visit. So taste is clustered, several-sided and not linear in any single quantity; a share of the
views follows sheer popularity, and another returns to products looked at before. Nothing here knows of any
recommender.

About 3 % of the rows are dirty, in the ways that cleaning is meant to catch: visits without a user,
cancellations, prices of zero and below, exact duplicates, and labelled fake accounts that push a few
products.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from recgan.core.sections import Instant, Seed
from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.settings import EVENT_KINDS, Source


class ShopSource(Source):
    """The simulated shop."""

    source: Literal["shop"]
    seed: Seed
    events: Annotated[int, Field(ge=1000)]
    """Rows to simulate, the dirty ones included."""
    days: Annotated[int, Field(ge=7)]
    end: Instant
    """The instant (UTC) at which the simulated log ends."""


_DAY = 86_400_000  # milliseconds, the unit of all times in here
_VIEW, _CART, _PURCHASE, _RATING = (
    EVENT_KINDS.index(kind) for kind in ("view", "cart", "purchase", "rating")
)

# Shares of all rows.
_NULL_USER = 0.008
_CANCELLED = 0.006
_BAD_PRICE = 0.004
_DUPLICATED = 0.006
_FAKE = 0.006

_EVENTS_PER_FAKE = 40
_MOST_OF_ONE_USER = 0.015
"""No shopper has a larger share of the rows: it matters only to logs of a few thousand."""
_TASTES = 3
_POPULARITY_SHARE = 0.15
_RETURN_SHARE = 0.15

_CATEGORIES = (
    "shoes", "shirts", "trousers", "dresses", "jackets", "bags", "watches", "jewellery", "sports", "outdoor",
    "kitchen", "lighting", "furniture", "bedding", "garden", "tools", "toys", "books", "music", "games",
    "phones", "audio", "cameras", "computers", "beauty", "fragrance", "health", "grocery", "coffee", "wine",
    "pets", "baby", "stationery", "art", "travel", "cycling", "swimming", "running", "fishing", "camping",
)  # fmt: skip


@dataclass(frozen=True)
class _Catalogue:
    """Products, sorted by cell and then by arrival; arrays (items,)."""

    category: NDArray[np.int64]
    brand: NDArray[np.int64]  # unique over categories
    price: NDArray[np.float64]
    price_level: NDArray[np.float64]  # log price in standard deviations within its category
    quality: NDArray[np.float64]
    popularity: NDArray[np.float64]
    arrival: NDArray[np.int64]  # ms since the log's start, negative before it
    number: NDArray[np.int64]  # of the outside id: no trace of cell or arrival
    cell: NDArray[np.int64]
    n_cells: int
    n_styles: int


@dataclass(frozen=True)
class _Shoppers:
    """Shoppers; arrays (users,) unless said otherwise."""

    activity: NDArray[np.float64]
    first_day: NDArray[np.int64]
    last_day: NDArray[np.int64]  # exclusive
    personas: NDArray[np.int64]  # (users, tastes)
    taste: NDArray[np.float64]  # (users, tastes), cumulated, the last is 1
    price_level: NDArray[np.float64]
    price_sensitivity: NDArray[np.float64]
    generosity: NDArray[np.float64]


@dataclass(frozen=True)
class _Log:
    """Rows; arrays (rows,)."""

    user: NDArray[np.int64]  # -1 for none
    item: NDArray[np.int64]
    kind: NDArray[np.int8]
    time: NDArray[np.int64]  # ms since the log's start
    value: NDArray[np.float64]  # NaN for none
    price: NDArray[np.float64]  # NaN for none
    session: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> "_Log":
        return _Log(**{name: column[which] for name, column in vars(self).items()})

    def with_columns(self, **columns: NDArray[Any]) -> "_Log":
        return _Log(**{**vars(self), **columns})


def read(params: ShopSource, folder: Path) -> Tables:
    """Simulate the shop; no folder is read."""
    return simulate_shop(params)


def simulate_shop(params: ShopSource) -> Tables:
    """Simulate the shop's log; equal parameters give equal tables.

    Args:
        params: `events` is the exact number of rows; shoppers grow with it (about 60 rows each), products
            more slowly (about 1,000 at 120,000 rows, 28,000 at 10 million).
    """
    rng = np.random.default_rng(params.seed)
    n_users = round((params.events + 8000) / 60)
    n_items = max(40, round(1000 * (params.events / 120_000) ** 0.75))
    catalogue = _make_catalogue(n_items, params.days, rng)
    shoppers = _make_shoppers(n_users, params.days, rng)
    persona_cells = _make_personas(_n_personas(n_users), catalogue, rng)

    n_cancelled, n_duplicated, n_fake = (
        round(share * params.events) for share in (_CANCELLED, _DUPLICATED, _FAKE)
    )
    n_genuine = params.events - n_cancelled - n_duplicated - n_fake
    log = _genuine(n_genuine, params, catalogue, shoppers, persona_cells, rng)
    log = _with_dirt(log, n_cancelled, n_duplicated, n_fake, n_users, params, catalogue, rng)
    return _tables(log, catalogue, n_users, params)


def _n_personas(n_users: int) -> int:
    return int(np.clip(round(n_users**0.5 / 1.5), 8, 200))


def _make_catalogue(n_items: int, days: int, rng: np.random.Generator) -> _Catalogue:
    n_categories = int(np.clip(round(n_items**0.5 / 2.5), 4, len(_CATEGORIES)))
    n_styles = int(np.clip(round(n_items**0.5 / 5), 3, 16))
    brands_per_category = int(np.clip(n_items // n_categories // 8, 2, 30))

    category = rng.choice(n_categories, n_items, p=_shares(n_categories, 0.7))
    # A brand leans towards one style, as brands do.
    brand = category * brands_per_category + rng.choice(
        brands_per_category, n_items, p=_shares(brands_per_category, 0.9)
    )
    brand_style = rng.integers(n_styles, size=n_categories * brands_per_category)
    leans = rng.random(n_items) < 0.6
    style = np.where(leans, brand_style[brand], rng.integers(n_styles, size=n_items))

    brand_level = rng.normal(0, 0.7, n_categories * brands_per_category)
    price_level = 0.7 * brand_level[brand] + rng.normal(0, 0.85, n_items)
    typical = np.exp(rng.normal(3.4, 0.8, n_categories))
    price = np.maximum(np.round(typical[category] * np.exp(0.5 * price_level), 2), 0.5)

    # Most products were there before the log; a quarter arrives during it, a twentieth in its last weeks.
    arrival = -rng.integers(1, 730 * _DAY, size=n_items)
    n_during, n_late = round(0.25 * n_items), max(1, round(0.05 * n_items))
    last_weeks = min(28, days // 3)
    order = rng.permutation(n_items)
    arrival[order[:n_during]] = rng.integers(0, days * _DAY, size=n_during)
    arrival[order[n_during : n_during + n_late]] = rng.integers(
        (days - last_weeks) * _DAY, int((days - last_weeks / 4) * _DAY), size=n_late
    )

    cell = category * n_styles + style
    by_cell = np.lexsort((arrival, cell))
    return _Catalogue(
        category=category[by_cell],
        brand=brand[by_cell],
        price=price[by_cell],
        price_level=price_level[by_cell],
        quality=rng.normal(0, 1, n_items),
        popularity=rng.lognormal(0, 1.2, n_items),
        arrival=arrival[by_cell],
        number=rng.permutation(n_items),
        cell=cell[by_cell],
        n_cells=n_categories * n_styles,
        n_styles=n_styles,
    )


def _make_shoppers(n_users: int, days: int, rng: np.random.Generator) -> _Shoppers:
    # Four in ten shoppers arrive during the log, one in four stays away from some day on.
    first_day = np.where(rng.random(n_users) < 0.6, 0, rng.integers(0, days, n_users))
    leaves = first_day + 1 + np.floor(rng.random(n_users) * (days - first_day)).astype(np.int64)
    last_day = np.where(rng.random(n_users) < 0.25, leaves, days)
    weights = rng.gamma(0.7, 1.0, (n_users, _TASTES)) + 1e-9
    n_personas = _n_personas(n_users)
    return _Shoppers(
        activity=rng.lognormal(0, 0.9, n_users),
        first_day=first_day,
        last_day=last_day,
        personas=rng.choice(n_personas, (n_users, _TASTES), p=_shares(n_personas, 0.5)),
        taste=np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True),
        price_level=rng.normal(0, 0.9, n_users),
        price_sensitivity=rng.gamma(2.0, 0.4, n_users),
        generosity=rng.normal(0, 0.35, n_users),
    )


def _make_personas(n_personas: int, catalogue: _Catalogue, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return cumulated cell weights (personas, cells), offset by the row: row p ends at p + 1."""
    weights = rng.gamma(0.12, 1.0, (n_personas, catalogue.n_cells)) + 1e-9
    home = rng.integers(catalogue.n_styles, size=(n_personas, 1))
    weights *= np.where(np.arange(catalogue.n_cells) % catalogue.n_styles == home, 6.0, 1.0)
    cumulated = np.cumsum(weights, axis=1)
    return cumulated / cumulated[:, -1:] + np.arange(n_personas)[:, None]


def _genuine(
    n_rows: int,
    params: ShopSource,
    catalogue: _Catalogue,
    shoppers: _Shoppers,
    persona_cells: NDArray[np.float64],
    rng: np.random.Generator,
) -> _Log:
    """Simulate visits until there are enough rows, and keep exactly n_rows."""
    most = int(_MOST_OF_ONE_USER * params.events)
    n_sessions = n_rows // 4 + 20  # a visit gives about 4.3 rows
    while True:
        log = _visits(n_sessions, params, catalogue, shoppers, persona_cells, rng)
        log = log.rows(_rank_within(log.user) < most)
        if len(log) >= n_rows:
            break
        n_sessions = n_sessions * 5 // 4
    # Visits are independent draws, so leaving out the last ones does not bend the log in time.
    return log.rows(np.arange(n_rows))


def _visits(
    n_sessions: int,
    params: ShopSource,
    catalogue: _Catalogue,
    shoppers: _Shoppers,
    persona_cells: NDArray[np.float64],
    rng: np.random.Generator,
) -> _Log:
    """Simulate whole visits; rows come in the order of visits, not of time."""
    day_weights = np.concatenate([[0.0], np.cumsum(_day_weights(params))])  # (days + 1,)
    open_weight = day_weights[shoppers.last_day] - day_weights[shoppers.first_day]
    user = _draw(np.cumsum(shoppers.activity * open_weight), n_sessions, rng)  # (sessions,)
    low, high = day_weights[shoppers.first_day[user]], day_weights[shoppers.last_day[user]]
    day = np.searchsorted(day_weights, low + rng.random(n_sessions) * (high - low), side="right") - 1
    day = np.clip(day, shoppers.first_day[user], shoppers.last_day[user] - 1)
    hour = _draw(np.cumsum(_HOUR_WEIGHTS), n_sessions, rng)
    start = day * _DAY + hour * 3_600_000 + rng.integers(0, 3_600_000, n_sessions)
    slot = (rng.random(n_sessions)[:, None] > shoppers.taste[user]).sum(axis=1).clip(max=_TASTES - 1)
    persona = shoppers.personas[user, slot]

    n_views = np.minimum(rng.geometric(0.3, n_sessions), 25)
    session = np.repeat(np.arange(n_sessions), n_views)  # (views,) from here on
    pause = rng.exponential(50_000, len(session)).astype(np.int64) + 2000
    passed = np.cumsum(pause)
    time = start[session] + passed - np.repeat(passed[np.cumsum(n_views) - n_views], n_views)
    user = user[session]
    item = _choose_items(user, persona[session], time, params, catalogue, shoppers, persona_cells, rng)
    item = _returns(user, time, item, rng)

    discount = _discount(item, time, params)
    price = np.round(catalogue.price[item] * (1 - discount), 2)
    off_level = catalogue.price_level[item] - shoppers.price_level[user] - 2 * discount
    wish = 0.7 * catalogue.quality[item] - shoppers.price_sensitivity[user] * np.maximum(off_level, 0)
    carted = rng.random(len(item)) < _logistic(wish - 0.9)
    bought = carted & (rng.random(len(item)) < _logistic(wish + 0.2))
    rated = bought & (rng.random(len(item)) < 0.35)
    stars = 3.7 + 0.6 * catalogue.quality[item] + shoppers.generosity[user] - 0.2 * np.abs(off_level)
    stars = np.clip(np.round(stars + rng.normal(0, 0.6, len(item))), 1, 5)

    missing = np.full(len(item), np.nan)
    carts, purchases, ratings = (np.flatnonzero(mask) for mask in (carted, bought, rated))
    after_cart = time + rng.integers(3000, 40_000, len(item))
    after_purchase = after_cart + rng.integers(30_000, 900_000, len(item))
    after_rating = after_purchase + _DAY + (rng.exponential(6, len(item)) * _DAY).astype(np.int64)
    views = _Log(user, item, np.full(len(item), _VIEW, np.int8), time, missing, price, session)
    log = _concatenate(
        [
            views,
            _follow(views, carts, _CART, after_cart, missing, price),
            _follow(
                views,
                purchases,
                _PURCHASE,
                after_purchase,
                np.minimum(rng.geometric(0.8, len(item)), 9),
                price,
            ),
            # Who rates comes back for it: a visit of its own.
            _follow(views, ratings, _RATING, after_rating, stars, missing).with_columns(
                session=n_sessions + np.arange(len(ratings))
            ),
        ]
    )
    visit = np.concatenate([session, session[carts], session[purchases], session[ratings]])
    inside = np.flatnonzero(log.time < params.days * _DAY)
    return log.rows(inside[np.argsort(visit[inside], kind="stable")])


def _follow(
    views: _Log,
    which: NDArray[np.int64],
    kind: int,
    time: NDArray[np.int64],
    value: NDArray[np.float64] | NDArray[np.int64],
    price: NDArray[np.float64],
) -> _Log:
    """Return the rows of another kind that follow some of the views."""
    return views.rows(which).with_columns(
        kind=np.full(len(which), kind, np.int8),
        time=time[which],
        value=value[which].astype(np.float64),
        price=price[which],
    )


def _choose_items(
    user: NDArray[np.int64],
    persona: NDArray[np.int64],
    time: NDArray[np.int64],
    params: ShopSource,
    catalogue: _Catalogue,
    shoppers: _Shoppers,
    persona_cells: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose a product for each view among those that have arrived: propose by taste, accept by fit."""
    last_cell = catalogue.n_cells - 1
    popularity = np.concatenate([[0.0], np.cumsum(catalogue.popularity)])  # (items + 1,)
    first_of_cell = np.searchsorted(catalogue.cell, np.arange(catalogue.n_cells + 1))
    # Products are sorted by cell and arrival, so the arrived ones of a cell are a run from its first, and a
    # draw by popularity among them is one search in the cumulated popularity.
    horizon = (params.days + 1) * _DAY
    place = catalogue.cell * horizon + np.maximum(catalogue.arrival, 0)
    by_arrival = np.argsort(catalogue.arrival, kind="stable")
    popularity_by_arrival = np.concatenate([[0.0], np.cumsum(catalogue.popularity[by_arrival])])

    item = np.empty(len(user), dtype=np.int64)
    open_rows = np.arange(len(user))
    for attempt in range(4):
        n_open = len(open_rows)
        now = time[open_rows]
        key = persona[open_rows] + rng.random(n_open)
        cell = np.searchsorted(persona_cells.ravel(), key, side="right") - persona[open_rows] * (
            last_cell + 1
        )
        cell = np.clip(cell, 0, last_cell)
        first = first_of_cell[cell]
        arrived = np.searchsorted(place, cell * horizon + now, side="right")
        low, high = popularity[first], popularity[arrived]
        drawn = low + rng.random(n_open) * (high - low)
        proposed = np.clip(np.searchsorted(popularity, drawn, side="right") - 1, first, arrived - 1)
        # Sheer popularity for some, and for cells that are still empty.
        anywhere = np.flatnonzero((rng.random(n_open) < _POPULARITY_SHARE) | (arrived <= first))
        arrived_anywhere = np.searchsorted(catalogue.arrival[by_arrival], now[anywhere], side="right")
        drawn = rng.random(len(anywhere)) * popularity_by_arrival[arrived_anywhere]
        rank = np.searchsorted(popularity_by_arrival, drawn, side="right") - 1
        proposed[anywhere] = by_arrival[np.clip(rank, 0, arrived_anywhere - 1)]
        item[open_rows] = proposed

        # Fit: the price level, freshness and the season of the category. The last proposal stands.
        shopper = user[open_rows]
        off_level = catalogue.price_level[proposed] - shoppers.price_level[shopper]
        fit = np.exp(-0.5 * shoppers.price_sensitivity[shopper] * off_level**2)
        age = (now - catalogue.arrival[proposed]) / _DAY
        fit *= 0.4 + 0.6 * np.exp(-age / 120)
        phase = 2 * np.pi * (now / _DAY / 365 + catalogue.category[proposed] * 0.381966)
        fit *= (1 + 0.35 * np.cos(phase)) / 1.35
        if attempt < 3:
            open_rows = open_rows[rng.random(n_open) > fit]
    return item


def _returns(
    user: NDArray[np.int64], time: NDArray[np.int64], item: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Let some views return to a product that the shopper looked at before."""
    order = np.argsort(user * (time.max() + 1) + time, kind="stable")
    position = np.arange(len(user))
    sorted_user = user[order]
    first = np.maximum.accumulate(np.where(np.diff(sorted_user, prepend=-1) != 0, position, 0))
    source = np.where(
        rng.random(len(user)) < _RETURN_SHARE,
        first + np.floor(rng.random(len(user)) * (position - first)).astype(np.int64),
        position,
    )
    while True:  # a return to a return: follow to the view that chose the product
        further = source[source]
        if np.array_equal(further, source):
            break
        source = further
    chosen = np.empty_like(item)
    chosen[order] = item[order][source]
    return chosen


def _discount(item: NDArray[np.int64], time: NDArray[np.int64], params: ShopSource) -> NDArray[np.float64]:
    """Return the discount of a product at a time: one week in nine, at its own turn."""
    week = time // (7 * _DAY)
    return np.where((week + item * 5) % 9 == 0, 0.2, 0.0)


def _with_dirt(
    log: _Log,
    n_cancelled: int,
    n_duplicated: int,
    n_fake: int,
    n_users: int,
    params: ShopSource,
    catalogue: _Catalogue,
    rng: np.random.Generator,
) -> _Log:
    """Add and spoil rows, and sort all by time."""
    end = params.days * _DAY
    n_sessions = int(log.session.max()) + 1

    anonymous = rng.random(n_sessions) < _NULL_USER
    log = log.with_columns(user=np.where(anonymous[log.session], -1, log.user))

    purchases = rng.choice(np.flatnonzero(log.kind == _PURCHASE), n_cancelled, replace=False)
    cancelled = log.rows(purchases)
    later = cancelled.time + 60_000 + (rng.exponential(3, n_cancelled) * _DAY).astype(np.int64)
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
    kind = rng.choice(np.array([_VIEW, _CART, _PURCHASE, _RATING], np.int8), n_fake, p=[0.5, 0.1, 0.2, 0.2])
    day = first_day[account] + rng.integers(3, size=n_fake)
    fake = _Log(
        user=n_users + account,
        item=item,
        kind=kind,
        time=day * _DAY + rng.integers(0, _DAY, n_fake),
        value=np.select([kind == _PURCHASE, kind == _RATING], [1.0, 5.0], np.nan),
        price=np.where(kind == _RATING, np.nan, catalogue.price[item]),
        session=n_sessions + account * params.days + day,
    )

    priced = rng.choice(
        np.flatnonzero(~np.isnan(log.price)), round(_BAD_PRICE * params.events), replace=False
    )
    price = log.price.copy()
    price[priced] = np.where(rng.random(len(priced)) < 0.8, 0.0, -price[priced])
    log = log.with_columns(price=price)

    log = _concatenate([log, cancelled, fake])
    log = _concatenate([log, log.rows(rng.choice(len(log), n_duplicated, replace=False))])
    return log.rows(np.argsort(log.time, kind="stable"))


def _tables(log: _Log, catalogue: _Catalogue, n_users: int, params: ShopSource) -> Tables:
    end = params.end.replace(tzinfo=UTC) if params.end.tzinfo is None else params.end
    start_ms = round((end - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) - params.days * _DAY
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
            "user_id": _take(user_ids, row_number, missing=row_number < 0),
            "item_id": _take(item_ids, log.item),
            "event": _take(pa.array(EVENT_KINDS), log.kind.astype(np.int64)),
            "timestamp": timestamps,
            "value": pa.array(log.value, mask=np.isnan(log.value)),
            "price": pa.array(log.price, mask=np.isnan(log.price)),
            "session_id": _take(session_ids, session_number[row_session]),
            "split": pa.nulls(len(log), pa.string()),
        },
        schema=EVENTS,
    )

    listed = np.argsort(catalogue.number)
    categories = pa.array(_CATEGORIES)
    brand_names = _ids("brand ", catalogue.brand[listed] + 1, 3)
    category_names = _take(categories, catalogue.category[listed])
    listed_ids = item_ids.take(pa.array(listed))
    items = pa.table(
        {
            "item_id": listed_ids,
            "title": pc.binary_join_element_wise(brand_names, category_names, listed_ids, " "),
            "category": category_names,
            "brand": brand_names,
            "price": pa.array(catalogue.price[listed]),
        },
        schema=ITEMS,
    )
    users = pa.table({"user_id": user_ids, "fake": pa.array(present[by_appearance] >= n_users)}, schema=USERS)
    return Tables(events, items, users)


def _ids(prefix: str, numbers: NDArray[np.int64], width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def _take(values: pa.Array, indices: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    return values.take(pa.array(indices, mask=missing))


def _concatenate(logs: list[_Log]) -> _Log:
    return _Log(**{name: np.concatenate([vars(log)[name] for log in logs]) for name in vars(logs[0])})


def _rank_within(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many earlier rows have the same group."""
    order = np.argsort(group, kind="stable")
    position = np.arange(len(group))
    starts = np.maximum.accumulate(np.where(np.diff(group[order], prepend=-1) != 0, position, 0))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = position - starts
    return rank


def _draw(cumulated: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw positions in proportion to weights given as their cumulated sum."""
    drawn = np.searchsorted(cumulated, rng.random(size) * cumulated[-1], side="right")
    positions: NDArray[np.int64] = np.minimum(drawn, len(cumulated) - 1)
    return positions


def _shares(n: int, exponent: float) -> NDArray[np.float64]:
    """Return Zipf shares of n ranks."""
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def _day_weights(params: ShopSource) -> NDArray[np.float64]:
    """Return how busy each day is: a slow growth, the year's season, a busier weekend."""
    day = np.arange(params.days)
    date = np.datetime64(params.end.replace(tzinfo=None), "D") - params.days + day
    weekday = (date.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
    year_day = (date - date.astype("datetime64[Y]")).astype(np.int64)
    growth = 1 + 0.3 * day / params.days
    season = 1 + 0.2 * np.cos(2 * np.pi * (year_day - 345) / 365)  # busiest before Christmas
    weekly = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.35, 1.3])[weekday]
    weights: NDArray[np.float64] = growth * season * weekly
    return weights


_HOUR_WEIGHTS = np.array(
    [4, 2, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 14, 13, 12, 12, 13, 15, 18, 22, 24, 22, 16, 9], dtype=np.float64
)
