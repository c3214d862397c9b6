"""What the rules of the shop do to one answer: mask and boost the scores, then order what is listed.

Masks and boosts come before the best are chosen. Pins, caps and variety come after: they need to know what
else is in the list.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recgan.newcomers.assortment import Mask
from recgan.online.filling import Filling, Limit, Pinned, Positions, Ranked, Scores, Variety
from recgan.online.rules import NotAgain


@dataclass(frozen=True)
class Bound:
    """The rules that hold now, in the positions of one version and its new products."""

    hard: Positions
    """What is never shown."""
    hard_by: list[str]
    """The rule of each."""
    boosts: Scores | None
    """(items,) standard deviations."""
    boosted: dict[int, str]
    """Position → the first rule that boosts it."""
    pins: list[Pinned]
    limits: list[Limit]
    variety: Variety | None
    not_again: NotAgain | None
    unknown_items: int
    """Ids that this version does not know: of products of tomorrow, or mistyped."""
    hard_known: int
    """How many of the items that the version was trained on are never shown."""
    new: tuple[NDArray[np.int32], float] | None
    """(items,) 0 for each new product, else -1; and their share of a list at most. None without any."""

    def why_left_out(self, position: int) -> str | None:
        """Name the rule that leaves an item out of every list."""
        found = np.flatnonzero(self.hard == position)
        return self.hard_by[found[0]] if len(found) else None


@dataclass(frozen=True)
class Outcome:
    """A list, and what the rules had to do with it."""

    positions: list[int]
    scores: list[float]
    by: list[str | None]
    """The rule that pinned or boosted each item."""
    acted: list[str]
    """The rules that changed the list."""
    reordered: bool
    """The list is not the best by score any more: a pin, a cap or variety changed it."""
    pinned: list[tuple[int, float, str]]
    """Position, score and rule of each pin, where the list is not ordered yet."""


@dataclass(frozen=True)
class Applied:
    """The rules as they hold for one request."""

    bound: Bound
    pins: bool = True
    wishes: bool = True
    """Boosts, caps, variety and rest count; else what is hard, and pins."""
    tells: bool = True
    """The outcome may name rules other than pins: that one acted can depend on what the shopper has."""
    orders: bool = True
    """Pins, caps and variety count now, not after a draw."""
    held: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    """What rests for this shopper."""
    categories: frozenset[str] = frozenset()
    """By which the request filters."""

    def listed(
        self,
        scores: Scores,
        k: int,
        left_out: Positions | None,
        allowed: Mask | None,
        ranked: Ranked,
        beyond: int = 0,
    ) -> Outcome:
        """Return the list of k, and `beyond` items behind it.

        Args:
            scores: (items,) our own copy, which is changed.
            k: length of the list.
            left_out: what the shopper has seen.
            allowed: what the request's filters let through.
            ranked: ranks scores.
            beyond: items to add behind the list, the best of what is not in it.
        """
        bound, n_items = self.bound, len(scores)
        lifted = self.wishes and bound.boosts is not None
        if lifted and bound.boosts is not None:
            scores += deviation(scores) * bound.boosts[:n_items]
        hard = bound.hard[bound.hard < n_items]
        pins = self._pins(k, allowed, n_items)
        values = {pin.position: float(scores[pin.position]) for pin in pins}
        if allowed is not None:
            scores[~allowed[:n_items]] = -np.inf
        if left_out is not None:
            scores[left_out[left_out < n_items]] = -np.inf
        removed = scores[hard]
        scores[hard] = -np.inf
        held, rested = self._rest(scores, k)
        best = ranked(scores[None], k)[0][0]
        plain = best[best >= 0].tolist()
        chosen, why = (self.filled(scores, k, pins, ranked) if self.orders else None) or (plain, set[str]())
        pinned = {pin.position: pin.name for pin in pins if pin.name in why}
        last = min(((float(scores[one]), -one) for one in chosen if one not in pinned), default=_NOTHING)
        if len(chosen) < k:  # all there is
            last = _NOTHING
        if self.tells:
            why |= {bound.hard_by[at] for at in np.flatnonzero(_before(last, removed, hard))}
        if bound.not_again is not None and _before(last, rested, held).any():
            why.add(bound.not_again.name)
        by = [pinned.get(one) or (bound.boosted.get(one) if lifted else None) for one in chosen]
        found = [values.get(one, float(scores[one])) for one in chosen]
        more, theirs = _behind(scores, chosen, beyond, ranked)
        acted = why | {one for one in by if one is not None}
        return Outcome(
            chosen + more,
            found + theirs,
            by + [None] * len(more),
            sorted(acted),
            chosen != plain,
            [] if self.orders else [(pin.position, values[pin.position], pin.name) for pin in pins],
        )

    def unordered(self) -> "Applied":
        """Return the rules as they hold before a list is drawn."""
        return replace(self, orders=False)

    def filled(
        self, scores: Scores, k: int, pins: list[Pinned], ranked: Ranked
    ) -> tuple[list[int], set[str]] | None:
        """Return a list by pins, caps and variety, and the rules that changed it; None without any."""
        bound = self.bound
        limits, variety = (bound.limits, bound.variety) if self.wishes else ([], None)
        if not (pins or limits or variety is not None):
            return None
        if bound.new is not None:
            codes, share = bound.new
            limits = [*limits, Limit(None, codes, int(share * k + 1e-9))]
        filling = Filling(scores, k, pins, limits, variety)
        return filling.chosen(ranked), filling.why

    def _pins(self, k: int, allowed: Mask | None, n_items: int) -> list[Pinned]:
        if not self.pins:
            return []
        return [
            pin
            for pin in self.bound.pins
            if pin.place < k
            and pin.position < n_items
            and (pin.categories is None or pin.categories & self.categories)
            and (allowed is None or allowed[pin.position])
        ]

    def _rest(self, scores: Scores, k: int) -> tuple[Positions, Scores]:
        """Mask what rests, unless fewer than k would be left; return what is masked with its scores."""
        held = self.held[self.held < len(scores)] if self.wishes else self.held[:0]
        held = held[scores[held] > -np.inf]
        if not len(held):
            return held, scores[held]
        short = k - (int(np.count_nonzero(scores > -np.inf)) - len(held))
        if short > 0:
            held = held[np.argsort(-scores[held], kind="stable")][short:]
        rested = scores[held]
        scores[held] = -np.inf
        return held, rested


_NOTHING = (-np.inf, 0)


def _before(last: tuple[float, int], scores: Scores, positions: Positions) -> Mask:
    """Tell which items would have stood before the last one of a list; ties go to the lower position."""
    found: Mask = (scores > last[0]) | ((scores == last[0]) & (scores > -np.inf) & (positions < -last[1]))
    return found


def _behind(scores: Scores, chosen: list[int], beyond: int, ranked: Ranked) -> tuple[list[int], list[float]]:
    if not beyond:
        return [], []
    scores[chosen] = -np.inf
    rest, values = ranked(scores[None], beyond)
    there = rest[0] >= 0
    return rest[0][there].tolist(), values[0][there].tolist()


def deviation(scores: Scores) -> float:
    """Return the standard deviation of all scores, the unit of a boost; 1 where all are equal."""
    found = float(scores.std())
    return found if found > 0 else 1.0
