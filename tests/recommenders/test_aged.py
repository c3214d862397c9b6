"""Histories weighted by age, by hand-computed values."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.recommenders.ages import aged

USER_ITEMS = csr_array(np.array([[0, 4, 0, 2], [0, 0, 0, 0], [1, 0, 3, 0]], dtype=np.float32))


def beside(user_items: csr_array, *days: float) -> csr_array:
    """Return ages beside the entries of histories."""
    return csr_array((np.float32(days), user_items.indices, user_items.indptr), shape=user_items.shape)


def test_an_entry_is_halved_for_each_half_life_since_the_newest_of_its_row():
    weighted = aged(USER_ITEMS, beside(USER_ITEMS, 10, 30, 7, 0), half_life_days=10)
    assert weighted.toarray()[:2].tolist() == [[0, 4, 0, 0.5], [0, 0, 0, 0]]  # 20 days: two half lives
    assert weighted.toarray()[2].tolist() == pytest.approx([2**-0.7, 0, 3, 0])  # the newest is of today
    assert weighted.dtype == np.float32


def test_the_same_time_more_for_a_whole_row_changes_nothing():
    ages = beside(USER_ITEMS, 10, 30, 7, 0)
    later = beside(USER_ITEMS, 1010, 1030, 1007, 1000)
    np.testing.assert_array_equal(aged(USER_ITEMS, ages, 5).data, aged(USER_ITEMS, later, 5).data)


def test_what_is_very_old_stays_an_entry():
    weighted = aged(USER_ITEMS, beside(USER_ITEMS, 0, 1e6, 1e6, 0), half_life_days=1)
    assert (weighted.data > 0).all()
    np.testing.assert_array_equal(weighted.indices, USER_ITEMS.indices)


@pytest.mark.parametrize("empty_first", [True, False])
def test_empty_rows_at_either_end_take_no_part(empty_first):
    rows = [[0, 0], [1, 1]] if empty_first else [[1, 1], [0, 0]]
    user_items = csr_array(np.array(rows, dtype=np.float32))
    weighted = aged(user_items, beside(user_items, 3, 5), half_life_days=2)
    assert weighted.toarray()[rows.index([1, 1])].tolist() == [1, 0.5]
    nothing = csr_array((3, 2), dtype=np.float32)
    assert aged(nothing, nothing, half_life_days=2).nnz == 0


def test_without_ages_or_half_life_nothing_is_weighed():
    assert aged(USER_ITEMS, None, 5) is USER_ITEMS
    assert aged(USER_ITEMS, beside(USER_ITEMS, 1, 2, 3, 4), None) is USER_ITEMS
