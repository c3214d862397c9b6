"""What brings shoppers to the simulated shop: visits of themselves, and those that visits bring about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recgan.data.sources.shop_choice import Views, World
from recgan.data.sources.shop_world import (
    DAY,
    INTEREST_DAYS,
    N_ACCESSORIES,
    N_RELATED,
    draw_from,
    draw_taste,
)

if TYPE_CHECKING:
    from recgan.data.sources.shop import ShopSource


INTEREST_SHARE = 0.8
"""Of the visits that begin of themselves, those that follow the taste that is foremost."""


_GOING_ON_SHARE = 0.3
"""Of all visits, those that another one goes on with."""


# Of the purchases of a product with accessories, and of one that is used up.
_ACCESSORY_SHARE = 0.5
_REFILL_SHARE = 0.65


_SAME_REFILL_SHARE = 0.6
"""The others take one that the page of the product shows."""


@dataclass(frozen=True)
class Visits:
    """Visits that begin; arrays (visits,)."""

    user: NDArray[np.int64]
    start: NDArray[np.int64]  # ms since the log's start
    persona: NDArray[np.int64]
    opening: NDArray[np.int64]  # the product that the visit is for, -1 for none
    wish: NDArray[np.float64]  # how much more than usual that product is wanted
    cause: NDArray[np.int64]  # position of what brought it about, -1 for nothing


@dataclass(frozen=True)
class Causes:
    """What may bring about a further visit: ends of visits, or purchases; arrays (causes,)."""

    visit: NDArray[np.int64]
    user: NDArray[np.int64]
    persona: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]


def together(visits: list[Visits]) -> Visits:
    """Return several visits as one."""
    return Visits(**{name: np.concatenate([vars(one)[name] for one in visits]) for name in vars(visits[0])})


Sort = Callable[[Causes, World, np.random.Generator], Visits]


def first_visits(n_visits: int, params: "ShopSource", world: World, rng: np.random.Generator) -> Visits:
    """Draw visits that begin of themselves."""
    shoppers = world.shoppers
    day_weights = np.concatenate([[0.0], np.cumsum(day_weights_of(params))])  # (days + 1,)
    open_weight = day_weights[shoppers.last_day] - day_weights[shoppers.first_day]
    user = draw_from(np.cumsum(shoppers.activity * open_weight), n_visits, rng)
    low, high = day_weights[shoppers.first_day[user]], day_weights[shoppers.last_day[user]]
    day = np.searchsorted(day_weights, low + rng.random(n_visits) * (high - low), side="right") - 1
    day = np.clip(day, shoppers.first_day[user], shoppers.last_day[user] - 1)
    return begin(user, day, world, rng)


def begin(user: NDArray[np.int64], day: NDArray[np.int64], world: World, rng: np.random.Generator) -> Visits:
    """Return visits that begin of themselves on given days."""
    n_visits, shoppers = len(user), world.shoppers
    spell = (day + shoppers.spell_start[user]) // INTEREST_DAYS
    keeps = rng.random(n_visits) < INTEREST_SHARE
    slot = np.where(keeps, shoppers.interest[user, spell], draw_taste(shoppers.taste[user], rng))
    return Visits(
        user=user,
        start=day * DAY + _time_of_day(n_visits, rng),
        persona=shoppers.personas[user, slot],
        opening=np.full(n_visits, -1),
        wish=np.zeros(n_visits),
        cause=np.full(n_visits, -1),
    )


def going_on(ends: Causes, world: World, rng: np.random.Generator) -> Visits:
    """Draw visits that go on where one ended: with what the page of its last product shows."""
    n = len(ends.item)
    day = ends.time // DAY + 1 + rng.exponential(3, n).astype(np.int64)
    opening = world.catalogue.related[ends.item, rng.integers(N_RELATED, size=n)]
    return _follow_up(ends, rng.random(n) < _GOING_ON_SHARE, day, opening, 0.0, world, rng)


def for_accessories(bought: Causes, world: World, rng: np.random.Generator) -> Visits:
    """Draw visits for an accessory in the days after a purchase."""
    n = len(bought.item)
    day = bought.time // DAY + 1 + rng.exponential(4, n).astype(np.int64)
    opening = world.catalogue.accessories[bought.item, rng.integers(N_ACCESSORIES, size=n)]
    wanted = (opening >= 0) & (rng.random(n) < _ACCESSORY_SHARE)
    return _follow_up(bought, wanted, day, opening, 1.0, world, rng)


def for_refills(bought: Causes, world: World, rng: np.random.Generator) -> Visits:
    """Draw visits for what is used up: for the same product, or for one that its page shows."""
    n = len(bought.item)
    due = world.catalogue.refill_days[bought.item] * rng.lognormal(0, 0.15, n)
    day = bought.time // DAY + np.maximum(np.round(np.nan_to_num(due)), 1).astype(np.int64)
    other = world.catalogue.related[bought.item, rng.integers(N_RELATED, size=n)]
    opening = np.where(rng.random(n) < _SAME_REFILL_SHARE, bought.item, other)
    wanted = ~np.isnan(due) & (rng.random(n) < _REFILL_SHARE)
    return _follow_up(bought, wanted, day, opening, 2.5, world, rng)


def _follow_up(
    causes: Causes,
    wanted: NDArray[np.bool_],
    day: NDArray[np.int64],
    opening: NDArray[np.int64],
    wish: float,
    world: World,
    rng: np.random.Generator,
) -> Visits:
    """Return the visits that are wanted, where shopper and product are there by then."""
    wanted = wanted & (day < world.shoppers.last_day[causes.user])
    wanted &= world.catalogue.arrival[opening] <= day * DAY
    cause = np.flatnonzero(wanted)
    n = len(cause)
    return Visits(
        user=causes.user[cause],
        start=day[cause] * DAY + _time_of_day(n, rng),
        persona=causes.persona[cause],
        opening=opening[cause],
        wish=np.full(n, wish),
        cause=cause,
    )


def _time_of_day(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    hour = draw_from(np.cumsum(_HOUR_WEIGHTS), n, rng)
    times: NDArray[np.int64] = hour * 3_600_000 + rng.integers(0, 3_600_000, n)
    return times


def causes_of(visits: Visits, views: Views, bought: Causes) -> list[tuple[Sort, Causes]]:
    """Return what may bring about further visits, with what draws each sort of them."""
    last = np.flatnonzero(np.diff(views.visit, append=-1) != 0)
    ends = Causes(views.visit[last], views.user[last], visits.persona, views.item[last], views.time[last])
    return [(going_on, ends), (for_accessories, bought), (for_refills, bought)]


def day_weights_of(params: "ShopSource") -> NDArray[np.float64]:
    """Return how busy each day is: a slow growth, the year's season, a busier weekend."""
    day = np.arange(params.days)
    date = np.datetime64(params.end.replace(tzinfo=None), "D") - params.days + day
    weekday = (date.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
    year_day = (date - date.astype("datetime64[Y]")).astype(np.int64)
    growth = 1 + 0.3 * day / params.days
    season = 1 + 0.2 * np.cos(2 * np.pi * (year_day - 345) / 365)  # busiest before Christmas
    weekly = np.array([0.95, 0.9, 0.9, 0.95, 1.1, 1.5, 1.45])[weekday]
    weights: NDArray[np.float64] = growth * season * weekly
    return weights


_HOUR_WEIGHTS = np.array(
    [4, 2, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 14, 13, 12, 12, 13, 15, 18, 22, 24, 22, 16, 9], dtype=np.float64
)
