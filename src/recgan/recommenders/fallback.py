"""Popularity where a recommender knows nothing, so that its ranking is complete."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def shares_of_users(user_items: csr_array) -> NDArray[np.float32]:
    """Return the share of users who have each item, (items,)."""
    counts = np.bincount(user_items.indices[user_items.data != 0], minlength=user_items.shape[1])
    return (counts / max(user_items.shape[0], 1)).astype(np.float32)


def unreached_by_popularity(
    scores: NDArray[np.float32], popularity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Order the items with score 0 by popularity, below all others: in [-2, -1]."""
    return np.where(scores > 0, scores, popularity - 2)


def empty_by_popularity(
    scores: NDArray[np.float32], user_items: csr_array, popularity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give popularity to the rows without history."""
    scores[np.diff(user_items.indptr) == 0] = popularity
    return scores
