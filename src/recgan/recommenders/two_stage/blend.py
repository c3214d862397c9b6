"""The generator blended with other recommenders: the control that a second stage must beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import Features
from recgan.recommenders.chosen import Chosen, choose_candidate
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.settings import ClassicalGrid

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Tried of each recommender beside 1 of the generator, one recommender after the other."""


@dataclass(frozen=True)
class Blend:
    """The weighted sum of scores that are standardised for each history: mean 0, standard deviation 1."""

    recommenders: Sequence[Recommender]
    weights: Sequence[float]

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items)."""
        total = np.zeros(user_items.shape, dtype=np.float32)
        for recommender, weight in zip(self.recommenders, self.weights, strict=True):
            if weight:
                scores = recommender.score(user_items, ages)
                spread = np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
                total += np.float32(weight) * (scores - scores.mean(axis=1, keepdims=True)) / spread
        return total


def choose_weights(
    recommenders: Sequence[Recommender], validate: Callable[[Any], float]
) -> tuple[list[float], float]:
    """Return the weights with the best score, the first one's 1, and that score."""
    weights, best = [1.0] + [0.0] * (len(recommenders) - 1), -np.inf
    for place in range(1, len(recommenders)):
        tried = [
            [*weights[:place], weight, *weights[place + 1 :]] for weight in WEIGHTS if weight or place == 1
        ]
        for one in tried:
            score = validate(Blend(recommenders, one))
            if score > best:
                best, weights = score, one
    return weights, best


def blended_with(
    generator: Chosen, others: Sequence[ClassicalGrid], features: Features, validate: Callable[[Any], float]
) -> tuple[Blend, tuple[Chosen, ...], float | None]:
    """Return a generator's blend with other recommenders, these as validation chose them, and its score."""
    chosen = tuple(choose_candidate(one, features, validate) for one in others)
    mixed = [generator.recommender, *(one.recommender for one in chosen)]
    if not chosen:
        return Blend(mixed, [1.0]), chosen, generator.validation_ndcg
    weights, score = choose_weights(mixed, validate)
    return Blend(mixed, weights), chosen, score
