"""The closed form of a linear item-item recommender: EASE's, and the student's on another Gram matrix."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from recgan.core.errors import RecganError


def linear_weights(gram: NDArray[np.float64], l2: float, failure: str) -> NDArray[np.float32]:
    """Return B = I - P diag(1/diag P), P = (gram + l2 I)⁻¹ (Steck 2019); zero diagonal, (items, items).

    Args:
        gram: (items, items), overwritten.
        l2: the ridge.
        failure: what to say where the matrix cannot be inverted.

    Raises:
        RecganError: the matrix cannot be inverted.
    """
    gram[np.diag_indices_from(gram)] += l2
    # Cholesky, then its inverse in place: half the work of a general inverse.
    factor, failed = scipy.linalg.lapack.dpotrf(gram, lower=1, overwrite_a=1)
    lower, failed_too = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise RecganError(failure)
    diagonal = lower.diagonal().copy()
    symmetric = np.tril(lower) + np.tril(lower, -1).T
    weights: NDArray[np.float32] = (symmetric / -diagonal[None, :]).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights
