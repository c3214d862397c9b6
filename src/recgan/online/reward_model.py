"""What an item's event is expected to be at its place: the model of the doubly robust estimate."""

from dataclasses import dataclass

import numpy as np

from recgan.online.plackett_luce import Floats
from recgan.online.policies import Items, Logged, Target

FOLDS = 5


@dataclass(frozen=True)
class ItemRates:
    """The mean of a place, times how an item does beside what its places would give it.

    That is events over expected events (Zhang & Jones 2007), drawn towards 1 where an item was seldom shown.
    How far is what a gamma law of the items fits by its moments (Clayton & Kaldor 1987).
    """

    places: Floats
    """(places,) mean events."""
    items: Floats
    """(items,) times the mean; 1 for one that was never shown."""

    @classmethod
    def fit(cls, shown: Items, events: Floats, n_items: int) -> "ItemRates":
        """Fit to what was shown.

        Args:
            shown: (answers, places), -1 for none.
            events: (answers, places)
            n_items: of the codes.
        """
        there = shown >= 0
        places = (events * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        expected = np.bincount(shown[there], np.broadcast_to(places, shown.shape)[there], n_items)
        came = np.bincount(shown[there], events[there], n_items)
        # Var(came) = expected + expected² / strength; without more than chance all items are alike.
        beyond = ((came - expected) ** 2 - expected).sum()
        if beyond <= 0:
            return cls(places, np.ones(n_items))
        strength = (expected**2).sum() / beyond
        return cls(places, (came + strength) / (expected + strength))

    def of(self, items: Items) -> Floats:
        """Return what is expected of items (…, places), 0 where there is none."""
        expected = self.items[items] * self.places[: items.shape[-1]]
        return np.where(items >= 0, expected, 0.0)


def modelled(
    logged: Logged, target: Target, events: Floats, shopper: Items, n_items: int
) -> tuple[Floats, Floats]:
    """Return what is expected of what was shown, and of the policy's lists, (answers, places) each.

    Each answer's model is fitted to the other folds' shoppers, so that no answer is expected by what came of
    itself (cross-fitting, Chernozhukov et al. 2018).

    Args:
        logged: what was drawn.
        target: of as many places at most.
        events: (answers, places)
        shopper: (answers,) numbers from 0.
        n_items: of the codes.
    """
    of_shown, of_target = np.zeros(logged.shown.shape), np.zeros(logged.shown.shape)
    fold, width = shopper % FOLDS, target.lists.shape[2]
    for number in range(FOLDS):
        mine = fold == number
        model = ItemRates.fit(logged.shown[~mine], events[~mine], n_items)
        of_shown[mine] = model.of(logged.shown[mine])
        of_target[mine, :width] = model.of(target.lists[mine]).mean(axis=1)
    return of_shown, of_target
