"""The newest history of every shopper that the features know: what tomorrow's recommendations start from."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from recgan.features.matrices import Features


def newest_histories(features: Features) -> tuple[NDArray[np.object_], csr_array]:
    """Join what each shopper had before the test window with what the window holds out.

    Args:
        features: matrices.

    Returns:
        The ids of all shoppers, sorted, and their histories (shoppers, items) of confidences. What a window
        holds out has lost its confidence: an item that only the test window has counts 1.
    """
    test = features.test
    stay = np.flatnonzero(~np.isin(features.user_ids.astype(str), test.user_ids.astype(str)))
    user_ids = np.concatenate([features.user_ids[stay], test.user_ids])
    rows = vstack([features.train_validation[stay], test.history.maximum(test.held_out)], format="csr")
    order = np.argsort(user_ids, kind="stable")
    histories = csr_array(rows[order])
    histories.sort_indices()
    return user_ids[order], histories
