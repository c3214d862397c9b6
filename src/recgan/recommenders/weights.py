"""Weights between items, dense or sparse: their product with histories, and what a file keeps of them."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.ages import aged

Weights = csr_array | NDArray[np.float32]
_FEW = 4  # histories; a sparse product makes room for all items several times over before it multiplies
_PARTS = ("data", "indices", "indptr")


def dense_where_it_pays(weights: csr_array) -> Weights:
    """Keep weights sparse unless they are so full that a dense product is the faster one."""
    return weights.toarray() if weights.nnz * 16 > weights.shape[0] * weights.shape[1] else weights


def product_with(user_items: csr_array, weights: Weights) -> NDArray[np.float32]:
    """Return history @ weights, dense (rows, items), whatever the weights are kept as."""
    user_items = user_items.astype(np.float32, copy=False)
    if isinstance(weights, np.ndarray):
        return np.asarray(user_items @ weights)
    if user_items.shape[0] > _FEW:
        dense: NDArray[np.float32] = (user_items @ weights).toarray()
        return dense
    scores = np.zeros((user_items.shape[0], weights.shape[1]), dtype=np.float32)
    indices, data = weights.indices, weights.data
    for row, score in enumerate(scores):
        entries = slice(user_items.indptr[row], user_items.indptr[row + 1])
        items = user_items.indices[entries]
        bounds = (
            user_items.data[entries],
            weights.indptr[items].tolist(),
            weights.indptr[items + 1].tolist(),
        )
        for value, start, stop in zip(*bounds, strict=True):
            score[indices[start:stop]] += value * data[start:stop]  # no item stands twice in a row
    return scores


def weights_to_arrays(weights: Weights, popularity: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    """Return what `weights_from_arrays` puts together again; sparse weights as the three arrays of CSR."""
    if isinstance(weights, np.ndarray):
        return {"weights": np.ascontiguousarray(weights), "popularity": popularity}
    return {**{part: getattr(weights, part) for part in _PARTS}, "popularity": popularity}


def weights_from_arrays(
    arrays: Mapping[str, NDArray[np.generic]],
) -> tuple[Weights, NDArray[np.float32]]:
    """Return weights (items, items) and the items' popularity.

    Raises:
        KeyError: an array is missing.
        ValueError: their sizes disagree, or positions lie outside the items.
    """
    popularity = popularity_from_arrays(arrays)
    n_items = len(popularity)
    if "weights" in arrays:
        weights: Weights = arrays["weights"].astype(np.float32, copy=False)
        if weights.shape != (n_items, n_items):
            raise ValueError(f"the weights are {weights.shape}, but there are {n_items} items")
    else:
        weights = csr_array(tuple(arrays[part] for part in _PARTS), shape=(n_items, n_items))
        weights.check_format()
    return weights, popularity


def popularity_from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return the items' popularity, (items,).

    Raises:
        KeyError: it is missing.
        ValueError: it is no list of numbers.
    """
    popularity: NDArray[np.float32] = arrays["popularity"].astype(np.float32, copy=False)
    if popularity.ndim != 1:
        raise ValueError(f"the popularity is {popularity.shape}, not one number for each item")
    return popularity


class ItemWeights:
    """A recommender that scores by weights between items: what scoring needs, and its way into a package.

    What fits it sets `_weights` and `_popularity`. Its constructor takes its settings by their names.
    """

    half_life_days: float | None
    """By which a history's entries are weighed when it is scored; None weighs none."""
    _weights: Weights
    _popularity: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all that scoring needs beside the settings."""
        return weights_to_arrays(self._weights, self._popularity)

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Put together what `arrays` returned; scores are the same to the bit.

        Raises:
            TypeError: a setting is missing.
            KeyError: an array is missing.
            ValueError: the arrays' sizes disagree.
        """
        recommender = cls(**settings)
        recommender._weights, recommender._popularity = weights_from_arrays(arrays)
        return recommender

    def _product(self, user_items: csr_array, ages: csr_array | None) -> NDArray[np.float32]:
        """Return histories weighed by their ages @ weights, (rows, items)."""
        return product_with(aged(user_items, ages, self.half_life_days), self._weights)
