"""Histories weighted by age at scoring, and when the entries of a matrix were."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import Features


def aged(user_items: csr_array, ages: csr_array | None, half_life_days: float | None) -> csr_array:
    """Halve the entries of histories for every half life of their ages.

    Ages count from each row's newest entry, which keeps its weight. That scales a row as a whole and leaves a
    shopper whose last visit is long ago with weights that are not all next to nothing.

    Args:
        user_items: (rows, items), confidences.
        ages: (rows, items), days since the last event, the same entries in the same order; None where nothing
            is known of time.
        half_life_days: None weighs nothing.

    Returns:
        (rows, items), the same entries; `user_items` itself where there is nothing to weigh by.
    """
    if ages is None or half_life_days is None:
        return user_items
    lengths = np.diff(user_items.indptr)
    newest = np.zeros(len(lengths))
    some = lengths > 0  # reduceat would give an empty row its neighbour's first entry
    if some.any():
        newest[some] = np.minimum.reduceat(ages.data, ages.indptr[:-1][some])
    weights = np.exp2((np.repeat(newest, lengths) - ages.data) / half_life_days)
    # An entry that underflows would be seen and not seen at once.
    data = np.maximum(user_items.data * weights, np.finfo(np.float32).tiny).astype(np.float32)
    return csr_array((data, user_items.indices, user_items.indptr), shape=user_items.shape)


def times_of(features: Features, user_items: csr_array) -> NDArray[np.float32] | None:
    """Return when each entry of a matrix of the features was, where that is known."""
    dated = (
        (features.train, features.train_times),
        (features.train_validation, features.train_validation_times),
    )
    return next((times for matrix, times in dated if matrix is user_items), None)
