"""Personal frequency with recency: the shopper's own items again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.ages import aged
from recgan.recommenders.fallback import shares_of_users
from recgan.recommenders.half_lives import half_lives_to_try
from recgan.recommenders.weights import popularity_from_arrays

_TIE = np.float32(1e-3)  # between the least and the most popular of equal ones; three hours of 90 days


class Personal:
    """Rank a history's own items by confidence · 2^(-age / half life), then all others by popularity.

    Of equal ones the more popular comes first: a basket is one age, and binary confidences are all equal.
    The baseline of repeated baskets, personal top frequency, with the decay of Hu et al. (2020).
    """

    def __init__(self, half_life_days: float | None = None) -> None:
        # Not `half_life_days`: what has that is tuned for it after the grid, and here it is the grid.
        self._half_life_days = half_life_days

    def fit(self, user_items: csr_array) -> Self:
        """Count each item's users."""
        self._popularity = shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items); what is not in the history in [-2, -1]."""
        scores = np.tile(self._popularity - 2, (user_items.shape[0], 1))
        weighed = aged(user_items, ages, self._half_life_days)
        known = weighed.data > 0
        rows = np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))
        shares = self._popularity / max(self._popularity.max(initial=0), np.finfo(np.float32).tiny)
        items = weighed.indices[known]
        scores[rows[known], items] = weighed.data[known] * (1 + _TIE * shares[items])
        return scores

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all that scoring needs beside the settings."""
        return {"popularity": self._popularity}

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Put together what `arrays` returned; scores are the same to the bit.

        Raises:
            KeyError: an array is missing.
            ValueError: it is no list of numbers.
        """
        recommender = cls(settings.get("half_life_days"))
        recommender._popularity = popularity_from_arrays(arrays)
        return recommender


def fitted(
    grid: Mapping[str, Sequence[float | None]],
    user_items: csr_array,
    seed: int,
    times: NDArray[np.float32] | None = None,
) -> Iterator[tuple[dict[str, float | None], Personal]]:
    """Fit with each half life of a grid, in the grid's order."""
    for days in half_lives_to_try("personal", grid["half_life_days"], times):
        yield {"half_life_days": days}, Personal(days).fit(user_items)
