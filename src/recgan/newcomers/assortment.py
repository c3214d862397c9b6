"""All that a version can list: the items of its package, and the new products beside it."""

import math
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recgan.newcomers.weights import Newcomers, together, top_k_of_both
from recgan.package.packaged import PackagedRecommender

Trait = Literal["category", "brand"]
Mask = NDArray[np.bool_]


class Assortment:
    """A package's items in the order of its positions; the new products that fit it stand after them."""

    def __init__(self, packaged: PackagedRecommender, newcomers: Newcomers | None = None) -> None:
        """Bind both."""
        self.packaged = packaged
        self.newcomers = newcomers
        self.item_ids = packaged.item_ids
        self.catalogue = packaged.catalogue
        if newcomers is not None:
            self.item_ids = np.concatenate([self.item_ids, np.array(newcomers.item_ids, dtype=object)])
            if packaged.catalogue is not None:
                self.catalogue = together(packaged.catalogue, newcomers.catalogue)
        catalogue, self._n_items = self.catalogue, len(packaged.item_ids)
        self._traits: dict[Trait, tuple[dict[str, int], NDArray[np.int32]]] = {}
        self._prices: NDArray[np.float64] | None = None
        if catalogue is not None:
            self._traits["category"] = _coded(catalogue.categories)
            self._prices = np.array(
                [math.nan if price is None else price for price in catalogue.prices], dtype=np.float64
            )

    def trait(self, kind: Trait) -> tuple[dict[str, int], NDArray[np.int32]]:
        """Return the code of each category or brand, and that of each item; -1 where none is known."""
        if kind not in self._traits:
            brands = None if self.catalogue is None else self.catalogue.brands
            self._traits[kind] = _coded(brands or [None] * len(self.item_ids))
        return self._traits[kind]

    def position(self, item_id: str) -> int | None:
        """Return where an item stands in the vocabulary or, a new one, after it; None for an unknown one."""
        found = self.packaged.positions.get(item_id)
        if found is None and self.newcomers is not None:
            place = self.newcomers.places.get(item_id)
            return None if place is None else self._n_items + place
        return found

    def knows(self, item_id: str) -> bool:
        """Tell whether an item is in the vocabulary or a new one."""
        return self.position(item_id) is not None

    def within(
        self, categories: Collection[str] | None, min_price: float | None, max_price: float | None
    ) -> Mask | None:
        """Return which items a request's filters let through (items + new products,); None for all.

        An item without a price is not in any range of prices. Without a catalogue all are let through.
        """
        if self._prices is None or (categories is None and min_price is None and max_price is None):
            return None
        mask = np.ones(len(self.item_ids), dtype=np.bool_)
        if categories is not None:
            named, codes = self.trait("category")
            mask &= np.isin(codes, [named[one] for one in categories if one in named])
        if min_price is not None:
            mask &= self._prices >= min_price
        if max_price is not None:
            mask &= self._prices <= max_price
        return mask

    @property
    def new_share(self) -> float:
        """Of a list that may be new products, as long as there are known ones to fill it."""
        return 0.0 if self.newcomers is None else self.newcomers.max_share

    def ranked(self, scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return positions and scores of lists of k as they are shown: the new products have their share.

        Args:
            scores: (rows, items) or (rows, items + new products); -inf where an item is left out.
            k: length of a list. Where fewer are left, the rest is position -1 and score -inf.
        """
        known, new = scores[:, : self._n_items], scores[:, self._n_items :]
        return top_k_of_both(known, new, k, self.new_share)


def _coded(values: Sequence[str | None]) -> tuple[dict[str, int], NDArray[np.int32]]:
    codes = {
        value: code for code, value in enumerate(dict.fromkeys(one for one in values if one is not None))
    }
    return codes, np.array([-1 if one is None else codes[one] for one in values], dtype=np.int32)
