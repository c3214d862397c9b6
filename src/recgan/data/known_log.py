"""What an attacker knows of a log, and the ways in which his accounts imitate it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recgan.data.settings import EVENT_KINDS

_PRESSED = {"view": 1.0, "cart": 0.8, "purchase": 0.8, "rating": 0.5}
"""How likely an account that pushes a product leaves each kind of event there."""


@dataclass(frozen=True)
class FakeEvents:
    """Events of fake accounts; arrays (events,)."""

    account: NDArray[np.int64]
    """From 0."""
    item: NDArray[np.int64]
    """Positions, as in the log that was attacked."""
    kind: NDArray[np.int8]
    """Positions in EVENT_KINDS."""
    day: NDArray[np.float64] | None
    """Days since the log's start; None where the log has no times."""
    value: NDArray[np.float64]
    """A rating's stars, a purchase's quantity, else NaN."""

    def rows(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "FakeEvents":
        """Return some of the events."""
        day = None if self.day is None else self.day[which]
        return FakeEvents(self.account[which], self.item[which], self.kind[which], day, self.value[which])


def concatenate(parts: Sequence[FakeEvents]) -> FakeEvents:
    """Return events one after the other."""
    account, item, kind, value = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("account", "item", "kind", "value")
    )
    days = [part.day for part in parts if part.day is not None]
    return FakeEvents(account, item, kind, np.concatenate(days) if days else None, value)


@dataclass(frozen=True)
class KnownLog:
    """A log as an attacker may know it, of any order; arrays (events,).

    A log of distinct pairs will do as well: one event for each kind that a pair has.
    """

    user: NDArray[np.int64]
    """Positions from 0; no events without a user."""
    item: NDArray[np.int64]
    kind: NDArray[np.int8]
    """Positions in EVENT_KINDS."""
    day: NDArray[np.float64] | None
    """Days since the log's start; None as a whole where an event lacks its time."""
    value: NDArray[np.float64]
    """A rating's stars, a purchase's quantity, else NaN."""
    items: int
    """How many products there are, those without an event too."""

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.user.astype(np.int64) * self.items + self.item, kind="stable")

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """Where each pair's events begin in `_order`, (pairs + 1,)."""
        key = (self.user.astype(np.int64) * self.items + self.item)[self._order]
        return np.append(np.flatnonzero(np.diff(key, prepend=-1)), len(key))

    @cached_property
    def pair_user(self) -> NDArray[np.int64]:
        """(pairs,), ascending."""
        return self.user[self._order[self._first[:-1]]].astype(np.int64)

    @cached_property
    def pair_item(self) -> NDArray[np.int64]:
        """(pairs,), ascending within a user."""
        return self.item[self._order[self._first[:-1]]].astype(np.int64)

    @cached_property
    def _pair_day(self) -> NDArray[np.float64]:
        """The first day of each pair; 0 where there are no times."""
        if self.day is None:
            return np.zeros(len(self.pair_user))
        days: NDArray[np.float64] = np.minimum.reduceat(self.day[self._order], self._first[:-1])
        return days

    @cached_property
    def buyers(self) -> NDArray[np.int64]:
        """How many users each product has, (items,)."""
        return np.bincount(self.pair_item, minlength=self.items)

    @cached_property
    def history(self) -> NDArray[np.int64]:
        """How many products each user has, (users,)."""
        return np.bincount(self.pair_user)

    @cached_property
    def first_seen(self) -> NDArray[np.float64]:
        """The day of each product's first event, (items,); infinite for none, 0 where there are no times."""
        seen = np.full(self.items, np.inf)
        np.minimum.at(seen, self.pair_item, self._pair_day)
        return seen

    @cached_property
    def length(self) -> float:
        """Days of the log; 0 where there are no times."""
        return 0.0 if self.day is None else float(self.day.max())

    @cached_property
    def _ratings(self) -> NDArray[np.bool_]:
        rated: NDArray[np.bool_] = self.kind == EVENT_KINDS.index("rating")
        return rated & ~np.isnan(self.value)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """The fewest and the most stars that anybody gave; NaN where nobody rates."""
        stars = self.value[self._ratings]
        return (float(stars.min()), float(stars.max())) if len(stars) else (np.nan, np.nan)

    @cached_property
    def stars(self) -> tuple[NDArray[np.float64], float]:
        """The mean rating of each product, that of all where it has none, and the deviation around it."""
        item, value = self.item[self._ratings], self.value[self._ratings]
        if not len(item):
            return np.full(self.items, np.nan), np.nan
        count = np.bincount(item, minlength=self.items)
        total = np.bincount(item, value, minlength=self.items)
        mean = np.where(count > 0, total / np.maximum(count, 1), value.mean())
        return mean, float((value - mean[item]).std())

    @cached_property
    def _by_item(self) -> NDArray[np.int64]:
        """Pairs sorted by product."""
        return np.argsort(self.pair_item, kind="stable")

    def together(self, item: int) -> NDArray[np.int64]:
        """Return how many users of a product have each product, (items,)."""
        theirs = np.zeros(len(self.history), dtype=np.bool_)
        theirs[self.pair_user[self.pair_item == item]] = True
        return np.bincount(self.pair_item[theirs[self.pair_user]], minlength=self.items)

    def like_others(
        self,
        account: NDArray[np.int64],
        item: NDArray[np.int64],
        day: NDArray[np.float64],
        end: float,
        rng: np.random.Generator,
    ) -> FakeEvents:
        """Let accounts deal with products as somebody dealt with some product.

        Args:
            account: (visits,).
            item: (visits,).
            day: (visits,) of the first event.
            end: nothing happens after this day.
            rng: draws whom each visit imitates.
        """
        pair = rng.integers(len(self.pair_user), size=len(account))
        return self._copied(pair, account, item, day, end)

    def _copied(
        self,
        pair: NDArray[np.int64],
        account: NDArray[np.int64],
        item: NDArray[np.int64],
        day: NDArray[np.float64],
        end: float,
    ) -> FakeEvents:
        sizes = self._first[pair + 1] - self._first[pair]
        visit = np.repeat(np.arange(len(pair)), sizes)
        within = np.arange(len(visit)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        event = self._order[self._first[pair][visit] + within]
        when, inside = None, np.ones(len(visit), dtype=np.bool_)
        if self.day is not None:
            gap = self.day[event] - self._pair_day[pair][visit]
            when = day[visit] + gap
            inside = (gap <= 0) | (when <= end)
        return FakeEvents(account[visit], item[visit], self.kind[event], when, self.value[event]).rows(inside)

    def like_shoppers(self, accounts: int, rng: np.random.Generator) -> FakeEvents:
        """Let each account do half of what one shopper did and half of what another of like taste did.

        So no account is a copy of anybody. Days move by about one, and not before a product's first event.
        """
        item_start = np.append(0, np.cumsum(self.buyers))
        user_start = np.append(0, np.cumsum(self.history))
        busy = np.flatnonzero(self.history >= min(4, self.history.max()))
        pairs, owners = [], []
        for account, shopper in enumerate(rng.choice(busy, accounts)):
            own = np.arange(user_start[shopper], user_start[shopper + 1])
            shared = self.pair_item[rng.choice(own)]
            other = self.pair_user[self._by_item[rng.integers(item_start[shared], item_start[shared + 1])]]
            theirs = np.arange(user_start[other], user_start[other + 1])
            theirs = theirs[~np.isin(self.pair_item[theirs], self.pair_item[own])]
            taken = [rng.choice(part, (len(part) + 1) // 2, replace=False) for part in (own, theirs)]
            pairs.append(np.concatenate(taken))
            owners.append(np.full(sum(map(len, taken)), account))
        pair, account_of = np.concatenate(pairs), np.concatenate(owners)
        item = self.pair_item[pair]
        day = self._pair_day[pair] + rng.normal(0, 1, len(pair))
        day = np.clip(day, self.first_seen[item], self.length)
        return self._copied(pair, account_of, item, day, self.length)

    def pressed(
        self,
        account: NDArray[np.int64],
        item: NDArray[np.int64],
        day: NDArray[np.float64],
        end: float,
        rng: np.random.Generator,
    ) -> FakeEvents:
        """Let accounts push products: with each kind of event that the log has, and the most stars.

        Args:
            account: (visits,).
            item: (visits,).
            day: (visits,) of the first event; the others follow within three hours.
            end: nothing happens after this day.
            rng: draws which kinds of events there are, and when.
        """
        known = [kind for kind in range(len(EVENT_KINDS)) if (self.kind == kind).any()]
        share = np.array([_PRESSED[EVENT_KINDS[kind]] for kind in known])
        happens = rng.random((len(account), len(known))) < share
        happens[~happens.any(axis=1), -1] = True  # the strongest kind that the log has
        visit, step = np.nonzero(happens)
        kind = np.array(known, dtype=np.int8)[step]
        value = np.full(len(kind), np.nan)
        value[kind == EVENT_KINDS.index("purchase")] = 1.0
        value[kind == EVENT_KINDS.index("rating")] = self.scale[1]
        when = None
        if self.day is not None:
            when = np.minimum(day[visit] + step * rng.uniform(0.01, 0.04, len(visit)), max(end, 0.0))
        return FakeEvents(account[visit], item[visit], kind, when, value)
