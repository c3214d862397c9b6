"""What happens in the simulated shop: visits, what is chosen in them, and returns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.data.settings import EVENT_KINDS
from recgan.data.sources.shop_world import (
    DAY,
    POPULARITY_SHARE,
    TASTES,
    Catalogue,
    Shoppers,
    draw_from,
    rank_within,
)

if TYPE_CHECKING:
    from recgan.data.sources.shop import ShopSource


VIEW, CART, PURCHASE, RATING = (EVENT_KINDS.index(kind) for kind in ("view", "cart", "purchase", "rating"))


_RETURN_SHARE = 0.15


@dataclass(frozen=True)
class Log:
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

    def rows(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> "Log":
        """Return some of the rows."""
        return Log(**{name: column[which] for name, column in vars(self).items()})

    def with_columns(self, **columns: NDArray[Any]) -> "Log":
        """Return the same rows with some columns replaced."""
        return Log(**{**vars(self), **columns})


def genuine(
    n_rows: int,
    params: "ShopSource",
    catalogue: Catalogue,
    shoppers: Shoppers,
    persona_cells: NDArray[np.float64],
    rng: np.random.Generator,
) -> Log:
    """Simulate visits until there are enough rows, and keep exactly n_rows."""
    most = int(MOST_OF_ONE_USER * params.events)
    n_sessions = n_rows // 4 + 20  # a visit gives about 4.3 rows
    while True:
        log = _visits(n_sessions, params, catalogue, shoppers, persona_cells, rng)
        log = log.rows(rank_within(log.user) < most)
        if len(log) >= n_rows:
            break
        n_sessions = n_sessions * 5 // 4
    # Visits are independent draws, so leaving out the last ones does not bend the log in time.
    return log.rows(np.arange(n_rows))


def _visits(
    n_sessions: int,
    params: "ShopSource",
    catalogue: Catalogue,
    shoppers: Shoppers,
    persona_cells: NDArray[np.float64],
    rng: np.random.Generator,
) -> Log:
    """Simulate whole visits; rows come in the order of visits, not of time."""
    day_weights = np.concatenate([[0.0], np.cumsum(_day_weights(params))])  # (days + 1,)
    open_weight = day_weights[shoppers.last_day] - day_weights[shoppers.first_day]
    user = draw_from(np.cumsum(shoppers.activity * open_weight), n_sessions, rng)  # (sessions,)
    low, high = day_weights[shoppers.first_day[user]], day_weights[shoppers.last_day[user]]
    day = np.searchsorted(day_weights, low + rng.random(n_sessions) * (high - low), side="right") - 1
    day = np.clip(day, shoppers.first_day[user], shoppers.last_day[user] - 1)
    hour = draw_from(np.cumsum(_HOUR_WEIGHTS), n_sessions, rng)
    start = day * DAY + hour * 3_600_000 + rng.integers(0, 3_600_000, n_sessions)
    slot = (rng.random(n_sessions)[:, None] > shoppers.taste[user]).sum(axis=1).clip(max=TASTES - 1)
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
    after_rating = after_purchase + DAY + (rng.exponential(6, len(item)) * DAY).astype(np.int64)
    views = Log(user, item, np.full(len(item), VIEW, np.int8), time, missing, price, session)
    log = concatenate(
        [
            views,
            _follow(views, carts, CART, after_cart, missing, price),
            _follow(
                views,
                purchases,
                PURCHASE,
                after_purchase,
                np.minimum(rng.geometric(0.8, len(item)), 9),
                price,
            ),
            # Who rates comes back for it: a visit of its own.
            _follow(views, ratings, RATING, after_rating, stars, missing).with_columns(
                session=n_sessions + np.arange(len(ratings))
            ),
        ]
    )
    visit = np.concatenate([session, session[carts], session[purchases], session[ratings]])
    inside = np.flatnonzero(log.time < params.days * DAY)
    return log.rows(inside[np.argsort(visit[inside], kind="stable")])


def _follow(
    views: Log,
    which: NDArray[np.int64],
    kind: int,
    time: NDArray[np.int64],
    value: NDArray[np.float64] | NDArray[np.int64],
    price: NDArray[np.float64],
) -> Log:
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
    params: "ShopSource",
    catalogue: Catalogue,
    shoppers: Shoppers,
    persona_cells: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose a product for each view among those that have arrived: propose by taste, accept by fit."""
    last_cell = catalogue.n_cells - 1
    popularity = np.concatenate([[0.0], np.cumsum(catalogue.popularity)])  # (items + 1,)
    first_of_cell = np.searchsorted(catalogue.cell, np.arange(catalogue.n_cells + 1))
    # Products are sorted by cell and arrival, so the arrived ones of a cell are a run from its first, and a
    # draw by popularity among them is one search in the cumulated popularity.
    horizon = (params.days + 1) * DAY
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
        anywhere = np.flatnonzero((rng.random(n_open) < POPULARITY_SHARE) | (arrived <= first))
        arrived_anywhere = np.searchsorted(catalogue.arrival[by_arrival], now[anywhere], side="right")
        drawn = rng.random(len(anywhere)) * popularity_by_arrival[arrived_anywhere]
        rank = np.searchsorted(popularity_by_arrival, drawn, side="right") - 1
        proposed[anywhere] = by_arrival[np.clip(rank, 0, arrived_anywhere - 1)]
        item[open_rows] = proposed

        # Fit: the price level, freshness and the season of the category. The last proposal stands.
        shopper = user[open_rows]
        off_level = catalogue.price_level[proposed] - shoppers.price_level[shopper]
        fit = np.exp(-0.5 * shoppers.price_sensitivity[shopper] * off_level**2)
        age = (now - catalogue.arrival[proposed]) / DAY
        fit *= 0.4 + 0.6 * np.exp(-age / 120)
        phase = 2 * np.pi * (now / DAY / 365 + catalogue.category[proposed] * 0.381966)
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


def _discount(item: NDArray[np.int64], time: NDArray[np.int64], params: "ShopSource") -> NDArray[np.float64]:
    """Return the discount of a product at a time: one week in nine, at its own turn."""
    week = time // (7 * DAY)
    return np.where((week + item * 5) % 9 == 0, 0.2, 0.0)


def take(values: pa.Array, indices: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return the values at some places, null where they are missing."""
    return values.take(pa.array(indices, mask=missing))


def concatenate(logs: list[Log]) -> Log:
    """Return the rows of several logs, one after the other."""
    return Log(**{name: np.concatenate([vars(log)[name] for log in logs]) for name in vars(logs[0])})


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def _day_weights(params: "ShopSource") -> NDArray[np.float64]:
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


MOST_OF_ONE_USER = 0.015
"""No shopper has a larger share of the rows: it matters only to logs of a few thousand."""
