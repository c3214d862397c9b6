"""The packaged recommender: ids in, ids out. Knows nothing of MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.features.matrices import beside
from recgan.features.settings import FeaturesParams
from recgan.package.numbers import one_for_each
from recgan.package.shoppers import SHOPPERS, Shoppers, read_shoppers
from recgan.recommenders.approximate import Approximate
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import Recommender, recommend
from recgan.registry.manifest import check_artifacts, md5_of


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
    images: list[str | None] | None = None
    brands: list[str | None] | None = None
    """Addresses of pictures, and brands: None where no item has one, and in a package made before them."""


@dataclass(frozen=True)
class Confidence:
    """How the events of a history become confidences: what features.* said when the model was trained."""

    weights: dict[str, float]
    binary: bool
    min_rating: float | None
    half_life_days: float | None


class PackagedRecommender:
    """Answers histories of item ids; what it cannot use of a history, it ignores.

    Unknown ids are ignored; a history without any known item is an empty one, which the recommender answers
    like any other. Every known item of a history counts once. Its confidence is 1 unless the question gives
    one, as features does. Confidences of one item add up, and of its ages the smallest counts.
    """

    def __init__(
        self,
        recommender: Recommender,
        item_ids: Sequence[str],
        popularity: NDArray[np.float32],
        catalogue: Catalogue | None = None,
        confidence: Confidence | None = None,
        shoppers: Shoppers | None = None,
        md5: str | None = None,
    ):
        """Bind a fitted recommender to its vocabulary.

        Args:
            recommender: scores positions.
            item_ids: the id of each position.
            popularity: (items,) users who have each item.
            catalogue: None in a package that was made before it was kept, as the next two.
            confidence: of typed events.
            shoppers: whose histories are known.
            md5: of the package's files; None where it comes from none.

        Raises:
            RecganError: an id stands for two positions.
        """
        self.recommender = recommender
        self.item_ids = np.array(item_ids, dtype=object)
        self.popularity = popularity
        self.catalogue = catalogue
        self.confidence = confidence
        self.shoppers = shoppers
        self.md5 = md5
        self.positions = {item_id: position for position, item_id in enumerate(item_ids)}
        if len(self.positions) < len(item_ids):  # a list of theirs could name one item twice
            raise RecganError(
                f"the package names {len(item_ids):,} items by {len(self.positions):,} ids, so some "
                "stand twice; it is damaged: register the training again (make run)"
            )

    @classmethod
    def load(cls, recommender: Path, items: Path, shoppers: bool = True) -> "PackagedRecommender":
        """Load from the recommender's folder and the JSON file that `write_items` wrote.

        Args:
            recommender: its folder.
            items: the JSON file.
            shoppers: read the histories of the known shoppers too, which may be more than all the rest.

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
            read_shoppers(items.with_name(SHOPPERS), len(content["item_ids"])) if shoppers else None,
            md5_of(items.parent),
        )

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        exclude_seen: bool = True,
        confidences: Sequence[Sequence[float] | None] | None = None,
        ages: Sequence[Sequence[float] | None] | None = None,
        approximate: bool = False,
    ) -> list[Recommendation]:
        """Recommend the k best items for each history.

        Args:
            histories: item ids of each shopper, in any order.
            k: length of a list; clipped to the catalogue. A list is shorter where fewer items remain.
            exclude_seen: leave out the items of the history.
            confidences: of each history's items, in the same order; None takes 1 for all of them.
            ages: days since the last event with each item, in the same order; None takes all of a history for
                equally old.
            approximate: rank by an index, which is built at the first such call and misses a few of the best.

        Raises:
            RecganError: k is below 1, there can be no index of this recommender, confidences or ages do not
                fit the histories, confidences are not above 0, or ages are below 0.
        """
        if k < 1:
            raise RecganError(f"k is {k}; ask for at least 1 item")
        user_items, since = self.matrices(histories, confidences, ages)
        if approximate:
            positions, scores = self._approximate.recommend(user_items, k, exclude_seen, since)
        else:
            positions, scores = recommend(self.recommender, user_items, k, exclude_seen, ages=since)
        return [
            Recommendation(self.item_ids[best[best >= 0]].tolist(), values[best >= 0].tolist())
            for best, values in zip(positions, scores, strict=True)
        ]

    @cached_property
    def _approximate(self) -> Approximate:
        return Approximate(self.recommender)

    def matrices(
        self,
        histories: Sequence[Sequence[str]],
        confidences: Sequence[Sequence[float] | None] | None = None,
        ages: Sequence[Sequence[float] | None] | None = None,
    ) -> tuple[csr_array, csr_array | None]:
        """Turn histories into (histories, items) of confidences and of ages; unknown ids are left out."""
        lengths, n_items = [len(history) for history in histories], len(self.item_ids)
        items = [item for history in histories for item in history]
        worth = one_for_each("confidences", confidences, lengths, 1.0)
        days = one_for_each("ages", ages, lengths, 0.0)
        if (wrong := np.flatnonzero(~((worth > 0) & (worth < np.inf)))).size:
            item, confidence = items[wrong[0]], worth[wrong[0]]
            raise RecganError(f"the confidence {confidence:g} of item {item!a} is not a number above 0")
        if (wrong := np.flatnonzero(~((days >= 0) & (days < np.inf)))).size:
            item, age = items[wrong[0]], days[wrong[0]]
            raise RecganError(f"the age {age:g} of item {item!a} is not a number of days from 0 up")
        positions = np.array([self.positions.get(item, -1) for item in items], dtype=np.int64)
        known = positions >= 0
        places = np.repeat(np.arange(len(lengths)), lengths)[known] * n_items + positions[known]
        cells, cell = np.unique(places, return_inverse=True)
        rows = cells // max(n_items, 1)
        total, newest = np.bincount(cell, worth[known], len(cells)), np.full(len(cells), np.inf)
        np.minimum.at(newest, cell, days[known])
        counted_once = [confidences is None or confidences[row] is None for row in range(len(lengths))]
        total[np.array(counted_once, dtype=np.bool_)[rows]] = 1
        user_items = csr_array(
            (
                total.astype(np.float32),
                (cells - rows * n_items).astype(np.int32),
                np.searchsorted(rows, np.arange(len(lengths) + 1)),
            ),
            shape=(len(lengths), n_items),
        )
        return user_items, None if ages is None else beside(user_items, newest.astype(np.float32))


def write_items(items: pd.DataFrame, path: Path, params: FeaturesParams | None = None) -> None:
    """Write the vocabulary, the popularity of each item and what is known of it as JSON.

    Args:
        items: in the order of positions, with item_id and popularity; title, category, brand, price,
            mean_price and image_url where they are there.
        path: the file to write.
        params: the features section, which says what an event is worth.
    """
    catalogue = {"titles": _texts(items, "title"), "categories": _texts(items, "category")}
    for field, column in (("images", "image_url"), ("brands", "brand")):
        if any(texts := _texts(items, column)):
            catalogue[field] = texts
    content = {
        "item_ids": items["item_id"].astype(str).tolist(),
        "popularity": [float(count) for count in items["popularity"]],
        "catalogue": catalogue | {"prices": _prices(items)},
    }
    if params is not None:
        content["confidence"] = {
            "weights": {str(kind): weight for kind, weight in params.weights.items()},
            "binary": params.binary,
            "min_rating": params.min_rating,
            "half_life_days": params.half_life_days,
        }
    write_json(path, content)


def _texts(items: pd.DataFrame, column: str) -> list[str | None]:
    found = items[column] if column in items else [None] * len(items)
    return [value if isinstance(value, str) else None for value in found]


def _prices(items: pd.DataFrame) -> list[float | None]:
    prices = np.full(len(items), np.nan)
    for column in ("price", "mean_price"):
        if column in items:
            listed = items[column].to_numpy(dtype=np.float64, na_value=np.nan)
            prices = np.where(np.isfinite(prices), prices, listed)
    return [float(price) if np.isfinite(price) else None for price in prices]
