"""The closed form of a linear item-item recommender: EASE's, and the student's on another Gram matrix."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csc_array, csr_array, diags_array

from recgan.core.errors import RecganError

_BLOCK_CELLS = 2_000_000  # of a Gram matrix, made at a time
_TILE = 512  # rows and columns that are copied across the diagonal at a time: a processor's cache holds them


def item_gram(user_items: csr_array, row_weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return XᵀDX, dense (items, items), with nothing of its size beside it.

    Args:
        user_items: X, (users, items), confidences.
        row_weights: the diagonal of D, (users,); None weighs all alike.
    """
    matrix = csr_array(user_items.astype(np.float64))
    columns = csc_array(matrix)
    if row_weights is not None:
        matrix = csr_array(diags_array(row_weights) @ matrix)
    n_items = matrix.shape[1]
    gram = np.empty((n_items, n_items))
    size = max(1, _BLOCK_CELLS // max(n_items, 1))
    for start in range(0, n_items, size):
        (columns[:, start : start + size].T @ matrix).toarray(out=gram[start : start + size])
    return gram


def linear_weights(gram: NDArray[np.float64], l2: float, failure: str) -> NDArray[np.float32]:
    """Return B = I - P diag(1/diag P), P = (gram + l2 I)⁻¹ (Steck 2019); zero diagonal, (items, items).

    Args:
        gram: (items, items), symmetric. It is worked in, and is as it was when this returns.
        l2: the ridge.
        failure: what to say where the matrix cannot be inverted.

    Raises:
        RecganError: the matrix cannot be inverted.
    """
    gram = np.ascontiguousarray(gram)
    of_gram = gram.diagonal().copy()
    try:
        gram[np.diag_indices_from(gram)] += l2
        # Cholesky, then its inverse: half the work of a general inverse. LAPACK's lower triangle is the upper
        # one here, and the other keeps the Gram matrix; `clean` would zero it, another order would copy it.
        factor, failed = lapack.dpotrf(gram.T, lower=1, clean=0, overwrite_a=1)
        inverse, failed_too = lapack.dpotri(factor, lower=1, overwrite_c=1)
        if failed or failed_too:
            raise RecganError(failure)
        return _weights_from_upper(inverse.T)
    finally:
        for rows, columns in _tiles(len(gram)):
            _copy_across(gram[columns, rows], gram[rows, columns])
        gram[np.diag_indices_from(gram)] = of_gram


def _weights_from_upper(inverse: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return B of an inverse whose upper triangle counts, which is symmetric."""
    weights = np.empty(inverse.shape, dtype=np.float32)
    negative = -inverse.diagonal()
    for rows, columns in _tiles(len(inverse)):
        tile = inverse[rows, columns]
        if rows == columns:
            tile = np.triu(tile) + np.triu(tile, 1).T
        np.divide(tile, negative[None, columns], out=weights[rows, columns], casting="same_kind")
        np.divide(tile.T, negative[None, rows], out=weights[columns, rows], casting="same_kind")
    np.fill_diagonal(weights, 0)
    return weights


def _tiles(size: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each tile on the diagonal and above it."""
    cuts = [slice(start, start + _TILE) for start in range(0, size, _TILE)]
    for place, rows in enumerate(cuts):
        for columns in cuts[place:]:
            yield rows, columns


def _copy_across(below: NDArray[np.float64], above: NDArray[np.float64]) -> None:
    """Copy a tile below the diagonal to the one above; of one on the diagonal its lower triangle."""
    if below.shape == above.shape and np.shares_memory(below, above):
        above[...] = np.tril(below) + np.tril(below, -1).T
    else:
        above[...] = below.T
