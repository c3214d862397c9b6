"""Sparse EASE: the same as EASE where it is full, a regression on fewer items where it is not."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg
from recgan.recommenders.sparse_ease.recommender import SparseEASE, fitted, kept_for_each
from recgan.recommenders.sparse_ease.settings import SparseEASEGrid
from tests.recommenders.data import histories


def graded(users=70, items=31):
    """Confidences without equal ones, so that no two items are equally near."""
    rng = np.random.default_rng(1)
    return csr_array(histories(users, items).toarray() * rng.uniform(1, 4, (users, items)).astype(np.float32))


@pytest.mark.parametrize("l2", [0.5, 20])
@pytest.mark.parametrize("cells", [1, 3_000, 10**9])
def test_with_density_1_it_is_ease(l2, cells, monkeypatch):
    monkeypatch.setattr("recgan.recommenders.sparse_ease.recommender.SYSTEM_CELLS", cells)
    dense = graded().toarray()
    dense[:, 4] = 0  # an item that nobody has
    user_items = csr_array(dense)
    asked = graded(20)
    expected = EASE(l2).fit(user_items).score(asked)
    np.testing.assert_allclose(SparseEASE(l2, 1).fit(user_items).score(asked), expected, atol=2e-5)


@pytest.mark.parametrize("density", [0.1, 0.3])
def test_each_item_is_regressed_on_those_nearest_by_cosine(density):
    user_items = graded()
    x = user_items.toarray().astype(np.float64)
    norms = np.sqrt((x**2).sum(axis=0))
    cosine = x.T @ x / np.outer(norms, norms)
    np.fill_diagonal(cosine, -1)
    kept = round(density * 31)
    expected = np.zeros((31, 31))
    for item in range(31):
        near = np.argsort(-cosine[:, item], kind="stable")[:kept]
        gram = x[:, near].T @ x[:, near] + 3 * np.eye(kept)
        expected[near, item] = np.linalg.solve(gram, x[:, near].T @ x[:, item])
    scores = SparseEASE(3, density).fit(user_items).score(user_items)
    np.testing.assert_allclose(scores, x @ expected, atol=1e-4)


def test_an_item_with_fewer_companions_than_are_kept_has_weights_from_these_alone():
    dense = np.zeros((6, 8), dtype=np.float32)
    dense[:3, [0, 1]] = 1
    dense[3:, 2:7] = 1
    weights = SparseEASE(1, 0.5).fit(csr_array(dense)).score(csr_array(np.eye(8, dtype=np.float32)))
    # 0 and 1 have each other: 3 / (3 + 1); 7 has nobody.
    np.testing.assert_allclose(weights[0], [0, 0.75, 0, 0, 0, 0, 0, 0], atol=1e-6)
    assert not weights[:, 7].any()


def test_no_more_weights_than_the_density_allows():
    for items, density, kept in [(1000, 0.01, 10), (1000, 1, 999), (10, 0.001, 1), (1, 1, 1)]:
        assert kept_for_each(density, items) == kept
    recommender = SparseEASE(2, 0.03).fit(histories(400, 100))
    assert recommender.arrays()["data"].size <= 3 * 100


def test_settings_of_a_grid_share_the_search_and_change_no_score():
    user_items = graded()
    tried = list(fitted({"l2": (1.0, 9.0), "density": (0.1, 0.3, 1.0)}, user_items, 0))
    assert [tuple(settings.values()) for settings, _ in tried] == [
        (l2, density) for l2 in (1.0, 9.0) for density in (0.1, 0.3, 1.0)
    ]
    for settings, recommender in tried:
        alone = SparseEASE(**settings).fit(user_items)
        np.testing.assert_allclose(recommender.score(user_items), alone.score(user_items), atol=1e-6)


def test_one_item_and_no_user_can_be_fitted():
    for shape in ((3, 1), (0, 4)):
        nothing = csr_array(shape, dtype=np.float32)
        assert np.isfinite(SparseEASE(1, 0.5).fit(nothing).score(nothing)).all()


def test_its_need_is_that_of_the_kept_weights():
    grid = SparseEASEGrid(recommender="sparse_ease", l2=(1,), density=(0.001, 0.01), half_life_days=(None,))
    [need] = grid.needs(40_000)
    assert need.bytes == 48 * 400 * 40_000 + 4 * 80_000_000
    [need] = grid.model_copy(update={"density": (0.1,)}).needs(1_000)
    assert need.bytes == 48 * 100 * 1_000 + 4 * 100**2 * 1_000


def test_items_of_the_same_users_need_a_ridge():
    twins = csr_array(np.ones((3, 3), dtype=np.float32))
    with pytest.raises(RecganError, match=r"sparse EASE cannot be solved with l2 1e-30; raise it"):
        SparseEASE(1e-30, 1).fit(twins)


def test_a_tenth_of_the_weights_is_near_to_ease_on_real_ratings(real_data):
    """NDCG@20 of the CFGAN paper's ML100K split, as in test_baselines.py."""
    folder = real_data("cfgan-ml100k")
    train, test = (
        np.loadtxt(folder / f"ML100K.{part}", usecols=(0, 1)).astype(int) for part in ("train", "test")
    )

    def matrix(pairs):
        return csr_array((np.ones(len(pairs), dtype=np.float32), tuple(pairs.T)), shape=(943, 1653))

    ranking, _ = recommend(SparseEASE(300, 0.1).fit(matrix(train)), matrix(train), 20)
    held_out = matrix(test)
    assert ndcg(ranking, held_out, 20)[np.diff(held_out.indptr) > 0].mean() >= 0.42
