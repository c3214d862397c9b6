"""Popularity: the same list for everybody."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.fallback import shares_of_users


class Popularity:
    """Rank by the number of users of an item, the same for everyone."""

    def fit(self, user_items: csr_array) -> Self:
        """Count each item's users."""
        self._popularity = shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return np.tile(self._popularity, (user_items.shape[0], 1))


def fitted(
    grid: Mapping[str, Sequence[float]], user_items: csr_array, seed: int
) -> Iterator[tuple[dict[str, float], Popularity]]:
    """Yield the one that there is: it has no settings."""
    yield {}, Popularity().fit(user_items)
