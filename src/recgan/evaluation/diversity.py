"""How unlike one another the products of a list are."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr


def effective_categories(ranking: NDArray[np.int32], category: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return exp(entropy) of each list's categories (Hill 1973): as varied as that many in equal shares.

    Args:
        ranking: (rows, places) positions; -1 where there is none.
        category: (items,) a name, or anything that is no text where nobody knows; such places are left out.

    Returns:
        (rows,), NaN where no category of the list is known.
    """
    known = np.array([isinstance(name, str) for name in category], dtype=bool)
    codes = np.full(len(category) + 1, -1)  # the last entry is that of position -1
    if known.any():
        codes[:-1][known] = np.unique(category[known].astype(str), return_inverse=True)[1]
    shown = codes[ranking]  # (rows, places)
    numbers = np.full(len(ranking), np.nan)
    for row, places in enumerate(shown):
        counts = np.bincount(places[places >= 0])
        shares = counts[counts > 0] / max(counts.sum(), 1)
        if len(shares):
            numbers[row] = np.exp(entr(shares).sum())
    return numbers


def intra_list_distance(ranking: NDArray[np.int32], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of 1 - cosine over the pairs of each list (Ziegler et al. 2005).

    Args:
        ranking: (rows, places) positions; -1 where there is none.
        vectors: (items, width) what the products are; one of which nothing is known is left out.

    Returns:
        (rows,), NaN where fewer than two products of the list are known.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    units = vectors / np.where(lengths > 0, lengths, 1)[:, None]
    there = (ranking >= 0) & (lengths[ranking] > 0)  # (rows, places)
    n = there.sum(axis=1)
    together = np.where(there[:, :, None], units[ranking], 0).sum(axis=1)  # (rows, width)
    cosines = np.square(together).sum(axis=1) - n  # of all ordered pairs
    pairs = n * (n - 1)
    return np.where(pairs > 0, 1 - cosines / np.maximum(pairs, 1), np.nan)
