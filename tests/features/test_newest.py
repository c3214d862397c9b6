"""The newest history: everything that is known of a shopper, the test window included."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from recgan.features.matrices import Features, HeldOut
from recgan.features.newest import newest_histories


def matrix(*rows):
    return csr_array(np.array(rows, dtype=np.float32))


def ids(*names):
    return np.array(names, dtype=object)


def test_before_and_in_the_test_window_make_one_history():
    known = matrix([1, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 0.5, 0])
    test = HeldOut(
        user_ids=ids("a", "d", "e"),
        history=matrix([0, 0, 0, 1], [0, 2.5, 0, 0], [0, 0, 0, 0]),
        held_out=matrix([1, 0, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]),
    )
    features = Features(known[:1], known, ids("c", "d", "b"), pd.DataFrame(), None, test, {})
    user_ids, histories = newest_histories(features)
    assert user_ids.tolist() == ["a", "b", "c", "d", "e"]
    assert (histories.toarray() != 0).astype(int).tolist() == [
        [1, 0, 0, 1],  # in the test window alone
        [0, 0, 1, 0],  # not in the test window
        [1, 0, 0, 0],
        [1, 1, 1, 0],  # both
        [0, 1, 0, 0],  # new, and the history before was empty
    ]
    assert histories.toarray()[3].tolist() == [1, 2.5, 1, 0]  # what the window holds out counts 1
    assert histories.has_sorted_indices
