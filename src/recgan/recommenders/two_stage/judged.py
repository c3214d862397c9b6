"""A generator's proposals in a discriminator's order: what serves. Needs torch only if the generator does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.chosen import size_of
from recgan.recommenders.protocol import Best, OneAtATime, Recommender
from recgan.recommenders.two_stage.discriminator import Discriminator
from recgan.recommenders.two_stage.lists import propose
from recgan.recommenders.two_stage.pairs import beside_generator, joined, of_generator
from recgan.recommenders.two_stage.statistics import Statistics

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """The generator scores the catalogue, the discriminator the best of it."""

    generator: Recommender
    known: Statistics
    discriminator: Discriminator
    proposals: int
    exclude_seen: bool
    """Whether no item of a history is proposed."""

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> Floats:
        """Score all items for each history (rows, items).

        The proposals stand above all other items, in the discriminator's order. The others keep the
        generator's scores, and so do items of the history where they are not proposed. The proposals are
        lifted by the size of the generator's highest score, so that float32 keeps both orders.
        """
        scores = self.generator.score(user_items, ages)
        ids, judged, _ = self.judge(scores, user_items, ages)
        if not ids.size:
            return scores
        there = ids >= 0
        lifted = _lifted(judged, there, scores.max(axis=1, keepdims=True))
        found = np.array(scores, dtype=np.float32)
        rows = np.broadcast_to(np.arange(len(found))[:, None], ids.shape)
        found[rows[there], ids[there]] = lifted[there]
        return found

    def best(self, user_items: csr_array, ages: csr_array | None, n: int) -> Best:
        """Return the best of what is proposed to one history; see `OneAtATime`.

        Nothing where the generator has to score all items.
        """
        generator, seen = self.generator, user_items.indices[: None if self.exclude_seen else 0]
        if not isinstance(generator, OneAtATime):
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        found, scores = generator.best(user_items, ages, self.proposals + len(seen))
        left = np.isin(found, seen, invert=True)
        ids, best = found[left][None, : self.proposals], scores[left][None, : self.proposals]
        if not ids.size:
            return ids[0], best[0]
        lifted = _lifted(self._judged(ids, best, user_items, ages)[0], ids >= 0, scores[None, :1])[0]
        first = np.lexsort((ids[0], -lifted))[:n]  # ties go to the lower position
        return ids[0, first], lifted[first]

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
        arrays = {**self.discriminator.arrays(), **self.known.arrays()}
        return sum(array.size for array in arrays.values()) + size_of(self.generator)

    def judge(
        self, scores: Floats, user_items: csr_array, ages: csr_array | None
    ) -> tuple[NDArray[np.int32], Floats, Floats]:
        """Return the proposals (rows, N), the discriminator's scores of them and their features.

        Args:
            scores: (rows, items), the generator's.
            user_items: the histories.
            ages: of their entries; None where nothing is known of time.
        """
        ids, best = propose(scores, user_items, self.proposals, self.exclude_seen)
        return ids, *self._judged(ids, best, user_items, ages)

    def _judged(
        self, ids: NDArray[np.int32], best: Floats, user_items: csr_array, ages: csr_array | None
    ) -> tuple[Floats, Floats]:
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        generated = of_generator(best, ids, best, ranks)
        features = joined(generated, beside_generator(self.known, user_items, ages, ids))
        return self.discriminator.judge(features), features


def _lifted(judged: Floats, there: NDArray[np.bool_], top: Floats) -> Floats:
    """Return the proposals' scores above the highest of the generator's, (rows, 1)."""
    high = top.astype(np.float64)
    least = np.where(there, judged, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    above = judged - np.where(np.isfinite(least), least, 0)
    return np.asarray(high + np.maximum(1, np.abs(high)) * (1 + above), dtype=np.float32)
