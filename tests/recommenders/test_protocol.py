"""Laws that every recommender must pass, whatever it is."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.itemknn.recommender import ItemKNN
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend, top_k
from recgan.recommenders.rp3beta.recommender import RP3beta
from recgan.recommenders.sparse_ease.recommender import SparseEASE
from tests.recommenders.data import checkerboard

PERSONAL = {
    "itemknn": lambda: ItemKNN(neighbours=20, shrink=1),
    "itemknn asymmetric": lambda: ItemKNN(neighbours=20, shrink=1, asymmetry=0.8),
    "rp3beta": lambda: RP3beta(neighbours=20, alpha=0.8, beta=0.3),
    "ease": lambda: EASE(l2=5),
    "sparse ease": lambda: SparseEASE(l2=5, density=0.5),
    "ials": lambda: IALS(factors=4, regularization=0.5, alpha=2, iterations=20, seed=0),
}
ALL = {"popularity": Popularity, **PERSONAL}


@pytest.fixture(params=ALL)
def make(request):
    return ALL[request.param]


def random_histories(n_rows: int, n_items: int, seed: int) -> csr_array:
    rng = np.random.default_rng(seed)
    return csr_array((rng.random((n_rows, n_items)) < rng.beta(1, 4, n_items)).astype(np.float32))


@pytest.mark.parametrize("name", PERSONAL)
def test_the_withheld_item_of_a_checkerboard_comes_first(name):
    user_items = checkerboard(20)
    ids, scores = recommend(PERSONAL[name]().fit(user_items), user_items, k=5)
    assert ids[:, 0].tolist() == list(range(20))
    assert (scores[:, 0] > scores[:, 1]).all()


@pytest.mark.parametrize("name", PERSONAL)
def test_a_user_who_was_not_there_in_training_is_served_by_the_history_alone(name):
    recommender = PERSONAL[name]().fit(checkerboard(20))
    new_user = csr_array(np.array([[1, 0, 1, 0] + [0] * 16], dtype=np.float32))
    ids, _ = recommend(recommender, new_user, k=8)
    assert set(ids[0].tolist()) == {4, 6, 8, 10, 12, 14, 16, 18}


def test_a_batch_equals_its_rows(make):
    user_items = random_histories(40, 30, seed=1)
    recommender = make().fit(user_items)
    together = recommender.score(user_items)
    alone = np.vstack([recommender.score(csr_array(user_items[row : row + 1])) for row in range(40)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_blocks_of_users_do_not_change_a_ranking(make):
    user_items = random_histories(40, 30, seed=2)
    recommender = make().fit(user_items)
    whole, _ = recommend(recommender, user_items, k=10)
    in_blocks, _ = recommend(recommender, user_items, k=10, block=7)
    # Sums in another order may swap two equal scores: the same items must be reached almost everywhere.
    assert (whole == in_blocks).mean() > 0.98


def test_seen_items_never_appear_unless_wanted(make):
    user_items = random_histories(40, 30, seed=3)
    recommender = make().fit(user_items)
    ids, scores = recommend(recommender, user_items, k=30)
    dense = user_items.toarray()
    for row in range(40):
        shown = ids[row][ids[row] >= 0]
        assert not dense[row, shown].any()
        assert len(shown) == len(set(shown.tolist())) == 30 - dense[row].sum()
    assert np.isneginf(scores[ids == -1]).all()
    with_seen, _ = recommend(recommender, user_items, k=30, exclude_seen=False)
    assert (np.sort(with_seen, axis=1) == np.arange(30)).all()


def test_scores_are_finite_float32_and_leave_the_histories_alone(make):
    user_items = random_histories(40, 30, seed=4)
    user_items = csr_array(np.vstack([user_items.toarray(), np.zeros((2, 30))]).astype(np.float32))
    before = user_items.copy()
    scores = make().fit(user_items).score(user_items)
    assert scores.dtype == np.float32
    assert scores.shape == (42, 30)
    assert np.isfinite(scores).all()
    assert (user_items != before).nnz == 0


def test_an_empty_history_gets_the_popular_items(make):
    user_items = random_histories(60, 30, seed=5)
    ids, _ = recommend(make().fit(user_items), csr_array((1, 30), dtype=np.float32), k=3)
    popularity = user_items.sum(axis=0)
    assert popularity[ids[0]].tolist() == np.sort(popularity)[::-1][:3].tolist()


def test_an_item_nobody_has_is_scored_too(make):
    dense = random_histories(40, 30, seed=6).toarray()
    dense[:, 7] = 0
    user_items = csr_array(dense)
    assert np.isfinite(make().fit(user_items).score(user_items)).all()


def test_two_fits_with_one_seed_are_equal(make):
    user_items = random_histories(40, 30, seed=7)
    np.testing.assert_array_equal(
        make().fit(user_items).score(user_items), make().fit(user_items).score(user_items)
    )


def test_no_rows_are_scored_as_no_rows(make):
    user_items = random_histories(40, 30, seed=8)
    assert make().fit(user_items).score(csr_array((0, 30), dtype=np.float32)).shape == (0, 30)


def test_graded_confidences_are_accepted(make):
    user_items = random_histories(40, 30, seed=9)
    user_items.data *= np.random.default_rng(0).integers(1, 5, user_items.nnz).astype(np.float32)
    assert np.isfinite(make().fit(user_items).score(user_items)).all()


def test_top_k_breaks_ties_by_the_lower_position():
    scores = np.array([[1, 3, 3, 3, 0], [2, 2, 2, 2, 2]], dtype=np.float32)
    ids, best = top_k(scores, 2)
    assert ids.tolist() == [[1, 2], [0, 1]]
    assert best.tolist() == [[3, 3], [2, 2]]


def test_k_above_the_catalogue_is_clipped():
    user_items = checkerboard(6)
    ids, _ = recommend(Popularity().fit(user_items), user_items, k=50)
    assert ids.shape == (6, 6)


def by_a_full_sort(scores, k):
    """The k best of each row by sorting all of it, the slow way."""
    ids = np.full((len(scores), k), -1)
    for row, values in enumerate(scores.tolist()):
        there = [position for position, value in enumerate(values) if value > -np.inf]
        best = sorted(there, key=lambda position: (-values[position], position))[:k]
        ids[row, : len(best)] = best
    return ids


@pytest.mark.parametrize("n_items", [1, 7, 100, 700, 5000])
@pytest.mark.parametrize("levels", [1, 3, 40, 1_000_000])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_top_k_is_a_full_sort_whatever_is_equal_or_left_out(n_items, levels, k):
    # Small catalogues, and ones that are looked through by parts; many ties, few, none; rows with fewer
    # than k items left, with none, and with nearly all equal.
    k = min(k, n_items)
    rng = np.random.default_rng([n_items, levels, k])
    scores = rng.integers(0, levels, (40, n_items)).astype(np.float32) - levels // 2
    scores[rng.random(scores.shape) < rng.random((40, 1)) ** 2] = -np.inf
    scores[0] = -np.inf
    scores[1] = 0
    scores[2, k // 2 :] = -np.inf
    ids, best = top_k(scores, k)
    expected = by_a_full_sort(scores, k)
    np.testing.assert_array_equal(ids, expected)
    there = expected >= 0
    np.testing.assert_array_equal(best[there], np.take_along_axis(scores, expected, axis=1)[there])
    assert np.isneginf(best[~there]).all()
    assert (ids.dtype, best.dtype) == (np.int32, np.float32)
    for row in range(len(scores)):  # a row alone goes another way
        alone = top_k(scores[[row]], k)
        np.testing.assert_array_equal(alone[0], ids[[row]])
        np.testing.assert_array_equal(alone[1], best[[row]])
        assert (alone[0].dtype, alone[1].dtype) == (np.int32, np.float32)


def test_top_k_leaves_the_scores_alone_and_passes_over_what_is_no_number():
    scores = np.random.default_rng(0).random((3, 5000), dtype=np.float32)
    scores[1, ::3] = np.nan
    scores[2] = np.nan
    before = scores.copy()
    ids, _ = top_k(scores, 4)
    np.testing.assert_array_equal(scores, before)
    np.testing.assert_array_equal(ids, by_a_full_sort(np.where(np.isnan(scores), -np.inf, scores), 4))
    for row in range(3):
        np.testing.assert_array_equal(top_k(scores[[row]], 4)[0], ids[[row]])


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("block", [None, 1, 7, 300])
def test_recommend_is_a_full_sort_of_what_is_not_seen(exclude_seen, block, monkeypatch):
    # Two rows are ranked at a time, as of a large catalogue.
    monkeypatch.setattr("recgan.recommenders.protocol._RANKED", 700)
    user_items = random_histories(90, 300, seed=11)
    scores = np.random.default_rng(1).integers(0, 30, (90, 300)).astype(np.float32)
    scores.flags.writeable = False

    class Fixed:
        def score(self, rows, ages=None):
            first = next(row for row in range(90) if (user_items[row : row + rows.shape[0]] != rows).nnz == 0)
            return scores[first : first + rows.shape[0]]

    ids, best = recommend(Fixed(), user_items, 10, exclude_seen, block)
    masked = np.where(user_items.toarray() > 0, -np.inf, scores) if exclude_seen else scores
    np.testing.assert_array_equal(ids, by_a_full_sort(masked, 10))
    np.testing.assert_array_equal(best, np.take_along_axis(scores, ids, axis=1))


@pytest.mark.parametrize("block", [None, 1, 7])
def test_recommend_hands_each_block_its_own_ages(block):
    user_items = random_histories(40, 30, seed=12)
    days = np.arange(user_items.nnz, dtype=np.float32) % 5  # zeros among them
    ages = csr_array((days, user_items.indices, user_items.indptr), shape=user_items.shape)

    class Oldest:
        """Scores an item by its age."""

        def score(self, rows, ages=None):
            assert ages.nnz == rows.nnz
            np.testing.assert_array_equal(ages.indices, rows.indices)
            np.testing.assert_array_equal(ages.indptr, rows.indptr)
            return ages.toarray()

    _, best = recommend(Oldest(), user_items, 30, exclude_seen=False, block=block, ages=ages)
    np.testing.assert_array_equal(best, -np.sort(-ages.toarray(), axis=1))


def test_ages_are_no_must(make):
    user_items = random_histories(10, 30, seed=13)
    recommender = make().fit(user_items)
    ages = csr_array((np.zeros_like(user_items.data), user_items.indices, user_items.indptr), shape=(10, 30))
    np.testing.assert_array_equal(recommender.score(user_items, ages), recommender.score(user_items))
