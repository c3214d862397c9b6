"""Popularity of late, and what a shopper had before, by hand."""

import logging

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.recommenders.personal.recommender import Personal
from recgan.recommenders.personal.recommender import fitted as fitted_personal
from recgan.recommenders.personal.settings import personal_faults
from recgan.recommenders.popularity.recommender import Popularity, fitted
from recgan.recommenders.protocol import recommend

# Three users of three items; beside each entry the day of its last event.
USER_ITEMS = csr_array(np.array([[1, 1, 0], [5, 0, 0], [0, 1, 1]], dtype=np.float32))
TIMES = np.array([4, 10, 7, 1, 10], dtype=np.float32)  # (entries,): items 0, 1; 0; 1, 2
HALF_LIVES = {"half_life_days": (None, 3.0)}


def test_a_user_counts_half_for_each_half_life_since_the_newest_day():
    scores = Popularity(3).fit(USER_ITEMS, TIMES).score(csr_array((1, 3)))[0] * 3
    np.testing.assert_allclose(scores, [2**-2 + 2**-1, 1 + 2**-3, 1], rtol=1e-6)


def test_an_entry_of_no_confidence_counts_for_nothing_however_new():
    user_items = USER_ITEMS.copy()
    user_items.data[4] = 0
    assert Popularity(3).fit(user_items, TIMES).score(csr_array((1, 3)))[0, 2] == 0


def test_a_half_life_without_end_is_popularity_of_all_time():
    endless = Popularity(1e9).fit(USER_ITEMS, TIMES).score(USER_ITEMS)
    np.testing.assert_allclose(endless, Popularity().fit(USER_ITEMS).score(USER_ITEMS), rtol=1e-6)


def test_each_half_life_of_a_grid_is_fitted_in_its_order():
    found = list(fitted(HALF_LIVES, USER_ITEMS, 0, TIMES))
    assert [settings for settings, _ in found] == [{"half_life_days": None}, {"half_life_days": 3.0}]
    np.testing.assert_array_equal(found[1][1].score(USER_ITEMS)[0].argsort(), [0, 2, 1])
    assert [settings for settings, _ in fitted_personal(HALF_LIVES, USER_ITEMS, 0, TIMES)] == [
        {"half_life_days": None},
        {"half_life_days": 3.0},
    ]


@pytest.mark.parametrize(("name", "fit"), [("popularity", fitted), ("personal", fitted_personal)])
def test_without_times_only_null_remains_and_the_log_says_so_once(name, fit, caplog):
    caplog.set_level(logging.INFO)
    for listed in ((None, 3.0, 7.0), (3.0,)):
        caplog.clear()
        found = [settings for settings, _ in fit({"half_life_days": listed}, USER_ITEMS, 0)]
        assert found == [{"half_life_days": None}]
        assert caplog.text.count(f"{name}: half_life_days counts for nothing") == 1
    caplog.clear()
    assert len(list(fit({"half_life_days": (None,)}, USER_ITEMS, 0))) == 1
    assert not caplog.text


def ages_of(user_items, days):
    data = np.asarray(days, dtype=np.float32)
    return csr_array((data, user_items.indices, user_items.indptr), shape=user_items.shape)


def test_a_history_comes_first_by_confidence_and_recency_then_popularity():
    recommender = Personal(10).fit(USER_ITEMS)
    history = csr_array(np.array([[0, 4, 3], [0, 0, 0], [0, 0, 2]], dtype=np.float32))
    ages = ages_of(history, [20, 5, 300])
    scores = recommender.score(history, ages)
    # The newest of a row keeps its weight: 4 · 2^-1.5 < 3; and an old row is not less sure than a new one.
    np.testing.assert_allclose(scores[0], [2 / 3 - 2, 4 * 2**-1.5, 3], rtol=1.1e-3)
    np.testing.assert_allclose(scores[1], [2 / 3 - 2, 2 / 3 - 2, 1 / 3 - 2], rtol=1e-6)
    np.testing.assert_allclose(scores[2], [2 / 3 - 2, 2 / 3 - 2, 2], rtol=1.1e-3)
    ids, _ = recommend(recommender, history, 3, exclude_seen=False, ages=ages)
    assert ids.tolist() == [[2, 1, 0], [0, 1, 2], [2, 0, 1]]
    np.testing.assert_allclose(
        Personal(None).fit(USER_ITEMS).score(history, ages)[0, 1:], [4, 3], rtol=1.1e-3
    )


def test_of_one_basket_the_more_popular_comes_first():
    history = csr_array(np.array([[1, 0, 1], [0, 1, 1]], dtype=np.float32))
    for half_life in (None, 2):
        recommender = Personal(half_life).fit(csr_array(np.array([[0, 1, 1], [0, 0, 1]], dtype=np.float32)))
        ids, _ = recommend(recommender, history, 3, exclude_seen=False, ages=ages_of(history, [4, 4, 9, 9]))
        assert ids.tolist() == [[2, 0, 1], [2, 1, 0]]


def test_the_oldest_of_a_history_still_comes_before_what_is_not_in_it():
    history = csr_array(np.array([[0, 1, 1]], dtype=np.float32))
    scores = Personal(1).fit(USER_ITEMS).score(history, ages_of(history, [0, 5000]))
    assert scores[0, 0] < 0 < scores[0, 2] < scores[0, 1]


def test_it_is_out_of_place_where_seen_items_are_left_out():
    assert personal_faults("personal", repeat_purchases=True) == []
    (fault,) = personal_faults("again", repeat_purchases=False)
    assert "candidates.again" in fault
    assert "features.repeat_purchases" in fault
