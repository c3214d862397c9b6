"""A recommender that was not fitted anew, over the larger vocabulary of train + validation."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.files import read_json, write_json
from recgan.recommenders.protocol import Recommender


class Widened:
    """Score histories over more items than a recommender was fitted on.

    The items that it does not know come last, behind those that it does. What a history has of them it leaves
    out: a history of nothing else is an empty one.
    """

    def __init__(self, recommender: Recommender, items: int) -> None:
        """Take a fitted recommender.

        Args:
            recommender: of the first items.
            items: how many it was fitted on.
        """
        self.recommender = recommender
        self.items = items

    def fit(self, user_items: csr_array) -> Self:
        """Fit the recommender on these items."""
        self.recommender.fit(user_items)
        self.items = user_items.shape[1]
        return self

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each row, (rows, items): each row's least score for what is not known."""
        known = self.recommender.score(
            csr_array(user_items[:, : self.items]), None if ages is None else csr_array(ages[:, : self.items])
        )
        # Ties go to the lower position, so the items behind come after all known ones.
        least = np.repeat(known.min(axis=1, keepdims=True), user_items.shape[1] - self.items, axis=1)
        return np.hstack([known, least])

    def vectors(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return the recommender's vectors of histories, where it has such."""
        known = csr_array(user_items[:, : self.items])
        found: NDArray[np.float32] = self.recommender.vectors(  # type: ignore[attr-defined]
            known, None if ages is None else csr_array(ages[:, : self.items])
        )
        return found

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the recommender's vectors of the items that it knows."""
        found: NDArray[np.float32] = self.recommender.item_vectors()  # type: ignore[attr-defined]
        return found


def write_items(items: int, folder: Path) -> None:
    """Note beside a recommender's files how many items it was fitted on."""
    write_json(folder / ITEMS, {"items": items})


def as_noted(recommender: Recommender, folder: Path) -> Recommender:
    """Return the recommender of a folder, over more items where `write_items` noted so."""
    path = folder / ITEMS
    return Widened(recommender, int(read_json(path)["items"])) if path.exists() else recommender


ITEMS = "fitted_items.json"
