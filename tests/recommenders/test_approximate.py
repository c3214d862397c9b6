"""An index finds nearly the best items; what it does not know, it leaves to the exact ranking."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders import approximate
from recgan.recommenders.approximate import Approximate
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend
from recgan.recommenders.widened import Widened

ITEMS, WIDTH = 600, 8


class Products:
    """A history's vector is the sum of its items'; popularity answers an empty one."""

    def __init__(self, seed=0):
        self.items = np.random.default_rng(seed).standard_normal((ITEMS, WIDTH)).astype(np.float32)

    def fit(self, user_items):
        return self

    def vectors(self, user_items, ages=None):
        return user_items @ self.items

    def item_vectors(self):
        return self.items

    def score(self, user_items, ages=None):
        scores = self.vectors(user_items) @ self.items.T
        scores[np.diff(user_items.indptr) == 0] = np.arange(ITEMS)
        return scores


@pytest.fixture
def histories():
    rng = np.random.default_rng(1)
    dense = (rng.random((50, ITEMS)) < 0.02).astype(np.float32)
    dense[3] = 0
    dense[4, :] = 0
    dense[4, : ITEMS - 5] = 1  # five are left
    return csr_array(dense)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_where_all_is_searched_the_index_ranks_as_the_scores_do(histories, exclude_seen):
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    exact, scores = recommend(Products(), histories, 10, exclude_seen)
    index = Approximate(Products())
    index._index._index.nprobe = index._index._index.nlist
    found, theirs = index.recommend(histories, 10, exclude_seen)
    np.testing.assert_array_equal(found, exact)
    np.testing.assert_allclose(theirs, scores, rtol=1e-5)


def test_what_is_seen_never_comes_back_and_no_list_is_shorter_than_the_exact_one(histories):
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    exact, _ = recommend(Products(), histories, 10)
    found, _ = Approximate(Products()).recommend(histories, 10)
    assert not histories.toarray()[np.arange(50)[:, None], np.where(found < 0, ITEMS - 1, found)][
        found >= 0
    ].any()
    np.testing.assert_array_equal((found >= 0).sum(axis=1), (exact >= 0).sum(axis=1))
    np.testing.assert_array_equal(found[3:5], exact[3:5])  # of nothing, and of nearly everything
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in found)


def test_scores_are_products_of_vectors(histories):
    fitted = IALS(4, 2, 3, 2, 0).fit(histories)
    some = csr_array(histories[:3])
    np.testing.assert_allclose(fitted.vectors(some) @ fitted.item_vectors().T, fitted.score(some), atol=1e-5)
    wider = csr_array((some.data, some.indices, some.indptr), shape=(3, ITEMS + 2))
    np.testing.assert_allclose(
        Widened(fitted, ITEMS).vectors(wider) @ fitted.item_vectors().T, fitted.score(some), atol=1e-5
    )


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: Widened(one, ITEMS)])
def test_without_vectors_or_faiss_there_is_no_index(histories, monkeypatch, wrap):
    with pytest.raises(RecganError, match="Popularity has no vectors of items to make one of; RC-GAN, iALS"):
        Approximate(wrap(Popularity(None)))
    monkeypatch.setattr(approximate, "faiss_is_there", lambda: False)
    with pytest.raises(RecganError, match=r"faiss is not installed; pip install 'recgan\[faiss\]'"):
        Approximate(wrap(Products()))
