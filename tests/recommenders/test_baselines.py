"""The baselines against independent computations, and the stage that tunes them."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import Features, HeldOut, beside, write_features
from recgan.recommenders.catalogue import fitted_of, settings_of
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.itemknn.recommender import ItemKNN
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend, top_k
from recgan.recommenders.ranking import ndcg
from recgan.recommenders.rp3beta.recommender import RP3beta
from recgan.recommenders.skipped import skipped
from recgan.recommenders.tune import tune
from recgan.stages import train
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


@pytest.mark.parametrize("half_life_days", [None, 2.0])
def test_ials_solves_for_one_history_as_implicit_does_for_many(user_items, half_life_days):
    recommender = IALS(5, 2, 3, 2, 1, half_life_days).fit(user_items)
    rng = np.random.default_rng(3)
    some = beside(user_items, rng.integers(1, 5, user_items.nnz).astype(np.float32) / 2)
    ages = beside(user_items, rng.integers(0, 9, user_items.nnz).astype(np.float32))
    many = recommender.vectors(some, ages)  # implicit's own
    for row in range(len(many)):
        one = recommender.vectors(some[[row]], ages[[row]])
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, many[[row]], rtol=1e-4, atol=1e-6)
    assert np.ptp(many, axis=0).all()


@pytest.mark.parametrize("first", [1, 10_000])
@pytest.mark.parametrize("n", [1, 7, 10_000])
def test_ials_finds_the_best_of_one_history_without_scoring_all(monkeypatch, first, n):
    monkeypatch.setattr("recgan.recommenders.ials.recommender._FIRST", first)
    rng = np.random.default_rng(0)
    log = csr_array((rng.random((300, 200)) < rng.random(200) ** 4).astype(np.float32))
    recommender = IALS(5, 2, 3, 2, 1, 3.0).fit(log)
    ages = beside(log, rng.integers(0, 9, log.nnz).astype(np.float32))
    empty = csr_array((1, 200), dtype=np.float32)
    for history, since in [(empty, None), *((log[[row]], ages[[row]]) for row in range(60))]:
        ids, scores = top_k(recommender.score(history, since), min(n, 200))
        found = recommender.best(history, since, n)
        np.testing.assert_array_equal(found[0], ids[0])
        np.testing.assert_allclose(found[1], scores[0], rtol=1e-4, atol=1e-6)


def test_ials_finds_the_best_of_items_that_are_all_alike_in_their_order():
    arrays = {"item_factors": np.ones((9, 2), np.float32), "popularity": np.ones(9, np.float32)}
    settings = {"factors": 2, "regularization": 1, "alpha": 1, "iterations": 1}
    history = csr_array(np.eye(1, 9, dtype=np.float32))
    assert IALS.from_arrays(settings, arrays).best(history, None, 3)[0].tolist() == [0, 1, 2]


def test_ials_says_that_one_history_cannot_be_solved_for():
    arrays = {"item_factors": np.ones((4, 2), np.float32), "popularity": np.ones(4, np.float32)}
    settings = {"factors": 2, "regularization": 0, "alpha": 1, "iterations": 1}
    recommender = IALS.from_arrays(settings, arrays)  # all items alike
    with pytest.raises(RecganError, match=r"iALS cannot be solved with regularization 0 .*; raise it"):
        recommender.score(SMALL[[0]])


def test_another_seed_gives_other_factors(user_items):
    one, other = (IALS(5, 2, 3, 2, seed).fit(user_items).score(user_items) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_unreached_items_follow_in_the_order_of_popularity():
    history = csr_array(np.array([[0, 0, 0, 1]], dtype=np.float32))
    ids, _ = recommend(ItemKNN(neighbours=3, shrink=0).fit(SMALL), history, k=3)
    assert ids.tolist() == [[2, 1, 0]]  # 2 shares a user with 3; of the rest, 1 has three users and 0 two


GRIDS = {
    "popularity": {"half_life_days": [None]},
    "itemknn": {"neighbours": [2, 5, 20], "shrink": [0, 3], "asymmetry": [0.5, 0.7]},
    "rp3beta": {"neighbours": [3, 10], "alpha": [0.7, 1.0], "beta": [0.2, 0.5]},
    "ease": {"l2": [1, 10, 100]},
    "ials": {"factors": [3], "regularization": [1, 5], "alpha": [2], "iterations": [5], "seed": 0},
}
AGED = ("itemknn", "rp3beta", "ease", "ials")


def section(name, **changes):
    aged = {"half_life_days": [None, 3]} if name in AGED else {}
    return settings_of(name).model_validate({"recommender": name, **GRIDS[name], **aged, **changes})


@pytest.mark.parametrize("name", ["itemknn", "rp3beta", "ease", "ials"])
def test_what_settings_share_changes_no_score(user_items, name):
    alone = {
        "itemknn": lambda s: ItemKNN(int(s["neighbours"]), s["shrink"], s["asymmetry"]),
        "rp3beta": lambda s: RP3beta(int(s["neighbours"]), s["alpha"], s["beta"]),
        "ease": lambda s: EASE(s["l2"]),
        "ials": lambda s: IALS(int(s["factors"]), s["regularization"], s["alpha"], int(s["iterations"]), 0),
    }[name]
    tried = 0
    for settings, recommender in fitted_of(name)(section(name).grid(), user_items, 0, None):
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
    best = tune(section("ease"), features, 5)
    scores = {}
    for l2 in (1.0, 10.0, 100.0):
        ranking, _ = recommend(EASE(l2).fit(features.train), features.validation.history, 5)
        scores[l2] = ndcg(ranking, features.validation.held_out, 5).mean()
    assert best.settings == {"l2": max(scores, key=scores.get), "half_life_days": None}
    assert best.validation_ndcg == pytest.approx(max(scores.values()))
    refitted, _ = recommend(
        EASE(best.settings["l2"]).fit(features.train_validation), features.test.history, 25
    )
    ranking, _ = recommend(best.recommender, features.test.history, 25)
    np.testing.assert_array_equal(ranking, refitted)


def test_nothing_is_chosen_on_test(features):
    other = HeldOut(
        features.test.user_ids,
        features.test.history,
        csr_array(np.roll(features.test.held_out.toarray(), 1, axis=1)),
    )
    changed = Features(**{**vars(features), "test": other})
    for name in GRIDS:
        ours, theirs = tune(section(name), features, 5), tune(section(name), changed, 5)
        assert ours.settings == theirs.settings
        assert ours.validation_ndcg == theirs.validation_ndcg
        np.testing.assert_array_equal(
            *(one.recommender.score(features.test.history) for one in (ours, theirs))
        )


def test_without_validation_the_middle_is_taken(features):
    blind = Features(**{**vars(features), "validation": None})
    untuned = tune(section("ease", half_life_days=[None, 3, 9]), blind, 5)
    assert untuned.settings == {"l2": 10.0, "half_life_days": None}
    assert untuned.validation_ndcg is None


def test_a_best_setting_on_the_edge_is_reported(features, caplog):
    caplog.set_level(logging.WARNING)
    tune(section("ease", l2=[1e5, 1e6, 1e7]), features, 5)
    assert "ease: the best l2" in caplog.text
    assert "widen it in the candidate's section" in caplog.text


def test_an_empty_grid_names_the_section(features):
    with pytest.raises(RecganError, match="ease's l2 has no value to try"):
        tune(section("ease", l2=[]), features, 5)


def test_the_half_life_is_chosen_after_the_rest_and_goes_into_the_package(features, tmp_path):
    """The newest tenth of a history says what is next, and the rest nothing."""
    rng = np.random.default_rng(3)
    ages = features.validation.history.copy()
    ages.data = rng.integers(0, 60, ages.nnz).astype(np.float32)
    validation = replace(features.validation, ages=ages)
    dated = replace(features, validation=validation)
    best = tune(section("ease", half_life_days=[None, 1, 5]), dated, 5)
    [l2] = {best.settings["l2"]}
    scores = {}
    for days in (None, 1, 5):
        recommender = EASE(l2, days).fit(features.train)
        ranking, _ = recommend(recommender, validation.history, 5, ages=ages)
        scores[days] = ndcg(ranking, validation.held_out, 5).mean()
    assert best.settings["half_life_days"] == max(scores, key=scores.get)
    assert best.validation_ndcg == pytest.approx(max(scores.values()))
    assert best.recommender.half_life_days == best.settings["half_life_days"]


@pytest.mark.parametrize("name", GRIDS)
def test_the_stage_writes_a_recommender_that_scores_the_same_and_twice_the_same(features, tmp_path, name):
    params = yaml.safe_load(SHOP.read_text())
    params["candidates"] = {"one": section(name).model_dump(mode="json")}
    params["evaluate"] |= {"k": [5], "primary_k": 5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data" / "features").mkdir(parents=True)
    write_features(features, tmp_path / "data" / "features")
    files = ["models/one/weights.safetensors", "models/one/recommender.json"]
    files += ["metrics/candidates/one.json", "reports/curves/one.csv"]
    written = []
    for _ in range(2):
        train("one", root=tmp_path)
        written.append([(tmp_path / file).read_bytes() for file in files])
    assert written[0] == written[1]
    expected = tune(section(name), features, 5)
    metrics = json.loads((tmp_path / "metrics/candidates/one.json").read_text())
    assert metrics == {**expected.settings, "tuned": True, "validation_ndcg": expected.validation_ndcg}
    loaded = load_recommender(tmp_path / "models/one")
    np.testing.assert_array_equal(
        loaded.score(features.test.history), expected.recommender.score(features.test.history)
    )


@pytest.mark.parametrize("damage", ["weights.safetensors", "recommender.json"])
def test_a_damaged_folder_is_one_clear_error(features, tmp_path, damage):
    tune(section("ease"), features, 5).save(tmp_path)
    (tmp_path / damage).write_bytes((tmp_path / damage).read_bytes()[:40])
    with pytest.raises(RecganError, match=r"no readable recommender in .*; run dvc repro train"):
        load_recommender(tmp_path)


def test_what_does_not_fit_into_memory_is_skipped_by_name(features, tmp_path, monkeypatch):
    params = yaml.safe_load(SHOP.read_text())
    params["candidates"] = {"one": section("ease").model_dump(mode="json")}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data" / "features").mkdir(parents=True)
    write_features(features, tmp_path / "data" / "features")
    monkeypatch.setattr("recgan.core.memory.free", lambda: 100)
    train("one", root=tmp_path)
    assert "ease: 0.0 GiB for dense matrices of 25 x 25 items" in skipped(tmp_path, "one")


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
