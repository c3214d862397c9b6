"""The baselines against independent computations, and the stage that tunes them."""

import json
import logging
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import Features, HeldOut, write_features
from recgan.recommenders.catalogue import BaselinesParams, fitted_of
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.itemknn.recommender import ItemKNN
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg
from recgan.recommenders.rp3beta.recommender import RP3beta
from recgan.recommenders.tune import grids, tune
from recgan.stages import baselines
from tests.conftest import SHOP

SMALL = csr_array(
    np.array(
        [
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1],
        ],
        dtype=np.float32,
    )
)


@pytest.fixture(scope="module")
def user_items():
    rng = np.random.default_rng(3)
    taste, kind = rng.normal(size=(80, 3)), rng.normal(size=(25, 3))
    dense = (taste @ kind.T + rng.normal(size=(80, 25)) > 1.5) * rng.integers(1, 4, (80, 25))
    return csr_array(dense.astype(np.float32))


def best_of_each_column(similarity, n):
    similarity = similarity.copy()
    np.fill_diagonal(similarity, 0)
    kept = np.zeros_like(similarity)
    for column in range(similarity.shape[1]):
        best = np.argsort(-similarity[:, column], kind="stable")[:n]
        kept[best, column] = similarity[best, column]
    return kept


def test_popularity_counts_users_not_confidences():
    graded = csr_array(np.array([[9, 1], [0, 1], [0, 1]], dtype=np.float32))
    assert Popularity().fit(graded).score(csr_array((1, 2))).tolist() == [
        [pytest.approx(1 / 3), pytest.approx(1.0)]
    ]


def test_itemknn_by_hand():
    # Items 0 and 1 share users 0, 1: 2 / (√2 √3); items 0 and 2 share user 1: 1 / (√2 √3).
    history = csr_array(np.array([[1, 0, 0, 0]], dtype=np.float32))
    scores = ItemKNN(neighbours=3, shrink=0).fit(SMALL).score(history)[0]
    assert scores[1] == pytest.approx(2 / np.sqrt(6))
    assert scores[2] == pytest.approx(1 / np.sqrt(6))
    assert scores[3] < 0  # not reached: only popularity speaks for it


@pytest.mark.parametrize(
    ("n", "shrink", "asymmetry"), [(3, 0, 0.5), (10, 5, 0.5), (24, 2, 0.8), (60, 1, 0.3)]
)
def test_itemknn_agrees_with_dense_loops(user_items, n, shrink, asymmetry):
    x = user_items.toarray().astype(np.float64)
    similarity = np.empty((25, 25))
    for i in range(25):
        for j in range(25):
            norms = (x[:, i] @ x[:, i]) ** asymmetry * (x[:, j] @ x[:, j]) ** (1 - asymmetry)
            similarity[i, j] = x[:, i] @ x[:, j] / (norms + shrink)
    wanted = x @ best_of_each_column(similarity, n)
    scores = ItemKNN(n, shrink, asymmetry).fit(user_items).score(user_items)
    np.testing.assert_allclose(np.maximum(scores, 0), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "alpha", "beta"), [(3, 1, 0), (10, 0.7, 0.4), (24, 1.2, 0.8)])
def test_rp3beta_agrees_with_the_walk_written_out(user_items, n, alpha, beta):
    x = user_items.toarray().astype(np.float64)
    similarity = np.zeros((25, 25))
    for i in range(25):
        for j in range(25):
            for u in range(80):
                to_user, to_item = x[u, i] / x[:, i].sum(), x[u, j] / max(x[u].sum(), 1e-9)
                similarity[i, j] += (to_user * to_item) ** alpha
    wanted = x @ (best_of_each_column(similarity, n) / x.sum(axis=0) ** beta)
    scores = RP3beta(n, alpha, beta).fit(user_items).score(user_items)
    np.testing.assert_allclose(np.maximum(scores, 0), wanted, rtol=1e-4, atol=1e-6)


def test_ease_solves_a_ridge_regression_of_each_item_on_all_others(user_items):
    x = user_items.toarray().astype(np.float64)
    scores = EASE(l2=7).fit(user_items).score(user_items)
    for j in range(25):
        others = np.delete(x, j, axis=1)
        weights = np.linalg.solve(others.T @ others + 7 * np.eye(24), others.T @ x[:, j])
        predicted = others @ weights
        some = x.any(axis=1)
        np.testing.assert_allclose(scores[some, j], predicted[some], atol=1e-4)


def test_ials_serves_what_solving_for_each_user_gives(user_items):
    recommender = IALS(factors=5, regularization=2, alpha=3, iterations=10, seed=1).fit(user_items)
    scores = recommender.score(user_items)
    items = recommender._als.item_factors.astype(np.float64)
    x = user_items.toarray().astype(np.float64)
    for row in np.flatnonzero(x.any(axis=1)):
        confidence = np.where(x[row] > 0, 3 * x[row], 1)
        left = items.T @ (confidence[:, None] * items) + 2 * np.eye(5)
        user = np.linalg.solve(left, items.T @ np.where(x[row] > 0, confidence, 0))
        np.testing.assert_allclose(scores[row], items @ user, atol=1e-3)


def test_another_seed_gives_other_factors(user_items):
    one, other = (IALS(5, 2, 3, 2, seed).fit(user_items).score(user_items) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_unreached_items_follow_in_the_order_of_popularity():
    history = csr_array(np.array([[0, 0, 0, 1]], dtype=np.float32))
    ids, _ = recommend(ItemKNN(neighbours=3, shrink=0).fit(SMALL), history, k=3)
    assert ids.tolist() == [[2, 1, 0]]  # 2 shares a user with 3; of the rest, 1 has three users and 0 two


def grid(**sections):
    default = {
        "seed": 0,
        "metric_k": 5,
        "itemknn": {"neighbours": [2, 5, 20], "shrink": [0, 3], "asymmetry": [0.5, 0.7]},
        "rp3beta": {"neighbours": [3, 10], "alpha": [0.7, 1.0], "beta": [0.2, 0.5]},
        "ease": {"l2": [1, 10, 100]},
        "ials": {"factors": [3], "regularization": [1, 5], "alpha": [2], "iterations": [5]},
    }
    return BaselinesParams.model_validate(default | sections)


@pytest.mark.parametrize("name", ["itemknn", "rp3beta", "ease", "ials"])
def test_what_settings_share_changes_no_score(user_items, name):
    alone = {
        "itemknn": lambda s: ItemKNN(int(s["neighbours"]), s["shrink"], s["asymmetry"]),
        "rp3beta": lambda s: RP3beta(int(s["neighbours"]), s["alpha"], s["beta"]),
        "ease": lambda s: EASE(s["l2"]),
        "ials": lambda s: IALS(int(s["factors"]), s["regularization"], s["alpha"], int(s["iterations"]), 0),
    }[name]
    tried = 0
    for settings, recommender in fitted_of(name)(grids(grid())[name], user_items, 0):
        expected = alone(settings).fit(user_items).score(user_items)
        np.testing.assert_allclose(recommender.score(user_items), expected, rtol=1e-5, atol=1e-6)
        tried += 1
    assert tried == {"itemknn": 12, "rp3beta": 8, "ease": 3, "ials": 2}[name]


@pytest.fixture
def features(user_items):
    """Each user's items dealt into train, validation and test."""
    rng = np.random.default_rng(0)
    coo = user_items.tocoo()
    part = rng.choice(3, size=coo.nnz, p=[0.6, 0.2, 0.2])

    def matrix(mask):
        return csr_array((coo.data[mask], (coo.row[mask], coo.col[mask])), shape=coo.shape)

    def window(history, held_out):
        some = np.diff(held_out.indptr) > 0
        return HeldOut(np.arange(80).astype(str).astype(object)[some], history[some], held_out[some])

    return Features(
        train=matrix(part == 0),
        train_validation=matrix(part <= 1),
        user_ids=np.arange(80).astype(str).astype(object),
        items=pd.DataFrame({"item_id": np.arange(25).astype(str)}),
        validation=window(matrix(part == 0), matrix(part == 1)),
        test=window(matrix(part <= 1), matrix(part == 2)),
        summary={"repeat_purchases": False},
    )


def test_the_best_on_validation_is_chosen_and_refitted(features):
    best = tune("ease", {"l2": (1.0, 10.0, 100.0)}, features, grid())
    scores = {}
    for l2 in (1.0, 10.0, 100.0):
        ranking, _ = recommend(EASE(l2).fit(features.train), features.validation.history, 5)
        scores[l2] = ndcg(ranking, features.validation.held_out, 5).mean()
    assert best.settings == {"l2": max(scores, key=scores.get)}
    assert best.validation_ndcg == pytest.approx(max(scores.values()))
    refitted, _ = recommend(
        EASE(best.settings["l2"]).fit(features.train_validation), features.test.history, 25
    )
    np.testing.assert_array_equal(best.ranking, refitted)


def test_nothing_is_chosen_on_test(features):
    other = HeldOut(
        features.test.user_ids,
        features.test.history,
        csr_array(np.roll(features.test.held_out.toarray(), 1, axis=1)),
    )
    changed = Features(**{**vars(features), "test": other})
    for name, one in grids(grid()).items():
        ours, theirs = tune(name, one, features, grid()), tune(name, one, changed, grid())
        assert ours.settings == theirs.settings
        np.testing.assert_array_equal(ours.ranking, theirs.ranking)


def test_without_validation_the_middle_is_taken(features):
    blind = Features(**{**vars(features), "validation": None})
    untuned = tune("ease", {"l2": (1.0, 10.0, 100.0)}, blind, grid())
    assert untuned.settings == {"l2": 10.0}
    assert untuned.validation_ndcg is None


def test_a_best_setting_on_the_edge_is_reported(features, caplog):
    caplog.set_level(logging.WARNING)
    tune("ease", {"l2": (1e5, 1e6, 1e7)}, features, grid())
    assert "widen baselines.ease.l2" in caplog.text


def test_an_empty_grid_names_the_section(features):
    with pytest.raises(RecganError, match=r"baselines\.ease has no value"):
        tune("ease", {"l2": ()}, features, grid())


def test_the_stage_writes_rankings_and_metrics_twice_the_same(features, tmp_path):
    params = yaml.safe_load(SHOP.read_text())
    params["baselines"] = grid().model_dump(mode="json")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data" / "features").mkdir(parents=True)
    write_features(features, tmp_path / "data" / "features")

    written = []
    for _ in range(2):
        baselines(root=tmp_path)
        with np.load(tmp_path / "data" / "baselines" / "rankings.npz") as stored:
            rankings = {name: stored[name] for name in stored.files}
        written.append((rankings, (tmp_path / "metrics" / "baselines.json").read_bytes()))
    rankings, metrics = written[0]
    assert list(rankings) == ["popularity", "itemknn", "rp3beta", "ease", "ials"]
    assert all(
        one.dtype == np.int32 and one.shape == (len(features.test.user_ids), 25) for one in rankings.values()
    )
    assert all(set(one) >= {"tuned", "validation_ndcg"} for one in json.loads(metrics).values())
    for (a, text), (b, again) in pairwise(written):
        assert text == again
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_the_field_s_numbers_on_the_published_split(real_data):
    """NDCG@20 of the CFGAN paper's ML100K split, train items masked, mean over all test users."""
    folder = real_data("cfgan-ml100k")
    train, test = (
        np.loadtxt(folder / f"ML100K.{part}", usecols=(0, 1)).astype(int) for part in ("train", "test")
    )

    def matrix(pairs):
        return csr_array((np.ones(len(pairs), dtype=np.float32), tuple(pairs.T)), shape=(943, 1653))

    def ndcg_at_20(recommender):
        ranking, _ = recommend(recommender.fit(matrix(train)), matrix(train), 20)
        held_out = matrix(test)
        return ndcg(ranking, held_out, 20)[np.diff(held_out.indptr) > 0].mean()

    assert ndcg_at_20(Popularity()) == pytest.approx(0.213, abs=0.001)
    assert 0.431 <= ndcg_at_20(EASE(l2=300)) <= 0.440
    assert ndcg_at_20(ItemKNN(100, 10, 0.9)) >= 0.398
    assert ndcg_at_20(RP3beta(400, 0.6, 0.6)) >= 0.395
    assert ndcg_at_20(IALS(64, 20, 2, 15, 0)) >= 0.437
