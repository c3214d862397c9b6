"""Two stages: the loss, the strict protocol, the order of scores, and what is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import Features, HeldOut, beside
from recgan.recommenders.chosen import choose_candidate
from recgan.recommenders.ials import recommender as ials
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import top_k
from recgan.recommenders.ranking import window_ndcg
from recgan.recommenders.train import train
from recgan.recommenders.two_stage.discriminator import Discriminator, Scale
from recgan.recommenders.two_stage.judged import Judged
from recgan.recommenders.two_stage.learning import conditional_loss, learn
from recgan.recommenders.two_stage.lists import lists_of
from recgan.recommenders.two_stage.pairs import FEATURES, beside_generator, views
from recgan.recommenders.two_stage.reasons import reasons
from recgan.recommenders.two_stage.recommender import load_ablations
from recgan.recommenders.two_stage.settings import TwoStageParams
from recgan.recommenders.two_stage.statistics import Statistics
from recgan.recommenders.two_stage.windows import windows_of

EASE = {"recommender": "ease", "l2": [10], "half_life_days": [None]}
POPULARITY = {"recommender": "popularity", "half_life_days": [None]}
IALS = {
    "recommender": "ials",
    "seed": 0,
    "factors": [4],
    "regularization": [5],
    "alpha": [1],
    "iterations": [3],
    "half_life_days": [None],
}
USERS, ITEMS, DAYS = 60, 24, 40


def section(**changes: Any) -> TwoStageParams:
    settings = {
        "recommender": "two_stage",
        "seed": 0,
        "generator": EASE,
        "proposals": [12],
        "hidden": [0],
        "l2": [0.01],
        "epochs": 2,
        "windows": 1,
        "blend": [],
        "refit": True,
    }
    return TwoStageParams.model_validate(settings | changes)


def matrix(days: NDArray[np.float64], kept: NDArray[np.bool_]) -> tuple[csr_array, NDArray[np.float32]]:
    rows, columns = np.nonzero(kept)
    ones = np.ones(len(rows), dtype=np.float32)
    entries = csr_array((ones, (rows.astype(np.int32), columns.astype(np.int32))), shape=kept.shape)
    return entries, days[rows, columns].astype(np.float32)


def features(days: NDArray[np.float64], split: str = "time") -> Features:
    """Each user met each item on a day, NaN never: train ends on day 30, validation on 35, test on 40."""
    bounds = (days < 30, (days >= 30) & (days < 35), days >= 35)
    train_matrix, train_times = matrix(days, bounds[0])
    both, both_times = matrix(days, bounds[0] | bounds[1])

    def held(
        history: csr_array, times: NDArray[np.float32], window: NDArray[np.bool_], now: float
    ) -> HeldOut:
        users = np.array([f"u{row}" for row in range(len(days))], dtype=object)
        return HeldOut(users, history, matrix(days, window)[0], beside(history, np.float32(now) - times))

    brands = [f"b{item % 4}" for item in range(days.shape[1])]
    start = pd.Timestamp("2026-01-01", tz="UTC")
    cuts = {
        "validation_start": (start + pd.Timedelta(days=30)).isoformat(),
        "test_start": (start + pd.Timedelta(days=35)).isoformat(),
    }
    return Features(
        train=train_matrix,
        train_validation=both,
        user_ids=np.array([f"u{row}" for row in range(len(days))], dtype=object),
        items=pd.DataFrame(
            {
                "item_id": [f"i{item}" for item in range(days.shape[1])],
                "brand": brands,
                "price": np.linspace(1, 9, days.shape[1]),
                "popularity": 1.0,
            }
        ),
        validation=held(train_matrix, train_times, bounds[1], 30),
        test=held(both, both_times, bounds[2], 35),
        summary={
            "split": split,
            "cuts": cuts if split == "time" else None,
            "repeat_purchases": False,
            "md5": "0",
            "log": {"start": start.isoformat(), "end": None},
        },
        train_times=train_times,
        train_validation_times=both_times,
    )


def loyal(seed: int = 0) -> NDArray[np.float64]:
    """Each shopper keeps to one brand of four; which of its items comes when is chance."""
    rng = np.random.default_rng(seed)
    days = np.full((USERS, ITEMS), np.nan)
    own = rng.integers(4, size=USERS)[:, None] == np.arange(ITEMS)[None, :] % 4
    days[own] = rng.uniform(0, DAYS, size=int(own.sum()))
    return days


def test_the_loss_is_that_of_each_item_that_came_against_the_fakes():
    scores = torch.tensor([[1.0, 2.0, 0.5, 9.0], [0.0, 1.0, -1.0, 0.0]])
    came = torch.tensor([[True, False, True, False], [False, True, False, False]])
    there = torch.tensor([[True, True, True, False], [True, True, True, True]])
    first = -(np.log(np.e / (np.e + np.e**2)) + np.log(np.e**0.5 / (np.e**0.5 + np.e**2))) / 2
    second = -np.log(np.e / (np.e + 1 + np.e**-1 + 1))
    assert float(conditional_loss(scores, came, there)) == pytest.approx((first + second) / 2)


def test_what_came_outside_the_list_would_turn_the_sign_of_the_generators_score():
    """The trap: conditioned on the list a high score speaks for an item, otherwise against it."""
    rng = np.random.default_rng(0)
    score = np.sort(rng.normal(size=(200, 20, 1)).astype(np.float32), axis=1)[:, ::-1]
    came = np.zeros((200, 20), dtype=bool)
    came[np.arange(200), np.minimum(rng.geometric(0.2, size=200) - 1, 19)] = True
    there = np.ones_like(came)
    weight = learn(score, came, there, l2=0.01, hidden=0, epochs=0, seed=0)[0].linear[0]
    below = np.full((300, 1, 1), -4, dtype=np.float32)  # what came, far below the list that stands beside it
    missed = np.concatenate([below, np.tile(score[:1, :19], (300, 1, 1))], axis=1)
    first = np.zeros((300, 20), dtype=bool)
    first[:, 0] = True
    with_missed = learn(
        np.concatenate([score, missed]),
        np.concatenate([came, first]),
        np.concatenate([there, np.ones_like(first)]),
        l2=0.01,
        hidden=0,
        epochs=0,
        seed=0,
    )[0].linear[0]
    assert weight > 0.1
    assert with_missed < -0.1


def test_lists_hold_only_shoppers_to_whom_something_of_the_list_came():
    given = features(loyal())
    [window] = windows_of(given, 1)
    known = Statistics.fit(window.before.train, window.before.train_times, given.items)
    generator = choose_candidate(section().generator, window.before, None).recommender
    proposed, drawn = lists_of(generator, known, window.came, 6, True, seed=0)
    assert 0 < len(proposed.rows) < window.came.held_out.shape[0]
    held = window.came.held_out.toarray()[proposed.rows]
    history = window.came.history.toarray()[proposed.rows]
    for lists in (proposed, drawn):
        assert lists.came.any(axis=1).all()
        found = np.take_along_axis(held, lists.ids, axis=1) > 0
        assert (found == lists.came)[lists.there].all()
        assert not np.take_along_axis(history, lists.ids, axis=1)[lists.there].any()
    np.testing.assert_array_equal(proposed.came, drawn.came)  # the same items came, beside other fakes
    scores = generator.score(csr_array(window.came.history[drawn.rows]))
    for row, ids, ranks, left in zip(scores, drawn.ids, drawn.ranks, history == 0, strict=True):
        better = [(row[left] > row[item]).sum() for item in ids[ids >= 0]]
        np.testing.assert_array_equal(ranks[ids >= 0], better)


@pytest.mark.parametrize("split", ["time", "leave-last-out"])
def test_nothing_of_what_the_discriminator_is_to_find_reaches_generator_or_statistics(split: str):
    days = loyal()
    given = features(days, split)
    windows = windows_of(given, 2)
    assert len(windows) == 2
    last = np.array([np.nanmax(np.where(row < 30, row, np.nan)) for row in days])
    inside = (days >= 25) & (days < 30) if split == "time" else days == last[:, None]
    np.testing.assert_array_equal(windows[0].came.held_out.toarray() > 0, inside[inside.any(axis=1)])
    moved = days.copy()  # what came is other items of other brands, on the same days
    for user, items in enumerate(inside):
        others = np.flatnonzero(np.isnan(days[user]))[: items.sum()]
        moved[user, others] = days[user, items]
        moved[user, items] = np.nan
    befores = [windows[0].before, windows_of(features(moved, split), 1)[0].before]
    known = [Statistics.fit(one.train, one.train_times, one.items).arrays() for one in befores]
    for name, array in known[0].items():
        np.testing.assert_array_equal(array, known[1][name], err_msg=name)
    fitted = [choose_candidate(section().generator, one, None).recommender.arrays() for one in befores]
    assert fitted[0]["weights"].tobytes() == fitted[1]["weights"].tobytes()


def test_what_is_bought_again_is_learned_from_validation_and_judged_by_the_other_half():
    """Everybody buys again what they bought, and nothing else: whoever owns an item is its buyer."""
    given = features(loyal())
    assert given.validation is not None
    history = given.validation.history
    again = beside(history, np.ones_like(history.data))
    window = replace(given.validation, held_out=again, held_out_times=None)
    summary = given.summary | {"repeat_purchases": True}
    repeats = replace(given, validation=window, summary=summary)
    asked = section(generator=POPULARITY, proposals=[ITEMS], refit=False)
    fitted = train(asked, repeats, 5, Path())
    at = FEATURES.index("owned")
    judge = fitted.trained.served.discriminator
    assert judge.linear[at] > 0
    assert fitted.chosen.validation_ndcg == pytest.approx(1, abs=1e-6)
    with pytest.raises(RecganError, match="learns repeat purchases from validation alone"):
        train(asked, replace(repeats, validation=None), 5, Path())


def test_without_times_there_is_no_window():
    with pytest.raises(RecganError, match="not every event has a timestamp"):
        train(section(), replace(features(loyal()), train_times=None), 5, Path())


class Fixed:
    """The same scores for everybody."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        return np.tile(self.scores, (user_items.shape[0], 1))


def by(feature: str, weight: float) -> Discriminator:
    """Return a discriminator that looks at one feature alone."""
    size = len(FEATURES)
    scale = Scale(
        np.full(size, -9e9, np.float32),
        np.full(size, 9e9, np.float32),
        *np.zeros((1, size), np.float32),
        np.ones(size, np.float32),
    )
    linear = np.zeros(size, dtype=np.float32)
    linear[FEATURES.index(feature)] = weight
    nothing = np.zeros(0, dtype=np.float32)
    return Discriminator(scale, linear, np.zeros((size, 0), np.float32), nothing, nothing)


@pytest.mark.parametrize("height", [1.0, 1e6, -1e6])
def test_proposals_stand_above_the_rest_in_the_discriminators_order(height: float):
    given = features(loyal())
    known = Statistics.fit(given.train, given.train_times, given.items)
    rng = np.random.default_rng(0)
    scores = (height + abs(height) * rng.permutation(ITEMS) / ITEMS).tolist()
    served = Judged(Fixed(scores), known, by("price", -1), 8, exclude_seen=True)
    history = csr_array(given.train[:10])
    found = served.score(history)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    for user, row in enumerate(found):
        seen = history.indices[history.indptr[user] : history.indptr[user + 1]]
        left = np.setdiff1d(np.argsort(-np.array(scores), kind="stable"), seen, assume_unique=True)
        proposed, rest = left[:8], np.append(left[8:], seen)
        prices = np.log(given.items["price"].to_numpy())
        usual = prices[seen].mean() if len(seen) else None
        distance = np.zeros(8) if usual is None else np.abs(prices[proposed] - usual)
        in_order = np.argsort(-row, kind="stable")
        assert set(in_order[:8]) == set(proposed)
        by_price = dict(zip(proposed, distance, strict=True))
        assert (np.diff([by_price[item] for item in in_order[:8]]) >= -1e-6).all()
        np.testing.assert_array_equal(row[rest], np.array(scores, dtype=np.float32)[rest])


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_best_of_one_history_are_those_of_all_scores(exclude_seen: bool):
    given = features(loyal())
    known = Statistics.fit(given.train, given.train_times, given.items)
    generator = ials.IALS(3, 1, 2, 3, 0).fit(given.train)
    served = Judged(generator, known, by("price", -1), 8, exclude_seen)
    assert given.test.ages is not None
    for user in range(10):
        row, ages = csr_array(given.test.history[[user]]), csr_array(given.test.ages[[user]])
        scores = served.score(row, ages)
        expected = top_k(scores, 8)
        for n in (3, 8, 40):  # no more than are proposed
            found = served.best(row, ages, n)
            np.testing.assert_array_equal(found[0], expected[0][0, :n])
            np.testing.assert_allclose(found[1], expected[1][0, :n], rtol=1e-5)
    other = replace(served, generator=Fixed([1.0] * ITEMS))
    assert not other.best(row, ages, 3)[0].size  # whoever proposes has to score all


def test_views_of_a_history_count_newer_entries():
    whole, recent, last = views(np.array([1.0, 1, 2], np.float32), np.array([5.0, 2, 2]))
    np.testing.assert_allclose(whole, [0.25, 0.25, 0.5])
    weights = np.array([0.7**2, 1, 2])
    np.testing.assert_allclose(recent, weights / weights.sum(), rtol=1e-6)
    np.testing.assert_allclose(last, [0, 1 / 3, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(views(np.array([3.0], np.float32), np.array([1.0])), 1)
    np.testing.assert_allclose(views(np.array([3.0, 1], np.float32), None), [[0.75, 0.25]] * 3)


def test_features_of_a_pair_are_those_computed_one_by_one():
    given = features(loyal())
    history, ages = given.test.history, given.test.ages
    known = Statistics.fit(given.train, given.train_times, given.items)
    ids = np.array([[0, 5, 7], [3, 2, 23]], dtype=np.int32)
    found = beside_generator(known, csr_array(history[:2]), csr_array(ages[:2]), ids)
    columns = [
        FEATURES.index(name) - 4 for name in ("together, recent", "brand", "price", "popularity", "length")
    ]
    X = given.train.toarray()
    cosine = X.T @ X / np.sqrt(np.outer((X**2).sum(0), (X**2).sum(0)))
    np.fill_diagonal(cosine, 0)
    prices = np.log(given.items["price"].to_numpy())
    for user, row in enumerate(ids):
        items = np.flatnonzero(history.toarray()[user])
        days = ages.toarray()[user, items]
        weight = 0.7 ** np.array([(days < own).sum() for own in days])
        weight /= weight.sum()
        for place, item in enumerate(row):
            expected = [
                weight @ cosine[items, item],
                weight @ (items % 4 == item % 4),
                abs(prices[item] - weight @ prices[items]),
                np.log1p(X[:, item].sum()),
                np.log1p(len(items)),
            ]
            np.testing.assert_allclose(found[user, place, columns], expected, rtol=1e-4, atol=1e-5)


def test_reasons_name_the_features_that_count_and_the_item_of_the_history():
    given = features(loyal())
    known = Statistics.fit(given.train, given.train_times, given.items)
    served = Judged(Fixed(list(range(ITEMS))), known, by("brand", 1), 8, exclude_seen=True)
    row = csr_array((np.ones(2, np.float32), np.array([0, 1]), np.array([0, 2])), shape=(1, ITEMS))
    ages = beside(row, np.array([1.0, 3.0]))
    told = {item: reasons(served, row, ages, item) for item in range(ITEMS)}
    # Of the proposals, 16 to 23, those of brands 0 and 1.
    assert {item: [(one.kind, one.item) for one in some] for item, some in told.items() if some} == {
        16: [("brand", 0)],
        17: [("brand", 1)],
        20: [("brand", 0)],
        21: [("brand", 1)],
    }
    shares = np.array([1, 0.7]) / 1.7
    mean = 2 * shares.sum() / 8
    assert told[20][0].earned == pytest.approx(shares[0] - mean, rel=1e-4)


@pytest.fixture(scope="module")
def fitted() -> Any:
    settings = section(generator=POPULARITY, proposals=[12, 24], hidden=[0, 4], blend=[IALS], windows=2)
    return train(settings, features(loyal()), 5, Path("never"))


def test_what_the_generator_does_not_know_decides(fitted: Any):
    """Popularity proposes; the brand, which the discriminator sees, tells what is bought."""
    given, beside_it = features(loyal()), fitted.recommender.ablations
    ours = window_ndcg(fitted.recommender, given.test, 5, True)
    assert ours > window_ndcg(beside_it["generator"], given.test, 5, True) + 0.2
    assert set(fitted.metrics()["ablations"]) == {"uniform", "generator", "blend"}
    assert fitted.metrics()["validation_ndcg"] > fitted.metrics()["ablations"]["generator"]


@pytest.mark.parametrize("proposals", [1, 3, 40])
def test_the_figure_of_the_search_is_the_recommenders_on_validation(proposals: int):
    """Also where the list is shorter than what is measured: the generator's order goes on below it."""
    given = features(loyal())
    params = section(refit=False, generator=POPULARITY, proposals=[proposals])
    found = train(params, given, 5, Path("never"))
    assert window_ndcg(found.recommender, given.validation, 5, True) == pytest.approx(
        found.metrics()["validation_ndcg"]
    )


def test_what_is_saved_scores_as_before_and_its_ablations_lie_apart(fitted: Any, tmp_path: Path):
    fitted.save(tmp_path)
    test = features(loyal()).test
    read = load_recommender(tmp_path)
    np.testing.assert_array_equal(
        read.score(test.history, test.ages), fitted.recommender.score(test.history, test.ages)
    )
    found = load_ablations(tmp_path)
    assert set(found) == {"uniform", "generator", "blend"}
    for name, one in found.items():
        np.testing.assert_array_equal(
            one.score(test.history, test.ages),
            fitted.recommender.ablations[name].score(test.history, test.ages),
        )


def test_the_same_seed_gives_the_same_scores(fitted: Any):
    test = features(loyal()).test
    again = train(fitted.recommender.settings, features(loyal()), 5, Path("never")).recommender
    np.testing.assert_array_equal(again.score(test.history), fitted.recommender.score(test.history))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": {"recommender": "two_stage"}}, "it is of recommender 'two_stage'; choose among"),
        ({"blend": [{"l2": [1]}]}, "it has no recommender: KIND; choose among .* takes the place"),
        (
            {"generator": {"recommender": "ease", "l2": [1], "half": 3}},
            "half_life_days: Field required; half",
        ),
        ({"blend": [{"recommender": "rcgan"}]}, "seed: Field required"),
        (
            {"generator": {"recommender": "ease", "l2": [], "half_life_days": [None]}},
            "its l2 has no value to try",
        ),
    ],
)
def test_a_section_inside_is_checked_by_its_own_kind(changes: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        section(**changes)
