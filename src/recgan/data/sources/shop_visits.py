"""What happens in the simulated shop: visits, what is bought in them, and what this brings about."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.data.settings import EVENT_KINDS
from recgan.data.sources.shop_choice import Seen, Views, World, look
from recgan.data.sources.shop_occasions import Causes, Visits, causes_of, first_visits
from recgan.data.sources.shop_world import DAY, rank_within

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


def genuine(n_rows: int, params: "ShopSource", world: World, rng: np.random.Generator) -> Log:
    """Simulate visits until there are enough rows, and keep exactly n_rows."""
    most = int(MOST_OF_ONE_USER * params.events)
    n_visits = n_rows // 10 + 20  # in half a year a visit and all that it brings about give about 10.5 rows
    while True:
        log = _simulate(first_visits(n_visits, params, world, rng), world, rng)
        log = log.rows(rank_within(log.user) < most)
        if len(log) >= n_rows:
            break
        n_visits = round(1.1 * n_visits * n_rows / len(log))
    # First visits are independent draws, so leaving out the last ones, with all that they brought about, does
    # not bend the log in time.
    return log.rows(np.arange(n_rows))


def _simulate(visits: Visits, world: World, rng: np.random.Generator) -> Log:
    """Simulate visits and all that they bring about; rows come in the order of first visits, not of time."""
    logs, origins, n_sessions = [], [], 0
    origin = np.arange(len(visits.user))  # the first visit that each visit goes back to
    seen: Seen | None = Seen.nothing()
    while len(visits.user):
        views = look(visits.user, visits.start, visits.persona, visits.opening, world, rng, seen)
        log, visit, bought = funnel(visits, views, world, rng)
        logs.append(log.with_columns(session=log.session + n_sessions))
        origins.append(origin[visit])
        n_sessions += len(visits.user) + len(bought.item)  # some rate, in visits of their own
        sorts = [(causes, follow(causes, world, rng)) for follow, causes in causes_of(visits, views, bought)]
        parent = np.concatenate([causes.visit[follow.cause] for causes, follow in sorts])
        visits = Visits(
            **{name: np.concatenate([vars(follow)[name] for _, follow in sorts]) for name in vars(visits)}
        )
        origin, seen = origin[parent], None
    order = np.argsort(np.concatenate(origins), kind="stable")
    return concatenate(logs).rows(order)


def funnel(
    visits: Visits, views: Views, world: World, rng: np.random.Generator
) -> tuple[Log, NDArray[np.int64], Causes]:
    """Let views lead to carts, purchases and ratings.

    Returns:
        The rows within the period, with sessions counted from 0; the visit of each row; the purchases.
    """
    catalogue, shoppers = world.catalogue, world.shoppers
    user, item, time, visit = views.user, views.item, views.time, views.visit
    discount = _discount(item, time)
    price = np.round(catalogue.price[item] * (1 - discount), 2)
    off_level = catalogue.price_level[item] - shoppers.price_level[user] - 2 * discount
    wish = 0.7 * catalogue.quality[item] - shoppers.price_sensitivity[user] * np.maximum(off_level, 0)
    wish += np.where(views.step == 0, visits.wish[visit], 0)
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
