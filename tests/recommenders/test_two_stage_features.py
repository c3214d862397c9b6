"""The features of whole lists beside the same ones from products with matrices of all items."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array, random_array

from recgan.features.matrices import beside
from recgan.recommenders.two_stage.pairs import BESIDE, beside_generator
from recgan.recommenders.two_stage.statistics import Statistics
from recgan.recommenders.weights import product_with

USERS, ITEMS, N = 40, 50, 12


def weighted(user_items: csr_array, ages: csr_array | None) -> list[csr_array]:
    """Return the views whole, recent and last, each row of sum 1."""
    whole = user_items.toarray().astype(np.float64)
    found = [whole, whole.copy(), whole.copy()]
    if ages is not None:
        for row in range(len(whole)):
            part = slice(ages.indptr[row], ages.indptr[row + 1])
            items, days = ages.indices[part], ages.data[part]
            newer = np.array([(days < own).sum() for own in days], dtype=int)
            found[1][row, items] *= 0.7**newer
            found[2][row, items] *= newer == 0
    return [csr_array(one / np.maximum(one.sum(axis=1, keepdims=True), 1e-30)) for one in found]


def dense(known: Statistics, user_items: csr_array, ages: csr_array | None, ids: NDArray[Any]) -> Any:
    """Return what `beside_generator` does, from the scores of all items."""
    whole, recent, last = weighted(user_items, ages)

    def at(matrix: Any) -> Any:
        full = matrix.toarray() if isinstance(matrix, csr_array) else matrix
        return np.take_along_axis(full, ids, axis=1)

    def cosines(view: csr_array, vectors: Any) -> Any:
        means = view @ vectors
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6) @ vectors.T

    def share(codes: NDArray[np.int32]) -> Any:
        one_hot = np.eye(max(codes.max() + 1, 1))[np.maximum(codes, 0)] * (codes >= 0)[:, None]
        return at((recent @ one_hot) @ one_hot.T)

    priced = np.isfinite(known.log_prices)
    prices = np.where(priced, known.log_prices, 0)
    weight = recent @ priced
    distance = np.abs(prices - (recent @ prices / np.maximum(weight, 1e-6))[:, None])
    words = known.words.toarray()
    columns = [
        *(at(view @ known.together) for view in (whole, recent, last)),
        *(at(view @ known.follows) for view in (recent, last)),
        *(at(cosines(view, known.factors)) for view in (recent, last)),
        *(at(cosines(view, words)) for view in (recent, last)),
        share(known.brands),
        share(known.categories),
        at(np.where(priced & (weight > 0)[:, None], distance, 0)),
        *(known.traits[ids, trait] for trait in range(4)),
        np.log1p(at(user_items)),
        np.zeros(ids.shape) if ages is None else np.log1p(at(ages)),
        np.broadcast_to(np.log1p(np.diff(user_items.indptr))[:, None], ids.shape),
    ]
    return np.stack(columns, axis=2)


@pytest.fixture(scope="module")
def histories() -> tuple[csr_array, csr_array]:
    """Return confidences and ages with ties and a history without an item."""
    rng = np.random.default_rng(0)
    there = rng.random((USERS, ITEMS)) < rng.random(ITEMS) ** 2 * 0.5
    there[3] = False
    confidences = csr_array(np.where(there, rng.integers(1, 4, there.shape), 0).astype(np.float32))
    return confidences, beside(confidences, rng.integers(0, 5, confidences.nnz).astype(np.float32))


@pytest.fixture(scope="module")
def known(histories: tuple[csr_array, csr_array]) -> Statistics:
    rng = np.random.default_rng(1)

    def some(values: list[str]) -> list[str | None]:
        return [None if rng.random() < 0.2 else str(rng.choice(values)) for _ in range(ITEMS)]

    items = pd.DataFrame(
        {
            "title": [" ".join(rng.choice(list("abcdefgh"), rng.integers(0, 5))) for _ in range(ITEMS)],
            "category": some(["x", "y"]),
            "brand": some([f"brand {number}" for number in range(9)]),
            "price": np.where(rng.random(ITEMS) < 0.2, np.nan, 1 + rng.random(ITEMS)),
        }
    )
    matrix, ages = histories
    return Statistics.fit(matrix, 10 - ages.data, items)


@pytest.mark.parametrize("aged", [True, False])
def test_the_features_of_a_list_are_those_of_products_with_all_items(known, histories, aged: bool):
    history, ages = histories[0], histories[1] if aged else None
    ids = np.random.default_rng(2).integers(ITEMS, size=(USERS, N), dtype=np.int32)  # some stand twice
    expected = dense(known, history, ages, ids)
    assert (expected != 0).any(axis=(0, 1))[: None if aged else -2].all()
    found = beside_generator(known, history, ages, ids)
    assert found.dtype == np.float32
    for column, name in enumerate(BESIDE):
        np.testing.assert_allclose(
            found[:, :, column], expected[:, :, column], rtol=1e-4, atol=2e-6, err_msg=name
        )
    for row in (0, 3):  # one answer is a row of many
        one = beside_generator(
            known, csr_array(history[[row]]), None if ages is None else csr_array(ages[[row]]), ids[[row]]
        )
        np.testing.assert_allclose(one[0], found[row], rtol=1e-6)


def test_a_place_without_an_item_changes_no_other(known, histories):
    ids = np.random.default_rng(3).integers(ITEMS, size=(USERS, N), dtype=np.int32)
    with_none = np.concatenate([ids[:, :5], np.full((USERS, 2), -1, np.int32), ids[:, 5:]], axis=1)
    found = beside_generator(known, *histories, with_none)
    expected = beside_generator(known, *histories, ids)
    np.testing.assert_allclose(np.delete(found, [5, 6], axis=1), expected, rtol=1e-5, atol=1e-6)


def test_nothing_known_of_items_is_no_feature(known, histories):
    nothing = csr_array((ITEMS, ITEMS), dtype=np.float32)
    empty = replace(
        known,
        together=nothing,
        follows=nothing,
        factors=np.zeros((ITEMS, 1), np.float32),
        words=csr_array((ITEMS, 1), dtype=np.float32),
        brands=np.full(ITEMS, -1, np.int32),
        categories=np.full(ITEMS, -1, np.int32),
        log_prices=np.full(ITEMS, np.nan, np.float32),
    )
    ids = np.tile(np.arange(N, dtype=np.int32), (USERS, 1))
    assert not beside_generator(empty, *histories, ids)[:, :, :12].any()


def test_weights_between_items_score_a_few_histories_as_they_score_many():
    rng = np.random.default_rng(0)
    weights = random_array((ITEMS, ITEMS), density=0.2, rng=rng, dtype=np.float32).tocsr()
    histories = random_array((9, ITEMS), density=0.1, rng=rng, dtype=np.float32).tocsr()
    together = product_with(histories, weights)
    np.testing.assert_allclose(together, histories.toarray() @ weights.toarray(), rtol=1e-5)
    for row in range(9):
        np.testing.assert_allclose(product_with(histories[[row]], weights)[0], together[row], rtol=1e-6)
