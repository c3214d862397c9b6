"""What was logged of drawn lists, and the lists of a policy that is judged: weights of what was seen.

Items are whole numbers, the same in both. -1 stands where a list or the candidates are shorter.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recgan.online import plackett_luce
from recgan.online.plackett_luce import Floats

Items = NDArray[np.int64]
Form = Literal["independent", "cascade"]
"""What an item's event may depend on. independent: on the item and its place (Li et al. 2018). cascade: on
the items above it too (McInerney et al. 2020)."""
FORMS: tuple[Form, ...] = ("independent", "cascade")


@dataclass(frozen=True)
class Logged:
    """Answers that were drawn."""

    shown: Items
    """(answers, places)"""
    log_chances: Floats
    """(answers, places) of each at its place, given the ones above it; 0 where there is none."""
    candidates: Items
    """(answers, candidates)"""
    log_weights: Floats
    """(answers, candidates), -inf where there is none."""


@dataclass(frozen=True)
class Target:
    """What a policy would have answered to the same requests."""

    lists: Items
    """(answers, draws, places): its one list for each request, or several draws."""
    candidates: Items | None = None
    """(answers, candidates) that it draws from; None for one list."""
    log_weights: Floats | None = None
    """(answers, candidates)"""

    @classmethod
    def drawn(
        cls, candidates: Items, log_weights: Floats, lengths: NDArray[np.int64], draws: int, seed: int
    ) -> "Target":
        """Return the policy that draws by Plackett and Luce's model.

        Args:
            candidates: (answers, candidates).
            log_weights: (answers, candidates), -inf where there is none.
            lengths: (answers,) of each list.
            draws: of lists, which stand for the policy where a mean over its lists is wanted.
            seed: of them.
        """
        rng, k = np.random.default_rng(seed), int(lengths.max(initial=0))
        lists = np.full((len(candidates), draws, k), -1, dtype=np.int64)
        there = np.arange(k) < np.minimum(lengths, (candidates >= 0).sum(axis=1))[:, None]
        for number in range(draws):
            places, _ = plackett_luce.draw(log_weights, k, rng)
            lists[:, number] = np.where(there, np.take_along_axis(candidates, places, axis=1), -1)
        return cls(lists, candidates, log_weights)

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """(answers, places) where its lists have a place."""
        there: NDArray[np.bool_] = self.lists[:, 0] >= 0
        return there

    def support(self, logged: Logged) -> float:
        """Return the share of its places whose item was among the candidates of the answer's draw."""
        known = wanted = 0
        for answer, lists in enumerate(self.lists):
            named = lists[lists >= 0]
            known += int(np.isin(named, logged.candidates[answer]).sum())
            wanted += len(named)
        return known / wanted if wanted else 0.0

    def weights(self, logged: Logged, form: Form) -> Floats:
        """Return how often the policy shows what was shown, for once that the draw does, (answers, places).

        independent: of the item at its place, whatever stands above it. cascade: of the list down to it.
        An event is worth so much for the policy, and the mean over the draw is the policy's value.

        Args:
            logged: what was drawn.
            form: what an event may depend on.
        """
        ratios = self._ratios(logged, form)
        if form == "cascade":
            ratios = np.cumprod(ratios, axis=1, out=ratios)
        return ratios

    def _ratios(self, logged: Logged, form: Form) -> Floats:
        shown, ratios = logged.shown, np.zeros(logged.shown.shape)
        for place in range(min(shown.shape[1], self.lists.shape[2])):
            mine, rows = self._place(shown, place, form)
            if form == "cascade":
                ratios[rows, place] = mine / np.exp(logged.log_chances[rows, place])
                continue
            where = (logged.candidates[rows] == shown[rows, place, None]).argmax(axis=1)
            ratios[rows, place] = mine / plackett_luce.at_place(logged.log_weights[rows], where, place)
        return ratios

    def _place(self, shown: Items, place: int, form: Form) -> tuple[Floats, NDArray[np.intp]]:
        """Return the policy's probabilities of what was shown at a place, and the answers they are of."""
        here = (shown[:, place] >= 0) & self.wanted[:, place]
        if self.candidates is None or self.log_weights is None:
            rows = np.flatnonzero(here & (shown[:, place] == self.lists[:, 0, place]))
            return np.ones(len(rows)), rows
        is_it = self.candidates == shown[:, place, None]
        rows = np.flatnonzero(here & is_it.any(axis=1))
        weights, where = self.log_weights[rows], is_it[rows].argmax(axis=1)
        if form == "independent":
            return plackett_luce.at_place(weights, where, place), rows
        above = np.zeros(weights.shape, dtype=bool)
        for earlier in range(place):
            above |= self.candidates[rows] == shown[rows, earlier, None]
        left: Floats = np.logaddexp.reduce(np.where(above, -np.inf, weights), axis=1)
        mine: Floats = np.exp(weights[np.arange(len(rows)), where] - left)
        return mine, rows
