"""Filling a list where the best by score are not simply taken: pins, caps, variety."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int32]
Scores = NDArray[np.float32]
Ranked = Callable[[Scores, int], tuple[Positions, Scores]]
"""Scores (1, items) and k → positions and scores (1, k) of the best; -1 and -inf where none is left."""

_POOL = 5
"""Candidates for each place that variety chooses from."""
_LEAST_POOL = 50


@dataclass(frozen=True)
class Pinned:
    """An item at a place."""

    name: str
    """Of the rule."""
    position: int
    place: int
    """From 0."""
    categories: frozenset[str] | None


@dataclass(frozen=True)
class Limit:
    """At most so many of a kind in a list."""

    name: str | None
    """Of the rule; None for the share of new products, which is no rule of the shop."""
    codes: NDArray[np.int32]
    """(items,) of which kind each is; -1 where it does not count."""
    at_most: int


@dataclass(frozen=True)
class Variety:
    """Maximal marginal relevance: the next item is argmax λ r(i) − (1 − λ) max over the chosen of s(i, j).

    r is the score, from 0 for the last candidate to 1 for the first, so that it does not depend on the
    recommender's scale. s is the cosine of the items' vectors. Where there are none, it is the share of
    category and brand that is the same.
    """

    name: str
    relevance: float
    """λ."""
    vectors: Scores | None
    """(known items, width)"""
    stand_ins: tuple[Positions, Scores] | None
    """(new, few) known items that stand for each new one, and their shares."""
    traits: list[NDArray[np.int32]]
    """(items,) each: category, brand; -1 where it is not known."""

    def to(self, pool: Positions) -> Callable[[int], Scores]:
        """Return the likeness of all of a pool (candidates,) to a position."""
        if self.vectors is not None:
            unit = self._unit(pool)
            rows = {position: row for row, position in enumerate(pool.tolist())}

            def near(position: int) -> Scores:
                row = rows.get(position)
                other = self._unit(np.array([position], dtype=np.int32))[0] if row is None else unit[row]
                found: Scores = unit @ other
                return found

            return near
        own = [trait[pool] for trait in self.traits]

        def alike(position: int) -> Scores:
            found = np.zeros(len(pool), dtype=np.float32)
            for trait, ours in zip(self.traits, own, strict=True):
                if trait[position] >= 0:
                    found += ours == trait[position]
            found /= max(len(self.traits), 1)
            return found

        return alike

    def _unit(self, positions: Positions) -> Scores:
        assert self.vectors is not None
        n_known = len(self.vectors)
        found = self.vectors[np.minimum(positions, n_known - 1)].astype(np.float32)
        for row in np.flatnonzero(positions >= n_known):
            found[row] = 0
            new = positions[row] - n_known
            if self.stand_ins is not None and new < len(self.stand_ins[0]):
                nearest, shares = self.stand_ins[0][new], self.stand_ins[1][new]
                found[row] = shares @ self.vectors[nearest]
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found


class Filling:
    """A list while it is filled: pins first, then the best that the caps let in, variety in mind."""

    def __init__(
        self,
        scores: Scores,
        k: int,
        pins: Sequence[Pinned],
        limits: Sequence[Limit],
        variety: Variety | None,
    ) -> None:
        """Place the pins.

        Args:
            scores: (items,) -inf for what is not to be shown; not changed.
            k: length of the list.
            pins: that hold for the request; by place, then in the shop's order.
            limits: the caps.
            variety: None for a list by score.
        """
        self.why: set[str] = set()
        self._scores = scores
        self._limits = limits
        self._variety = variety
        self._counts: list[dict[int, int]] = [{} for _ in self._limits]
        self._places: list[int | None] = [None] * k
        self._found: list[int] = []
        for pin in pins:
            nearest = (*range(pin.place, k), *range(pin.place - 1, -1, -1))
            free = next((at for at in nearest if self._places[at] is None), None)
            if free is not None and pin.position not in self._places:
                self._places[free] = pin.position
                self._count(pin.position)
                self.why.add(pin.name)
        self._pinned = [one for one in self._places if one is not None]
        self._room = k - len(self._pinned)

    def chosen(self, ranked: Ranked) -> list[int]:
        """Return the list."""
        left = self._scores.copy()
        left[self._pinned] = -np.inf
        width = self._room + len(self._pinned)
        width = max(_POOL * width, _LEAST_POOL) if self._variety else 2 * width
        scale: tuple[float, float] | None = None
        while len(self._found) < self._room:
            pool, values = (part[0] for part in ranked(left[None], min(width, len(left))))
            pool, values = pool[pool >= 0], values[pool >= 0]
            if not len(pool):
                break
            if self._variety is None:
                self._by_score(pool)
            else:
                scale = scale or (float(values[-1]), float(values[0] - values[-1]) or 1.0)
                self._by_variety(pool, (values - scale[0]) / scale[1], self._variety)
            left[self._found] = -np.inf
            if len(self._found) < self._room:
                self._close(left)
        if len(self._found) < self._room:  # the caps leave too few: what they set aside fills the list
            rest = self._scores.copy()
            rest[self._pinned + self._found] = -np.inf
            more = ranked(rest[None], self._room - len(self._found))[0][0]
            self._found += more[more >= 0].tolist()
        others = iter(self._found)
        filled = [next(others, None) if one is None else one for one in self._places]
        return [one for one in filled if one is not None]

    def _by_score(self, pool: Positions) -> None:
        for position in pool.tolist():
            if self._take(position) is None and len(self._found) == self._room:
                return

    def _by_variety(self, pool: Positions, relevance: Scores, variety: Variety) -> None:
        likeness = variety.to(pool)
        near = np.zeros(len(pool), dtype=np.float32)  # to the nearest of what is chosen
        for position in self._pinned + self._found:
            np.maximum(near, likeness(position), out=near)
        worth = np.float32(variety.relevance) * relevance
        while len(self._found) < self._room:
            at = int((worth - np.float32(1 - variety.relevance) * near).argmax())
            if worth[at] == -np.inf:
                return
            position = int(pool[at])
            full = self._take(position)
            if full is None:
                if variety.name not in self.why:
                    before = pool[:at][worth[:at] > -np.inf].tolist()
                    if any(self._full(one) is None for one in before):
                        self.why.add(variety.name)
                np.maximum(near, likeness(position), out=near)
            else:  # all of its kind at once
                worth[full.codes[pool] == full.codes[position]] = -np.inf
            worth[at] = -np.inf

    def _take(self, position: int) -> Limit | None:
        """Add an item to the list; where a cap is full, return that instead."""
        full = self._full(position)
        if full is None:
            self._found.append(position)
            self._count(position)
        elif full.name is not None:
            self.why.add(full.name)
        return full

    def _full(self, position: int) -> Limit | None:
        for limit, counts in zip(self._limits, self._counts, strict=True):
            code = int(limit.codes[position])
            if code >= 0 and counts.get(code, 0) >= limit.at_most:
                return limit
        return None

    def _count(self, position: int) -> None:
        for limit, counts in zip(self._limits, self._counts, strict=True):
            code = int(limit.codes[position])
            if code >= 0:
                counts[code] = counts.get(code, 0) + 1

    def _close(self, left: Scores) -> None:
        """Mask the kinds of which the list has enough."""
        for limit, counts in zip(self._limits, self._counts, strict=True):
            full = [code for code, number in counts.items() if number >= limit.at_most]
            if full:
                closed = np.zeros(int(limit.codes.max()) + 2, dtype=np.bool_)  # the last one is for -1
                closed[full] = True
                left[closed[limit.codes[: len(left)]]] = -np.inf
