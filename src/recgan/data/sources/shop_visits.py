"""What happens in the simulated shop: visits, what is bought in them, and what this brings about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.data.settings import EVENT_KINDS
from recgan.data.sources.shop_choice import Seen, Views, World, look
from recgan.data.sources.shop_occasions import Causes, Sort, Visits, causes_of, first_visits, together
from recgan.data.sources.shop_world import DAY, Catalogue, rank_within

if TYPE_CHECKING:
    from recgan.data.sources.shop import ShopSource


VIEW, CART, PURCHASE, RATING = (EVENT_KINDS.index(kind) for kind in ("view", "cart", "purchase", "rating"))


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


@dataclass(frozen=True)
class Generation:
    """Visits, what is looked at and bought in them, and what they bring about."""

    visits: Visits
    views: Views
    origin: NDArray[np.int64]  # (visits,) the first visit that each goes back to
    log: Log  # sessions are counted from 0
    log_origin: NDArray[np.int64]  # (rows of log,)
    sorts: list[tuple[Sort, Causes, Visits]]


def genuine(
    n_rows: int,
    params: "ShopSource",
    world: World,
    rng: np.random.Generator,
    watched: list[Generation] | None = None,
) -> tuple[Log, int]:
    """Simulate visits until there are enough rows, and keep exactly n_rows.

    Args:
        n_rows: the rows to keep.
        params: of the simulation.
        world: where it happens.
        rng: where all chance comes from.
        watched: receives all generations, first visits first.

    Returns:
        The rows, and how many first visits they begin with.
    """
    most = int(MOST_OF_ONE_USER * params.events)
    n_visits = n_rows // 10 + 20  # in half a year a visit and all that it brings about give about 10.5 rows
    while True:
        logs, origins, n_sessions = [], [], 0
        if watched is not None:
            watched.clear()
        visits = first_visits(n_visits, params, world, rng)
        for one in generations(visits, Seen.nothing(), world, rng):
            logs.append(one.log.with_columns(session=one.log.session + n_sessions))
            origins.append(one.log_origin)
            n_sessions += int(one.log.session.max(initial=-1)) + 1
            if watched is not None:
                watched.append(one)
        origin = np.concatenate(origins)
        order = np.argsort(origin, kind="stable")
        log = concatenate(logs).rows(order)
        within = np.flatnonzero(rank_within(log.user) < most)
        if len(within) >= n_rows:
            break
        n_visits = round(1.1 * n_visits * n_rows / len(within))
    # First visits are independent draws, so leaving out the last ones, with all that they brought about, does
    # not bend the log in time.
    kept = within[:n_rows]
    return log.rows(kept), int(origin[order[kept[-1]]]) + 1


def generations(
    visits: Visits, seen: Seen | None, world: World, rng: np.random.Generator
) -> Iterator[Generation]:
    """Simulate visits, then those that they bring about, and so on to the end of the period.

    Args:
        visits: that begin it.
        seen: what shoppers return to in these, None where they do not.
        world: where it happens.
        rng: where all chance comes from.
    """
    origin = np.arange(len(visits.user))
    while len(visits.user):
        views = look(visits.user, visits.start, visits.persona, visits.opening, world, rng, seen)
        log, visit, bought = funnel(visits, views, world, rng)
        sorts = [
            (draw, causes, draw(causes, world, rng)) for draw, causes in causes_of(visits, views, bought)
        ]
        yield Generation(visits, views, origin, log, origin[visit], sorts)
        parent = np.concatenate([causes.visit[brought.cause] for _, causes, brought in sorts])
        visits, origin, seen = together([brought for _, _, brought in sorts]), origin[parent], None


def funnel(
    visits: Visits, views: Views, world: World, rng: np.random.Generator
) -> tuple[Log, NDArray[np.int64], Causes]:
    """Let views lead to carts, purchases and ratings.

    Returns:
        The rows within the period, with sessions counted from 0; the visit of each row; the purchases.
    """
    catalogue, shoppers = world.catalogue, world.shoppers
    user, item, time, visit = views.user, views.item, views.time, views.visit
    price = discounted(catalogue, item, time)
    off_level = off_level_of(world, user, item, time)
    wish = wish_of(world, user, item, time)
    wish += np.where(views.step == 0, visits.wish[visit], 0)
    carted = rng.random(len(item)) < cart_share(wish)
    bought = carted & (rng.random(len(item)) < bought_share(wish))
    rated = bought & (rng.random(len(item)) < 0.35)
    stars = 3.7 + 0.6 * catalogue.quality[item] + shoppers.generosity[user] - 0.2 * np.abs(off_level)
    stars = np.clip(np.round(stars + rng.normal(0, 0.6, len(item))), 1, 5)

    missing = np.full(len(item), np.nan)
    carts, purchases, ratings = (np.flatnonzero(mask) for mask in (carted, bought, rated))
    after_cart = time + rng.integers(3000, 40_000, len(item))
    after_purchase = after_cart + rng.integers(30_000, 900_000, len(item))
    after_rating = after_purchase + DAY + (rng.exponential(6, len(item)) * DAY).astype(np.int64)
    amount = np.minimum(rng.geometric(0.8, len(item)), 9)
    viewed = Log(user, item, np.full(len(item), VIEW, np.int8), time, missing, price, visit)
    log = concatenate(
        [
            viewed,
            _follow(viewed, carts, CART, after_cart, missing, price),
            _follow(viewed, purchases, PURCHASE, after_purchase, amount, price),
            # Who rates comes back for it: a visit of its own.
            _follow(viewed, ratings, RATING, after_rating, stars, missing).with_columns(
                session=len(visits.user) + np.arange(len(ratings))
            ),
        ]
    )
    row_visit = np.concatenate([visit, visit[carts], visit[purchases], visit[ratings]])
    inside = log.time < world.days * DAY
    return (
        log.rows(inside),
        row_visit[inside],
        Causes(
            visit[purchases],
            user[purchases],
            visits.persona[visit[purchases]],
            item[purchases],
            after_purchase[purchases],
        ),
    )


def off_level_of(
    world: World, user: NDArray[np.int64], item: NDArray[np.int64], time: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return by how much products are dearer than shoppers like, in standard deviations of the log price."""
    levels = world.catalogue.price_level[item] - world.shoppers.price_level[user]
    off_level: NDArray[np.float64] = levels - 2 * _discount(item, time)
    return off_level


def wish_of(
    world: World, user: NDArray[np.int64], item: NDArray[np.int64], time: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how much shoppers want to have products that they look at."""
    dearer = np.maximum(off_level_of(world, user, item, time), 0)
    wish: NDArray[np.float64] = (
        0.7 * world.catalogue.quality[item] - world.shoppers.price_sensitivity[user] * dearer
    )
    return wish


def cart_share(wish: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of views with that wish that lead to a cart."""
    return _logistic(wish - 0.9)


def bought_share(wish: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of carts with that wish that are bought."""
    return _logistic(wish + 0.2)


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


def discounted(catalogue: Catalogue, item: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the price of a product at a time."""
    return np.round(catalogue.price[item] * (1 - _discount(item, time)), 2)


def _discount(item: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
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


MOST_OF_ONE_USER = 0.015
"""No shopper has a larger share of the rows: it matters only to logs of a few thousand."""
