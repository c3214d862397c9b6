"""The packaged recommender: ids in, ids out. Knows nothing of MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.errors import RecganError
from recgan.files import read_json, write_json
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import Recommender, recommend


@dataclass(frozen=True)
class Recommendation:
    """The best items for one history, best first."""

    item_ids: list[str]
    scores: list[float]


class PackagedRecommender:
    """Answers histories of item ids; what it cannot use of a history, it ignores.

    Unknown ids are ignored; a history without any known item gets the most popular items, with the number
    of users who have each as its score. Every known item of a history counts once, with confidence 1.
    """

    def __init__(self, recommender: Recommender, item_ids: Sequence[str], popularity: NDArray[np.float32]):
        """Bind a fitted recommender to its vocabulary.

        Args:
            recommender: scores positions.
            item_ids: the id of each position.
            popularity: (items,) users who have each item.
        """
        self.recommender = recommender
        self.item_ids = np.array(item_ids, dtype=object)
        self.popularity = popularity
        self._positions = {item_id: position for position, item_id in enumerate(item_ids)}

    @classmethod
    def load(cls, recommender: Path, items: Path) -> "PackagedRecommender":
        """Load from the recommender's folder and the JSON file that `write_items` wrote."""
        content = read_json(items)
        return cls(
            load_recommender(recommender),
            content["item_ids"],
            np.array(content["popularity"], dtype=np.float32),
        )

    def recommend(
        self, histories: Sequence[Sequence[str]], k: int = 10, exclude_seen: bool = True
    ) -> list[Recommendation]:
        """Recommend the k best items for each history.

        Args:
            histories: item ids of each shopper, in any order.
            k: length of a list; clipped to the catalogue. A list is shorter where fewer items remain.
            exclude_seen: leave out the items of the history.

        Raises:
            RecganError: k is below 1.
        """
        if k < 1:
            raise RecganError(f"k is {k}; ask for at least 1 item")
        user_items = self.user_items(histories)
        known = np.diff(user_items.indptr) > 0
        answers = [self._most_popular(k)] * len(histories)
        positions, scores = recommend(self.recommender, user_items[np.flatnonzero(known)], k, exclude_seen)
        for row, best, values in zip(np.flatnonzero(known), positions, scores, strict=True):
            kept = best >= 0
            answers[row] = Recommendation(self.item_ids[best[kept]].tolist(), values[kept].tolist())
        return answers

    def user_items(self, histories: Sequence[Sequence[str]]) -> csr_array:
        """Turn histories into a matrix (histories, items) of ones; unknown ids are left out."""
        rows = [
            sorted({self._positions[item] for item in history if item in self._positions})
            for history in histories
        ]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        indices = np.array([position for row in rows for position in row], dtype=np.int32)
        data = np.ones(len(indices), dtype=np.float32)
        return csr_array((data, indices, indptr), shape=(len(histories), len(self.item_ids)))

    def _most_popular(self, k: int) -> Recommendation:
        best = np.argsort(-self.popularity, kind="stable")[:k]
        return Recommendation(self.item_ids[best].tolist(), self.popularity[best].tolist())


def write_items(items: pd.DataFrame, path: Path) -> None:
    """Write the vocabulary and the popularity of each item as JSON.

    Args:
        items: in the order of positions, with item_id and popularity.
        path: the file to write.
    """
    write_json(
        path,
        {
            "item_ids": items["item_id"].astype(str).tolist(),
            "popularity": [float(count) for count in items["popularity"]],
        },
    )
