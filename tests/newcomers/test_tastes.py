"""The ridge against independent solutions; exposure; where a new product stands."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array

from recgan.newcomers.tastes import (
    BUYERS,
    CONTENT_L2,
    PRIOR,
    REFUSALS,
    Standing,
    Tastes,
    by_content,
    fit_tastes,
    fold_in,
    known_vectors,
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_a_product_is_the_least_of_what_the_formula_says(rng):
    """Against a minimiser that knows nothing of the closed form."""
    prior, shoppers = rng.normal(size=3), rng.normal(size=(20, 3))
    buyers, exposure = shoppers[:4], 0.3

    def loss(v):
        return (
            BUYERS * np.sum((1 - buyers @ v) ** 2)
            + REFUSALS * exposure * np.sum((shoppers @ (v - prior)) ** 2)
            + PRIOR * np.sum((v - prior) ** 2)
        )

    found = fold_in(prior, buyers, shoppers.T @ shoppers, exposure)
    np.testing.assert_allclose(found, minimize(loss, np.zeros(3), tol=1e-12).x, atol=1e-4)


def test_a_product_without_buyers_is_what_its_content_says(rng):
    prior = rng.normal(size=3)
    assert fold_in(prior, np.zeros((0, 3)), np.eye(3), 1.0) is prior


def test_who_was_not_there_has_not_refused(rng):
    """Of two products with the same buyers, the one that few shoppers could see stands higher with them."""
    buyers, gram = np.array([[1.0, 0.5], [0.8, 0.7]]), 50 * np.eye(2)
    unseen, seen = (fold_in(np.zeros(2), buyers, gram, exposure) for exposure in (0.0, 1.0))
    alone = np.linalg.solve(PRIOR * np.eye(2) + BUYERS * buyers.T @ buyers, BUYERS * buyers.sum(axis=0))
    np.testing.assert_allclose(unseen, alone)
    assert (buyers @ unseen > 5 * buyers @ seen).all()


def test_known_products_are_the_same_ridge_with_everybody_there(rng):
    factors, user_items = rng.normal(size=(30, 4)), csr_array((rng.random((30, 6)) < 0.3).astype(np.float32))
    found = known_vectors(factors, user_items)
    dense = user_items.toarray()
    for item in range(6):
        weights = REFUSALS + BUYERS * dense[:, item]
        ridge = (factors * weights[:, None]).T @ factors + PRIOR * np.eye(4)
        np.testing.assert_allclose(found[item], np.linalg.solve(ridge, BUYERS * factors.T @ dense[:, item]))


def test_content_is_a_ridge_with_a_constant(rng):
    known, content, others = rng.normal(size=(9, 2)), rng.normal(size=(9, 3)), np.zeros((1, 3))
    A = np.hstack([content, np.ones((9, 1))])
    padded = np.vstack([A, np.sqrt(CONTENT_L2 * 9) * np.eye(4)])  # a ridge is least squares on more rows
    weights = np.linalg.lstsq(padded, np.vstack([known, np.zeros((4, 2))]), rcond=None)[0]
    np.testing.assert_allclose(by_content(known, content, others)[0], weights[3], atol=1e-10)


def test_factors_do_not_depend_on_the_scale_of_scores(rng):
    scores = rng.normal(size=(40, 12)).astype(np.float32)
    tastes = fit_tastes(scores, width=5)
    assert tastes.directions.shape == (12, 5)
    np.testing.assert_allclose(tastes.factors(7 * scores + 3), tastes.factors(scores), atol=1e-4)
    assert np.mean(np.sum(tastes.factors(scores)[:, :-1] ** 2, axis=1)) == pytest.approx(1, abs=1e-4)


def test_scores_that_say_nothing_have_no_factors():
    """A shop with one product, and a recommender that scores all alike."""
    assert fit_tastes(np.ones((5, 1), dtype=np.float32)).directions.shape == (1, 0)
    alike = fit_tastes(np.ones((5, 4), dtype=np.float32))
    assert np.isfinite(alike.factors(np.ones((2, 4), dtype=np.float32))).all()


def test_a_product_stands_among_the_scores_as_its_vector_among_vectors(rng):
    """What is like a known product gets its score where scores are inner products; a lift adds deviations."""
    users, items = rng.normal(size=(60, 3)), rng.normal(size=(15, 3))
    scores = (users @ items.T).astype(np.float32)
    tastes = fit_tastes(scores, width=3)
    z = (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
    q = tastes.factors(scores).astype(np.float64)
    vectors = np.linalg.lstsq(q, z, rcond=None)[0].T
    standing = Standing.of(tastes, vectors)
    np.testing.assert_allclose(standing.score(scores, vectors.astype(np.float32), 0.0), scores, atol=2e-2)
    raised = standing.score(scores, vectors.astype(np.float32), 2.0)
    expected = scores + 2 * scores.std(axis=1, keepdims=True)
    np.testing.assert_allclose(raised, expected, atol=2e-2)


def test_a_row_of_equal_scores_gives_new_products_the_same_score():
    standing = Standing.of(Tastes(np.ones((4, 1), dtype=np.float32)), np.ones((4, 2)))
    found = standing.score(np.full((1, 4), 5, dtype=np.float32), np.zeros((2, 2), dtype=np.float32), 3.0)
    assert found.tolist() == [[5, 5]]
