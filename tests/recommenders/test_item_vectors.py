"""Vectors of products: whitened blocks, hand-computed columns, and products that train does not know."""

import numpy as np
import pandas as pd
import pytest

from recgan.recommenders.feature_gan.item_vectors import collaborative_factors, fit_content
from tests.recommenders.data import histories


def table(rows):
    return pd.DataFrame(rows, columns=["item_id", "title", "category", "brand", "price"])


ITEMS = table(
    [
        ("a", "Red Bag", "bags", "acme", 1.0),
        ("b", "red red hat", "hats", "acme", np.e),
        ("c", "blue hat!", "hats", None, np.e**2),
        ("d", None, None, None, np.nan),
    ]
)


def fit(items=ITEMS, tokens=100, min_items=1, width=100, l2=1e-9):
    return fit_content(items, tokens, min_items, width, l2)


def test_columns_by_hand():
    content = fit()
    words = ("title=bag", "title=blue", "title=hat", "title=red")
    assert content.tokens == ("brand=acme", "category=bags", "category=hats", *words)
    rare, common = np.log(5 / 2), np.log(5 / 3)
    assert content.rarity == pytest.approx([1, 1, 1, rare, rare, common, common])
    spread = np.sqrt(2 / 3)
    assert content.log_price == pytest.approx((1, spread))
    A = content._columns(ITEMS).toarray()
    length = np.hypot(2 * common, common)
    assert A[1, :7] == pytest.approx([1, 0, 1, 0, 0, common / length, 2 * common / length])
    assert A[1, 7:] == pytest.approx(np.exp(-(np.array([-2, -1, 0, 1, 2.0]) ** 2)))
    assert A[0, 7:] == pytest.approx(np.exp(-((-1 / spread - np.array([-2, -1, 0, 1, 2.0])) ** 2)))
    assert (A[3] == 0).all()


def test_a_category_of_several_counts_as_each_of_them():
    items = table([("a", None, "3|red", None, np.nan), ("b", None, "red", None, np.nan)])
    content = fit(items)
    assert content.tokens == ("category=3", "category=red")
    assert content._columns(items).toarray()[:, :2].tolist() == [[1, 1], [0, 1]]


def test_content_is_white_and_so_are_factors():
    rng = np.random.default_rng(0)
    kinds = rng.choice(["bags", "shoes", "hats"], 200)
    items = table(
        [(str(i), f"w{rng.integers(9)} {k}", k, None, rng.uniform(1, 9)) for i, k in enumerate(kinds)]
    )
    vectors = fit(items, l2=1e-13).vectors(items).astype(np.float64)
    assert vectors.shape[1] > 12
    np.testing.assert_allclose(vectors.T @ vectors / 200, np.eye(vectors.shape[1]), atol=1e-3)
    factors = collaborative_factors(histories(), 5, seed=0).astype(np.float64)
    np.testing.assert_allclose(factors.T @ factors / 14, np.eye(5), atol=1e-5)


def test_the_ridge_shrinks_what_is_rare_most():
    loose, tight = (fit(l2=l2).vectors(ITEMS) for l2 in (1e-9, 0.1))
    before, after = (np.square(vectors).mean(axis=0) for vectors in (loose, tight))
    kept = after / before
    assert (kept < 1).all()
    assert (np.diff(kept) < 0).all()


def test_factors_span_what_the_singular_vectors_span():
    X = histories()
    _, _, directions = np.linalg.svd(X.toarray().astype(np.float64))
    V = directions[:5].T
    factors = collaborative_factors(X, 5, seed=3) / np.sqrt(14)
    np.testing.assert_allclose(np.abs(np.sum(factors * V, axis=0)), 1, rtol=1e-5)
    largest = np.take_along_axis(factors, np.abs(factors).argmax(axis=0)[None], axis=0)
    assert (largest > 0).all()
    assert collaborative_factors(X, 100, seed=3).shape == (14, 13)


def test_an_inner_product_with_the_expected_vector_is_the_mean_over_the_like():
    """What a new product may hope for: the mean chance of the known products that share its category."""
    items = table([(str(i), None, "bags" if i < 2 else "hats", None, np.nan) for i in range(5)])
    content = fit(items)
    chances = np.array([0.5, 0.1, 0.2, 0.2, 0])
    expected = chances @ content.vectors(items).astype(np.float64)
    new = content.vectors(table([("x", None, "bags", None, np.nan), ("y", "?", "hats", "?", np.nan)]))
    assert new @ expected / 5 == pytest.approx([0.3, 0.4 / 3], rel=1e-5)


def test_tokens_are_those_of_the_most_products():
    assert fit(tokens=3).tokens == ("brand=acme", "category=hats", "title=hat")
    assert fit(min_items=2).tokens == ("brand=acme", "category=hats", "title=hat", "title=red")


def test_width_keeps_the_leading_dimensions():
    whole, part = (fit(width=width).vectors(ITEMS) for width in (100, 2))
    np.testing.assert_array_equal(whole[:, :2], part)


def test_columns_may_be_absent():
    assert fit(ITEMS[["item_id"]]).vectors(ITEMS).shape == (4, 0)
    assert fit(ITEMS[["item_id", "price"]]).tokens == ()
    assert (fit().vectors(ITEMS[["item_id"]]) == 0).all()


def test_a_word_of_every_title_says_nothing():
    items = table([(str(i), "thing", "bags" if i < 2 else "hats", None, np.nan) for i in range(4)])
    whole = fit(items).vectors(items)
    assert np.isfinite(whole).all()
