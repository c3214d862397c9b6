import numpy as np
from scipy.sparse import csr_array

from recgan.evaluation.segments import segments

HISTORY = csr_array(
    np.array(
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]],
        dtype=np.float32,
    )
)
HELD_OUT = csr_array(
    np.array(
        [[0, 1, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1], [1, 0, 1, 0, 0]],
        dtype=np.float32,
    )
)
POPULARITY = np.array([9, 5, 3, 3, 1])


def rows(part):
    return np.flatnonzero(np.diff(part.indptr)).tolist()


def items(part):
    return np.unique(part.nonzero()[1]).tolist()


def test_users_by_the_size_of_their_history():
    parts = segments(HISTORY, HELD_OUT, POPULARITY, 0.4, None)
    assert rows(parts["light_users"]) == [0, 1]
    assert rows(parts["heavy_users"]) == [2]
    assert rows(parts["new_users"]) == [3]


def test_items_by_popularity_and_age():
    newest = np.array([False, False, False, False, True])
    parts = segments(HISTORY, HELD_OUT, POPULARITY, 0.4, newest)
    assert items(parts["head_items"]) == [0, 1]
    assert items(parts["tail_items"]) == [2, 4]
    assert items(parts["new_items"]) == [4]
    assert rows(parts["new_items"]) == [0, 2]


def test_users_and_items_are_each_split_without_rest_or_overlap():
    parts = segments(HISTORY, HELD_OUT, POPULARITY, 0.4, None)
    dense = {name: part.toarray() for name, part in parts.items()}
    by_user = dense["light_users"] + dense["heavy_users"] + dense["new_users"]
    np.testing.assert_array_equal(by_user, HELD_OUT.toarray())
    np.testing.assert_array_equal(dense["head_items"] + dense["tail_items"], HELD_OUT.toarray())


def test_empty_segments_are_missing():
    parts = segments(
        csr_array(HISTORY[:1]), csr_array(HELD_OUT[:1]), POPULARITY, 0.4, np.zeros(5, dtype=bool)
    )
    assert set(parts) == {"light_users", "head_items", "tail_items"}


def test_nobody_has_a_history():
    parts = segments(csr_array((4, 5)), HELD_OUT, POPULARITY, 0.4, None)
    assert rows(parts["new_users"]) == [0, 1, 2, 3]
    assert "light_users" not in parts
    assert "heavy_users" not in parts
