"""Popularity: the same list for everybody."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.fallback import shares_of_users
from recgan.recommenders.half_lives import half_lives_to_try
from recgan.recommenders.weights import popularity_from_arrays


class Popularity:
    """Rank by the number of users of an item, the same for everyone.

    With a half life h a user counts 2^(-(newest - t) / h), t the day of the last event with the item.
    """

    def __init__(self, half_life_days: float | None = None) -> None:
        # Not `half_life_days`: that is the name of weighing histories when scoring.
        self._half_life_days = half_life_days

    def fit(self, user_items: csr_array, times: NDArray[np.float32] | None = None) -> Self:
        """Count each item's users.

        Args:
            user_items: (users, items), confidences.
            times: (entries,) days from the log's start, beside `user_items.data`; needed with a half life.
        """
        if self._half_life_days is None:
            self._popularity = shares_of_users(user_items)
            return self
        assert times is not None
        ages = times.max(initial=0) - times.astype(np.float64)
        counted = np.where(user_items.data != 0, np.exp2(-ages / self._half_life_days), 0)
        counts = np.bincount(user_items.indices, counted, minlength=user_items.shape[1])
        self._popularity = (counts / max(user_items.shape[0], 1)).astype(np.float32)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return np.tile(self._popularity, (user_items.shape[0], 1))

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
) -> Iterator[tuple[dict[str, float | None], Popularity]]:
    """Fit with each half life of a grid, in the grid's order; a grid without any counts all users alike."""
    if "half_life_days" not in grid:
        yield {}, Popularity().fit(user_items)
        return
    for days in half_lives_to_try("popularity", grid["half_life_days"], times):
        yield {"half_life_days": days}, Popularity(days).fit(user_items, times)
