"""EASE: the linear item-item recommender in closed form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.fallback import empty_by_popularity, shares_of_users
from recgan.recommenders.linear import item_gram, linear_weights
from recgan.recommenders.weights import ItemWeights


class EASE(ItemWeights):
    """The linear item-item recommender in closed form (Steck 2019).

    P = (XᵀX + l2·I)⁻¹, B = I − P·diag(1/diag P), so that diag(B) = 0; scores = history @ B.
    Fitting takes 18 bytes for each pair of items at its peak (settings.py), scoring 4.
    """

    def __init__(self, l2: float, half_life_days: float | None = None) -> None:
        self.l2 = l2
        self.half_life_days = half_life_days

    def fit(self, user_items: csr_array, gram: NDArray[np.float64] | None = None) -> Self:
        """Invert the Gram matrix.

        Args:
            user_items: (users, items), confidences.
            gram: XᵀX of the same matrix, to share it between several l2; worked in, and left as it was.
        """
        if gram is None:
            gram = item_gram(user_items)
        failure = f"EASE cannot invert with l2 {self.l2}; raise it"
        self._weights = linear_weights(gram, self.l2, failure)
        self._popularity = shares_of_users(user_items)
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items)."""
        return empty_by_popularity(self._product(user_items, ages), user_items, self._popularity)


def fitted(
    grid: Mapping[str, Sequence[float]],
    user_items: csr_array,
    seed: int,
    times: NDArray[np.float32] | None = None,
) -> Iterator[tuple[dict[str, float], EASE]]:
    """Fit with each setting of a grid, in the grid's order; one Gram matrix serves all."""
    gram = item_gram(user_items)
    for l2 in grid["l2"]:
        yield {"l2": l2}, EASE(l2).fit(user_items, gram)
