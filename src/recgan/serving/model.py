"""One version of the model, answering: filters, ranking, popularity where it fails."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import beside
from recgan.newcomers.assortment import Assortment, Mask
from recgan.newcomers.weights import Newcomers
from recgan.online.ordering import Applied
from recgan.package.packaged import PackagedRecommender
from recgan.recommenders.protocol import top_k
from recgan.serving.alone import best_of_one
from recgan.serving.checking import check, measured
from recgan.serving.histories import History, history_of
from recgan.serving.ranking import Ranking
from recgan.serving.schema import Event, Filters, Item, Model

log = logging.getLogger(__name__)


class ServedModel(Assortment):
    """A loaded version; nothing in it changes once it is checked, so any number of requests may read it."""

    def __init__(
        self, name: str, version: str, packaged: PackagedRecommender, newcomers: Newcomers | None = None
    ) -> None:
        """Bind a version and the new products that fit it, which stand after all items of its vocabulary."""
        super().__init__(packaged, newcomers)
        self.model = Model(name=name, version=version)
        self._seconds: tuple[float, float] = (0.0, 0.0)
        """What the recommender takes for an empty history, and for each item of one; `check` measures it."""

    def takes(self, length: int) -> float:
        """Return the seconds that the recommender takes for a history of so many items, about."""
        base, each = self._seconds
        return base + each * length

    def described(self, position: int, score: float = 0.0, rule: str | None = None) -> Item:
        """Return what the shop says of an item."""
        catalogue = self.catalogue
        return Item(
            item_id=self.item_ids[position],
            score=score,
            title=None if catalogue is None else catalogue.titles[position],
            category=None if catalogue is None else catalogue.categories[position],
            price=None if catalogue is None else catalogue.prices[position],
            new=position >= self._n_items,
            rule=rule,
        )

    def picture(self, position: int) -> str | None:
        """Return the address of an item's picture, where there is one."""
        images = None if self.catalogue is None else self.catalogue.images
        return None if images is None else images[position]

    def history(
        self,
        events: Sequence[Event] | None,
        user_id: str | None = None,
        now: datetime | None = None,
        removed: Collection[str] = (),
    ) -> History:
        """Turn events, a known shopper's history, or both into a history; arguments: `history_of`."""
        return history_of(self.packaged, events, user_id, now, removed, self.newcomers)

    def item(self, item_id: str) -> History:
        """Return the history of a known item alone."""
        if item_id in self.packaged.positions:
            position = np.array([self.packaged.positions[item_id]], dtype=np.int32)
            return History(position, np.ones(1, dtype=np.float32), position)
        return replace(self.history([Event(item_id=item_id)]), ages=None)

    def allowed(self, filters: Filters) -> tuple[Mask | None, list[str]]:
        """Return which items a filter lets through, None for all, and its categories that no item has.

        An item without a price is not in any range of prices.

        Raises:
            RecganError: the package holds neither categories nor prices.
        """
        by_price = filters.min_price is not None or filters.max_price is not None
        if filters.categories is None and not by_price:
            return None, []
        if self.catalogue is None:
            raise RecganError(
                f"version {self.model.version} of {self.model.name} was packaged without categories and "
                "prices, so it cannot filter; leave the filters out, or register a new version: make run"
            )
        named = self.trait("category")[0]
        unknown = [one for one in dict.fromkeys(filters.categories or ()) if one not in named]
        return self.within(filters.categories, filters.min_price, filters.max_price), unknown

    def listed(self, share: int, rules: Applied | None = None) -> int:
        """Return how many items one in `share` of what may be shown are, at least one."""
        never = 0 if rules is None else rules.bound.hard_known
        return max(1, (self._n_items - never) // share)

    def rank(
        self,
        history: History,
        k: int,
        exclude_seen: bool = True,
        allowed: Mask | None = None,
        beyond: int = 0,
        rules: Applied | None = None,
    ) -> Ranking:
        """Rank for a history, `beyond` items behind the list of k too; popularity where the model fails."""
        fallback, left_out = False, history.seen if exclude_seen else None
        try:
            asked = self.matrices(history)
            if rules is None and allowed is None and self.newcomers is None:
                found = best_of_one(self.packaged.recommender, *asked, k + beyond, left_out)
                if found is not None:
                    return Ranking([self.described(*one) for one in zip(*found, strict=True)], fallback)
            scores = self.with_new(self.scores(*asked))[0]
        except Exception:
            # Whatever the error is, the shop gets an answer; the counter and the log record it.
            log.exception("version %s cannot answer; popularity stands in", self.model.version)
            scores, fallback = self.packaged.popularity, True
        if rules is None:
            return Ranking(self.best(scores, k, left_out, allowed, beyond), fallback)
        return replace(self.by_rules(rules, scores, k, left_out, allowed, beyond), fallback=fallback)

    def by_rules(
        self,
        rules: Applied,
        scores: NDArray[np.float32],
        k: int,
        left_out: NDArray[np.int32] | None,
        allowed: Mask | None,
        beyond: int = 0,
    ) -> Ranking:
        """Return what `best` does, as the rules of the shop have it."""
        own = np.array(scores, dtype=np.float32)
        found = rules.listed(own, min(k, len(own)), left_out, allowed, self.ranked, min(beyond, len(own)))
        items = [
            self.described(position, score, rule)
            for position, score, rule in zip(found.positions, found.scores, found.by, strict=True)
        ]
        pinned = tuple(self.described(*one) for one in found.pinned)
        return Ranking(items, False, None, found.acted or None, found.reordered, pinned)

    def score(self, history: History) -> NDArray[np.float32]:
        """Return the recommender's scores (items,).

        Raises:
            RecganError: a score is not a number; or whatever the recommender raises.
        """
        found: NDArray[np.float32] = self.scores(*self.matrices(history))[0]
        return found

    def matrices(self, history: History) -> tuple[csr_array, csr_array | None]:
        """Return a history's confidences and ages as recommenders take them, (1, items) each."""
        indptr = np.array([0, len(history.positions)], dtype=np.int32)
        row = csr_array((history.confidences, history.positions, indptr), shape=(1, self._n_items))
        return row, None if history.ages is None else beside(row, history.ages)

    def with_new(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (rows, items) with those of the new products after them.

        Raises:
            RecganError: a score is not a number.
        """
        if self.newcomers is None:
            return scores
        new = self.newcomers.score(scores)
        if not np.isfinite(new).all():
            raise RecganError(f"a score of a new product beside version {self.model.version} is no number")
        return np.hstack([scores, new])

    def scores(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return the recommender's scores (rows, items) for histories of that shape.

        Args:
            user_items: confidences.
            ages: days, the same entries in the same order; None where they are not known.

        Raises:
            RecganError: a score is not a number; or whatever the recommender raises.
        """
        scores = self.packaged.recommender.score(user_items, ages)
        if scores.shape != user_items.shape or not np.isfinite(scores).all():
            n_rows, n_items = user_items.shape
            raise RecganError(
                f"the scores of version {self.model.version} are not {n_items:,} numbers for each of "
                f"{n_rows:,} histories"
            )
        return scores

    def best(
        self,
        scores: NDArray[np.float32],
        k: int,
        left_out: NDArray[np.int32] | None,
        allowed: Mask | None,
        beyond: int = 0,
    ) -> list[Item]:
        """Return the k best items by any scores, those left out and not allowed excepted.

        Args:
            scores: (items,) of the vocabulary, or (items + new products,): the new ones take their share of
                the list at most.
            k: length of the list.
            left_out: positions.
            allowed: (items + new products,)
            beyond: items to add behind the list, the best of what is not in it.
        """
        scores = np.array(scores, dtype=np.float32)  # our own copy
        if allowed is not None:
            scores[~allowed[: len(scores)]] = -np.inf
        if left_out is not None:
            scores[left_out[left_out < len(scores)]] = -np.inf
        found = self.ranked(scores[None, :], k)
        if beyond:
            scores[found[0][found[0] >= 0]] = -np.inf
            rest = top_k(scores[None, :], min(beyond, len(scores)))
            found = np.hstack([found[0], rest[0]]), np.hstack([found[1], rest[1]])
        return [
            self.described(position, score)
            for position, score in zip(found[0][0].tolist(), found[1][0].tolist(), strict=True)
            if position >= 0
        ]

    def check(self, k: int = 10) -> None:
        """Ask what a shop will ask, before anyone does.

        Raises:
            RecganError: an answer is wrong; or whatever the recommender raises.
        """
        self._seconds = measured(self)
        check(self, k)
