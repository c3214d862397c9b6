"""What a shopper of the simulated shop looks at in a visit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recgan.data.sources.shop_world import DAY, HIT_DAYS, N_RELATED, POPULARITY_SHARE, Catalogue, Shoppers

# Shares of the views of a visit after its first one. The others are chosen as if nothing had gone before.
_RELATED_SHARE = 0.3
_THEME_SHARE = 0.35


# Of the views that are chosen as if nothing had gone before.
_RETURN_SHARE = 0.25


PROPOSALS = 4
"""Products that a view considers at most; it takes the last one whatever it is."""


@dataclass(frozen=True)
class World:
    """What does not change while the shop is simulated."""

    catalogue: Catalogue
    shoppers: Shoppers
    persona_cells: NDArray[np.float64]  # cumulated, see make_personas
    days: int

    @cached_property
    def by_cell(self) -> "Shelf":
        """Products where they are: sorted by cell and arrival."""
        return self._shelf(np.arange(len(self.catalogue.cell)), self.catalogue.cell)

    @cached_property
    def anywhere(self) -> "Shelf":
        """Products as in one cell, sorted by arrival."""
        order = np.argsort(self.catalogue.arrival, kind="stable")
        return self._shelf(order, np.zeros(len(order), dtype=np.int64))

    def _shelf(self, item: NDArray[np.int64], cell: NDArray[np.int64]) -> "Shelf":
        weights = self.catalogue.popularity[item], self.catalogue.burst[item]
        popularity, burst = (np.concatenate([[0.0], np.cumsum(weight)]) for weight in weights)
        horizon = (self.days + 1 + HIT_DAYS) * DAY  # more than any time, and room to look back from 0
        place = cell * horizon + np.maximum(self.catalogue.arrival[item], 0) + HIT_DAYS * DAY
        return Shelf(item, popularity, burst, place, horizon)


@dataclass(frozen=True)
class Shelf:
    """Products sorted by cell and then by arrival; arrays (items,) unless said otherwise.

    So the arrived ones of a cell are a run from its first, and its hits of the moment are a run too. A draw
    by popularity among a run is one search in the cumulated popularity.
    """

    item: NDArray[np.int64]
    popularity: NDArray[np.float64]  # (items + 1,), cumulated, as burst is
    burst: NDArray[np.float64]
    place: NDArray[np.int64]  # cell and arrival as one number, ascending
    horizon: int  # by how much it differs between cells

    def draw(
        self, cell: NDArray[np.int64], time: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw a product by popularity among those of a cell that have arrived; -1 where none has."""
        now = cell * self.horizon + time + HIT_DAYS * DAY
        first = np.searchsorted(self.place, cell * self.horizon)
        recent = np.searchsorted(self.place, now - HIT_DAYS * DAY, side="right")
        arrived = np.searchsorted(self.place, now, side="right")
        recent = np.clip(recent, first, arrived)
        settled = self.popularity[arrived] - self.popularity[first]
        drawn = rng.random(len(cell)) * (settled + self.burst[arrived] - self.burst[recent])
        hit = drawn >= settled
        position = np.empty(len(cell), dtype=np.int64)
        for rows, weight, low, over in (
            (~hit, self.popularity, first, 0.0),
            (hit, self.burst, recent, settled[hit]),
        ):
            sought = weight[low[rows]] + drawn[rows] - over
            found = np.searchsorted(weight, sought, side="right") - 1
            position[rows] = np.clip(found, low[rows], arrived[rows] - 1)
        return np.where(arrived > first, self.item[position], -1)


@dataclass(frozen=True)
class Seen:
    """Products that were chosen anew before, to which shoppers return; arrays (views,)."""

    user: NDArray[np.int64]
    time: NDArray[np.int64]
    item: NDArray[np.int64]

    @classmethod
    def nothing(cls) -> "Seen":
        """Return that nothing was seen."""
        return cls(*(np.empty(0, np.int64) for _ in range(3)))


@dataclass(frozen=True)
class Views:
    """Views, visit after visit; arrays (views,)."""

    visit: NDArray[np.int64]
    user: NDArray[np.int64]
    time: NDArray[np.int64]  # ms since the log's start
    item: NDArray[np.int64]
    step: NDArray[np.int64]  # within the visit, from 0
    own: NDArray[np.bool_]  # chosen as if nothing had gone before in the visit


def look(
    user: NDArray[np.int64],
    start: NDArray[np.int64],
    persona: NDArray[np.int64],
    opening: NDArray[np.int64],
    world: World,
    rng: np.random.Generator,
    seen: Seen | None = None,
) -> Views:
    """Choose what visits look at, and when.

    Args:
        user: The shopper of each visit, (visits,).
        start: In ms since the log's start, (visits,).
        persona: Which of the shopper's personas comes, (visits,).
        opening: The product that a visit is for, -1 where it is for none.
        seen: Of before these visits. Some views return to it, or to what the visits themselves chose anew.
            None where nobody returns.
        world: What there is to look at.
        rng: Where all chance comes from.
    """
    n_views = np.minimum(rng.geometric(0.3, len(user)), 25)
    first = np.repeat(np.cumsum(n_views) - n_views, n_views)  # (views,) from here on
    visit = np.repeat(np.arange(len(user)), n_views)
    step = np.arange(len(visit)) - first
    passed = np.cumsum(rng.exponential(50_000, len(visit)).astype(np.int64) + 2000)
    time = start[visit] + passed - passed[first]
    user, persona = user[visit], persona[visit]

    chance = rng.random(len(visit))
    related = (step > 0) & (chance < _RELATED_SHARE)
    themed = (step > 0) & ~related & (chance < _RELATED_SHARE + _THEME_SHARE)
    opens = (step == 0) & (opening[visit] >= 0)
    own = ~(related | themed | opens)
    item = np.where(opens, opening[visit], 0)
    item[own] = _by_taste(user[own], persona[own], time[own], world, rng)
    if seen is not None:
        item[own] = _returning(Seen(user[own], time[own], item[own]), seen, rng)

    # A visit keeps to the cell of what it last chose anew.
    anchor = np.maximum.accumulate(np.where(own | opens, np.arange(len(visit)), 0))
    cell = world.catalogue.cell[item[anchor]]
    item[themed] = _in_cell(user[themed], cell[themed], time[themed], world, rng)
    # From a product's page to one that it shows: one step of all visits at a time.
    rows = np.flatnonzero(related)
    depth = rows - np.maximum.accumulate(np.where(related, 0, np.arange(len(visit))))[rows]
    for level in range(1, 1 + depth.max(initial=0)):
        here = rows[depth == level]
        shown = world.catalogue.related[item[here - 1], rng.integers(N_RELATED, size=len(here))]
        missing = world.catalogue.arrival[shown] > time[here]
        gone = here[missing]
        shown[missing] = _in_cell(user[gone], cell[gone], time[gone], world, rng)
        item[here] = shown
    return Views(visit, user, time, item, step, own)


def _by_taste(
    user: NDArray[np.int64],
    persona: NDArray[np.int64],
    time: NDArray[np.int64],
    world: World,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose by the persona's cells, and some by sheer popularity."""
    n_cells = world.catalogue.n_cells

    def cells(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        key = persona[rows] + rng.random(len(rows))
        cell = np.searchsorted(world.persona_cells.ravel(), key, side="right") - persona[rows] * n_cells
        clipped: NDArray[np.int64] = np.clip(cell, 0, n_cells - 1)
        return clipped

    return _choose(user, time, cells, POPULARITY_SHARE, world, rng)


def _in_cell(
    user: NDArray[np.int64],
    cell: NDArray[np.int64],
    time: NDArray[np.int64],
    world: World,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose from given cells."""
    return _choose(user, time, lambda rows: cell[rows], 0.0, world, rng)


def _choose(
    user: NDArray[np.int64],
    time: NDArray[np.int64],
    cells: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    popularity_share: float,
    world: World,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose a product for each view among those that have arrived: propose from a cell, accept by fit."""
    item = np.empty(len(user), dtype=np.int64)
    open_rows = np.arange(len(user))
    for attempt in range(1, PROPOSALS + 1):
        n_open = len(open_rows)
        now = time[open_rows]
        proposed = world.by_cell.draw(cells(open_rows), now, rng)
        # Sheer popularity for some, and for cells that are still empty.
        anywhere = np.flatnonzero((rng.random(n_open) < popularity_share) | (proposed < 0))
        proposed[anywhere] = world.anywhere.draw(np.zeros_like(anywhere), now[anywhere], rng)
        item[open_rows] = proposed

        fit = fit_of(world, user[open_rows], proposed, now)
        # The last proposal stands.
        if attempt < PROPOSALS:
            open_rows = open_rows[rng.random(n_open) > fit]
    return item


def fit_of(
    world: World, user: NDArray[np.int64], item: NDArray[np.int64], time: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how well products fit, 0 to 1: the price level, freshness and the season of the category."""
    catalogue, shoppers = world.catalogue, world.shoppers
    off_level = catalogue.price_level[item] - shoppers.price_level[user]
    fit = np.exp(-0.5 * shoppers.price_sensitivity[user] * off_level**2)
    age = (time - catalogue.arrival[item]) / DAY
    fit = fit * (0.4 + 0.6 * np.exp(-age / 120))
    phase = 2 * np.pi * (time / DAY / 365 + catalogue.category[item] * 0.381966)
    fitted: NDArray[np.float64] = fit * ((1 + 0.35 * np.cos(phase)) / 1.35)
    return fitted


def _returning(now: Seen, before: Seen, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the products of views, some of which go back to an earlier one, of this visit or another."""
    user, time, item = (np.concatenate([vars(before)[name], vars(now)[name]]) for name in vars(now))
    goes_back = np.concatenate(
        [np.zeros(len(before.user), dtype=bool), rng.random(len(now.user)) < _RETURN_SHARE]
    )
    order = np.argsort(user * (time.max(initial=0) + 1) + time, kind="stable")
    position = np.arange(len(user))
    sorted_user = user[order]
    first = np.maximum.accumulate(np.where(np.diff(sorted_user, prepend=-1) != 0, position, 0))
    source = np.where(
        goes_back[order],
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
    return chosen[len(before.user) :]
