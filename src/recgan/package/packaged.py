"""The packaged recommender: ids in, ids out. Knows nothing of MLflow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.features.matrices import Features
from recgan.features.newest import newest_histories
from recgan.features.settings import FeaturesParams
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import Recommender, recommend
from recgan.registry.manifest import check_artifacts


@dataclass(frozen=True)
class Recommendation:
    """The best items for one history, best first."""

    item_ids: list[str]
    scores: list[float]


@dataclass(frozen=True)
class Catalogue:
    """What the shop says of each item, in the order of positions; None where it says nothing."""

    titles: list[str | None]
    categories: list[str | None]
    prices: list[float | None]
    """The listed price; the mean price paid in the train window where none is listed."""


@dataclass(frozen=True)
class Confidence:
    """How the events of a history become confidences: what features.* said when the model was trained."""

    weights: dict[str, float]
    binary: bool
    min_rating: float | None
    half_life_days: float | None


@dataclass(frozen=True)
class Shoppers:
    """The histories of the shoppers that features knew."""

    rows: dict[str, int]
    user_items: csr_array
    """(shoppers, items) confidences."""


class PackagedRecommender:
    """Answers histories of item ids; what it cannot use of a history, it ignores.

    Unknown ids are ignored; a history without any known item is an empty one, which the recommender answers
    like any other. Every known item of a history counts once. Its confidence is 1 unless the question gives
    one, as features does. Confidences of one item add up.
    """

    def __init__(
        self,
        recommender: Recommender,
        item_ids: Sequence[str],
        popularity: NDArray[np.float32],
        catalogue: Catalogue | None = None,
        confidence: Confidence | None = None,
        shoppers: Shoppers | None = None,
    ):
        """Bind a fitted recommender to its vocabulary.

        Args:
            recommender: scores positions.
            item_ids: the id of each position.
            popularity: (items,) users who have each item.
            catalogue: None in a package that was made before it was kept, as the next two.
            confidence: of typed events.
            shoppers: whose histories are known.

        Raises:
            RecganError: an id stands for two positions.
        """
        self.recommender = recommender
        self.item_ids = np.array(item_ids, dtype=object)
        self.popularity = popularity
        self.catalogue = catalogue
        self.confidence = confidence
        self.shoppers = shoppers
        self.positions = {item_id: position for position, item_id in enumerate(item_ids)}
        if len(self.positions) < len(item_ids):  # a list of theirs could name one item twice
            raise RecganError(
                f"the package names {len(item_ids)} items by {len(self.positions)} ids, so some stand twice; "
                "it is damaged: register the training again (make run)"
            )

    @classmethod
    def load(cls, recommender: Path, items: Path) -> "PackagedRecommender":
        """Load from the recommender's folder and the JSON file that `write_items` wrote.

        Raises:
            DamagedPackageError: a file beside a manifest is not the one that was packaged.
        """
        check_artifacts(items.parent)
        content = read_json(items)
        catalogue, confidence = content.get("catalogue"), content.get("confidence")
        return cls(
            load_recommender(recommender),
            content["item_ids"],
            np.array(content["popularity"], dtype=np.float32),
            None if catalogue is None else Catalogue(**catalogue),
            None if confidence is None else Confidence(**confidence),
            _read_shoppers(items.with_name(SHOPPERS), len(content["item_ids"])),
        )

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        exclude_seen: bool = True,
        confidences: Sequence[Sequence[float] | None] | None = None,
    ) -> list[Recommendation]:
        """Recommend the k best items for each history.

        Args:
            histories: item ids of each shopper, in any order.
            k: length of a list; clipped to the catalogue. A list is shorter where fewer items remain.
            exclude_seen: leave out the items of the history.
            confidences: of each history's items, in the same order; None takes 1 for all of them.

        Raises:
            RecganError: k is below 1, or confidences do not fit the histories or are not above 0.
        """
        if k < 1:
            raise RecganError(f"k is {k}; ask for at least 1 item")
        user_items = self.user_items(histories, confidences)
        positions, scores = recommend(self.recommender, user_items, k, exclude_seen)
        return [
            Recommendation(self.item_ids[best[best >= 0]].tolist(), values[best >= 0].tolist())
            for best, values in zip(positions, scores, strict=True)
        ]

    def user_items(
        self,
        histories: Sequence[Sequence[str]],
        confidences: Sequence[Sequence[float] | None] | None = None,
    ) -> csr_array:
        """Turn histories into a matrix (histories, items) of confidences; unknown ids are left out."""
        rows = [
            self._row(history, None if confidences is None else confidences[number])
            for number, history in enumerate(histories)
        ]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        indices = np.array([position for row in rows for position, _ in row], dtype=np.int32)
        data = np.array([confidence for row in rows for _, confidence in row], dtype=np.float32)
        return csr_array((data, indices, indptr), shape=(len(histories), len(self.item_ids)))

    def _row(self, history: Sequence[str], confidences: Sequence[float] | None) -> list[tuple[int, float]]:
        if confidences is None:
            return sorted({self.positions[item]: 1.0 for item in history if item in self.positions}.items())
        if len(confidences) != len(history):
            raise RecganError(
                f"{len(confidences)} confidences for a history of {len(history)} items; give one for each"
            )
        row: dict[int, float] = {}
        for item, confidence in zip(history, confidences, strict=True):
            if not 0 < confidence < math.inf:
                raise RecganError(f"the confidence {confidence} of item {item!a} is not a number above 0")
            if item in self.positions:
                row[self.positions[item]] = row.get(self.positions[item], 0.0) + confidence
        return sorted(row.items())


def write_items(items: pd.DataFrame, path: Path, params: FeaturesParams | None = None) -> None:
    """Write the vocabulary, the popularity of each item and what is known of it as JSON.

    Args:
        items: in the order of positions, with item_id and popularity; title, category, price and mean_price
            where they are there.
        path: the file to write.
        params: the features section, which says what an event is worth.
    """
    content = {
        "item_ids": items["item_id"].astype(str).tolist(),
        "popularity": [float(count) for count in items["popularity"]],
        "catalogue": {
            "titles": _texts(items, "title"),
            "categories": _texts(items, "category"),
            "prices": _prices(items),
        },
    }
    if params is not None:
        content["confidence"] = {
            "weights": {str(kind): weight for kind, weight in params.weights.items()},
            "binary": params.binary,
            "min_rating": params.min_rating,
            "half_life_days": params.half_life_days,
        }
    write_json(path, content)


def write_shoppers(features: Features, path: Path) -> None:
    """Write the history of every shopper in the log, the test window included, into an .npz without pickle.

    What a window holds out has lost its confidence: an item that only the test window has counts 1.

    Args:
        features: whose newest histories they are, those that `recgan recommend` asks with.
        path: the file to write.
    """
    newest = newest_histories(features)
    known = newest.user_items
    np.savez_compressed(
        path,
        user_ids=newest.user_ids.astype(str),
        data=known.data,
        indices=known.indices.astype(np.int32),
        indptr=known.indptr.astype(np.int64),
    )


SHOPPERS = "shoppers.npz"
"""Beside items.json, in a package that has it."""


def _read_shoppers(path: Path, n_items: int) -> Shoppers | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as content:
        user_ids = content["user_ids"].tolist()
        parts = (content["data"], content["indices"], content["indptr"])
    return Shoppers(
        {user_id: row for row, user_id in enumerate(user_ids)},
        csr_array(parts, shape=(len(user_ids), n_items)),
    )


def _texts(items: pd.DataFrame, column: str) -> list[str | None]:
    if column not in items:
        return [None] * len(items)
    return [value if isinstance(value, str) else None for value in items[column]]


def _prices(items: pd.DataFrame) -> list[float | None]:
    prices = np.full(len(items), np.nan)
    for column in ("price", "mean_price"):
        if column in items:
            listed = items[column].to_numpy(dtype=np.float64, na_value=np.nan)
            prices = np.where(np.isfinite(prices), prices, listed)
    return [float(price) if np.isfinite(price) else None for price in prices]
