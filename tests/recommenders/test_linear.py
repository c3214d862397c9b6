"""The closed form, in one matrix, against plain linear algebra."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders import linear
from tests.recommenders.data import histories


def graded(seed=0):
    rng = np.random.default_rng(seed)
    return csr_array(histories(50, 23, seed).toarray() * rng.integers(1, 5, (50, 23)).astype(np.float32))


@pytest.mark.parametrize("cells", [1, 60, 10_000])
def test_a_gram_matrix_is_the_product_whatever_its_blocks(cells, monkeypatch):
    monkeypatch.setattr(linear, "_BLOCK_CELLS", cells)
    x = graded().toarray().astype(np.float64)
    weights = np.random.default_rng(1).random(50)
    np.testing.assert_array_equal(linear.item_gram(graded()), x.T @ x)
    np.testing.assert_allclose(linear.item_gram(graded(), weights), x.T @ (weights[:, None] * x), rtol=1e-12)


@pytest.mark.parametrize("tile", [1, 4, 23, 512])
def test_weights_come_from_the_inverse_and_the_gram_matrix_stays(tile, monkeypatch):
    monkeypatch.setattr(linear, "_TILE", tile)
    gram = linear.item_gram(graded())
    before = gram.copy()
    for l2 in (2.0, 50.0, 2.0):
        inverse = np.linalg.inv(before + l2 * np.eye(23))
        expected = np.eye(23) - inverse / np.diag(inverse)
        weights = linear.linear_weights(gram, l2, "")
        np.testing.assert_allclose(weights, expected, atol=1e-6)
        assert weights.dtype == np.float32
        assert weights.flags.c_contiguous  # another order would be copied at each score
        assert not weights.diagonal().any()
        np.testing.assert_array_equal(gram, before)


def test_a_gram_matrix_that_cannot_be_inverted_stays_too():
    gram = np.ones((5, 5))
    gram[0, 0] = -3
    before = gram.copy()
    with pytest.raises(RecganError, match="no inverse"):
        linear.linear_weights(gram, 1e-9, "no inverse")
    np.testing.assert_array_equal(gram, before)


def test_all_happens_in_the_matrix_that_is_given(monkeypatch):
    # A copy would be a matrix of the Gram matrix's size more.
    gram = linear.item_gram(graded())
    seen = []
    for name in ("dpotrf", "dpotri"):
        real = getattr(linear.lapack, name)

        def spied(matrix, *args, real=real, **more):
            found, failed = real(matrix, *args, **more)
            seen.append(np.shares_memory(found, gram))
            return found, failed

        monkeypatch.setattr(linear.lapack, name, spied)
    linear.linear_weights(gram, 2, "")
    assert seen == [True, True]
