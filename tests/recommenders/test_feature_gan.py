"""The retail GAN: what it learns from, what its players may touch, what it answers, new products included."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from recgan.adversarial.losses import LOSSES
from recgan.core.errors import RecganError
from recgan.package.packaged import PackagedRecommender, write_items
from recgan.recommenders.feature_gan import recommender as module
from recgan.recommenders.feature_gan.game import FeatureGANGame
from recgan.recommenders.feature_gan.histories import Histories
from recgan.recommenders.feature_gan.nearest import nearest
from recgan.recommenders.feature_gan.recommender import FeatureGAN
from recgan.recommenders.feature_gan.settings import FeatureGANParams
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend, top_k
from tests.adversarial.laws import (
    TRAINER,
    assert_a_turn_leaves_the_opponent_untouched,
    assert_it_teaches_the_generator_alone,
    turn,
)
from tests.recommenders.data import histories

PLAIN = {"betas": [0.5, 0.99], "clip_gradient": None}
SIDE = {"hidden": [24], "learning_rate": 0.003, "l2": 0, "batch_size": 8, "steps": 1}
STABILITY = {
    "generator": PLAIN,
    "discriminator": PLAIN,
    "label_smoothing": 0,
    "feature_matching": 0,
    "constraints": {"clip_weights": None, "gradient_penalty": 0, "r1": 1, "r2": 1, "spectral_norm": False},
    "schedule": {"critic_steps": 1, "warm_up": 0, "ramp": 0, "ema": None},
    "alarms": {
        "grace": 1,
        "win_rate": None,
        "gradient_growth": None,
        "effective_items": None,
        "effective_rank": None,
    },
}
VECTORS = {"factors": 4, "content": 20, "content_l2": 0.01, "tokens": 50, "min_token_items": 2}
SERVING = {
    "draws": 3,
    "noise_scale": 1,
    "nearest": 10,
    "merge": "sum",
    "content_share": 0.5,
    "faiss_above": 200000,
}


def merge(old, new):
    return old | {
        name: merge(old[name], value) if isinstance(value, dict) else value for name, value in new.items()
    }


def settings(**changes):
    common = {
        "recommender": "feature_gan",
        "seed": 1,
        "trainer": TRAINER,
        "vectors": VECTORS,
        "factor_dropout": 0.3,
        "noise": 3,
        "loss": "relativistic",
        "adversarial": 1,
        "mode_seeking": 0.1,
        "regression": 1,
        "stability": STABILITY,
        "generator": SIDE,
        "discriminator": SIDE,
        "serving": SERVING,
        "epochs": 4,
        "evaluate_every": 2,
        "look_users": None,
        "patience": None,
        "refit": False,
    }
    return FeatureGANParams.model_validate(merge(common, changes))


def products(n=14, categories=3):
    kinds = np.array(["bags", "shoes", "hats", "coats"])[np.arange(n) % categories]
    return pd.DataFrame(
        {
            "item_id": [f"i{item}" for item in range(n)],
            "title": [f"{kind} of red {'wool' if item % 2 else 'silk'}" for item, kind in enumerate(kinds)],
            "category": kinds,
            "brand": np.where(np.arange(n) % 4 == 0, None, "acme"),
            "price": np.exp(np.arange(n) / 4),
        }
    )


def undated(_):
    return None


def fitted(rows=None, **changes):
    rows = histories() if rows is None else rows
    return FeatureGAN(settings(**changes), products(rows.shape[1]), undated).fit(rows)


def game(times=None, **changes):
    rows = histories()
    vectors = np.random.default_rng(0).standard_normal((14, 9)).astype(np.float32)
    built = FeatureGANGame(settings(**changes), rows, vectors, 4, times, torch.device("cpu"))
    built.begin_epoch(0)
    return built


# --- laws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("term", [0, 1, 2], ids=["adversarial", "feature matching", "mode seeking"])
def test_each_adversarial_term_alone_reaches_every_generator_weight_and_no_critic_weight(loss, term):
    played = game(loss=loss)
    cut = next(played.batches("generator"))
    if term == 2:  # of the generator alone; its last bias moves both vectors alike
        played.generator.output.bias.requires_grad_(False)
    assert_it_teaches_the_generator_alone(
        torch.nn.ParameterDict(
            {
                name.replace(".", "_"): weight
                for name, weight in played.generator.named_parameters()
                if term < 2 or not name.startswith(("around", "output.bias"))
            }
        ),
        played.discriminator,
        lambda: played.adversarial_losses(cut.condition, cut.real)[term],
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_turn_leaves_the_opponent_untouched(loss):
    assert_a_turn_leaves_the_opponent_untouched(game(loss=loss, stability={"feature_matching": 1}))


def test_the_losses_are_the_formula_written_out():
    played = game(factor_dropout=0, stability={"feature_matching": 1})
    cut = next(played.batches("generator"))
    state = played.rng.get_state()
    n = len(cut.real)
    adversarial, matching, seeking = played.adversarial_losses(cut.condition, cut.real)
    played.rng.set_state(state)
    torch.rand(n, generator=played.rng)  # the mask, of which nothing is 0
    z, other = (torch.randn(n, 3, generator=played.rng) for _ in range(2))
    G, D = played.generator, played.discriminator
    leaky = torch.nn.functional.leaky_relu

    def write(noise):
        hidden = leaky(G.first(torch.cat([cut.condition, noise], dim=1)), 0.2)
        return G.around(cut.condition) + G.output(hidden)

    def f(vectors):
        return leaky(D.first(vectors), 0.2)

    def judge(vectors):
        g = D.condition(cut.condition)
        return f(vectors) @ D.output + (f(vectors) * g).sum(dim=1) / np.sqrt(24)

    fake = write(z)
    expected = torch.nn.functional.softplus(judge(cut.real) - judge(fake)).mean()
    torch.testing.assert_close(adversarial, expected)
    torch.testing.assert_close(matching, (f(cut.real).mean(0) - f(fake).mean(0)).square().sum())
    apart = (fake - write(other)).abs().mean() / (z - other).abs().mean()
    torch.testing.assert_close(seeking, 1 / (apart + 1e-5))
    regression = played.regression_loss(cut.condition, cut.came)
    torch.testing.assert_close(regression, (write(torch.zeros(n, 3)) - cut.came).square().mean())


def test_the_generator_starts_near_repeating_the_factors_of_the_taste():
    played = game()
    cut = next(played.batches("generator"))
    written = played.generator(cut.condition, torch.zeros(len(cut.real), 3))
    factors, content = cut.condition[:, :4], cut.condition[:, 4:-1]
    assert (written[:, :4] - factors).abs().mean() < 0.3 * factors.abs().mean()
    assert written[:, 4:].abs().mean() < 0.3 * content.abs().mean()


def test_real_and_fake_lose_their_factors_together():
    """Else the critic could tell them by what is missing."""
    played = game(factor_dropout=0.5)
    seen = []
    played.discriminator.register_forward_hook(lambda _, given, __: seen.append(given[1]))
    next(turn(played, "discriminator"))
    real, fake = seen[0], seen[1]
    lost = (real[:, :4] == 0).all(dim=1)
    assert 0 < lost.sum() < len(lost)
    assert torch.equal(lost, (fake[:, :4] == 0).all(dim=1))
    assert (real[:, 4:] != 0).all()


# --- cutting in time -------------------------------------------------------------------------------------


def cuts(times, rows=None, n=200):
    rows = histories() if rows is None else rows
    vectors = np.random.default_rng(0).standard_normal((rows.shape[1], 5)).astype(np.float32)
    held = Histories(rows, vectors, times)
    rng = torch.Generator().manual_seed(0)
    users = torch.as_tensor(held.users)
    return vectors, [(users, held.cut(users, rng)) for _ in range(n)]


def owners(rows, entries):
    return np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))[entries]


def test_no_target_is_in_its_condition_and_all_of_it_came_later():
    rows = histories()
    times = np.random.default_rng(5).integers(0, 6, rows.nnz).astype(np.float32)  # with many ties
    _, drawn = cuts(times, rows)
    for users, cut in drawn:
        assert not set(cut.before.tolist()) & set(cut.after.tolist())
        assert len(cut.before) + len(cut.after) == rows.nnz
        before, after = owners(rows, cut.before), owners(rows, cut.after)
        assert set(after) == set(users.tolist())
        latest = np.full(rows.shape[0], -1.0)
        np.maximum.at(latest, before, times[cut.before])
        earliest = np.full(rows.shape[0], np.inf)
        np.minimum.at(earliest, after, times[cut.after])
        assert (latest <= earliest).all()


def test_condition_and_target_are_the_means_written_out():
    rows = histories()
    rows.data *= np.random.default_rng(2).uniform(0.5, 3, rows.nnz).astype(np.float32)
    vectors, drawn = cuts(None, rows, n=20)
    for users, cut in drawn:
        for entries, found in ((cut.before, cut.condition[:, :-1]), (cut.after, cut.came)):
            for place, user in enumerate(users.tolist()):
                own = entries.numpy()[owners(rows, entries) == user]
                weights = rows.data[own]
                mean = weights @ vectors[rows.indices[own]] / max(weights.sum(), 1e-9)
                np.testing.assert_allclose(found[place], mean, atol=1e-5)
        counts = np.bincount(owners(rows, cut.before), minlength=rows.shape[0])[users]
        np.testing.assert_allclose(cut.condition[:, -1], np.log1p(counts), rtol=1e-6)


def test_the_real_product_is_one_that_came_in_proportion_to_its_confidence():
    rows = csr_array(np.array([[0, 1, 3, 0], [2, 0, 0, 2]], dtype=np.float32))
    vectors, drawn = cuts(None, rows, n=2000)
    whole = [
        int(np.flatnonzero((vectors == cut.real[0].numpy()).all(axis=1))[0])
        for _, cut in drawn
        if (owners(rows, cut.after) == 0).sum() == 2
    ]
    assert set(whole) == {1, 2}
    assert np.mean(np.array(whole) == 2) == pytest.approx(0.75, abs=0.05)
    for users, cut in drawn[:50]:
        for place, user in enumerate(users.tolist()):
            later = rows.indices[cut.after.numpy()[owners(rows, cut.after) == user]]
            assert (vectors[later] == cut.real[place].numpy()).all(axis=1).any()


def test_without_times_any_product_may_come_first():
    rows = csr_array(np.ones((1, 3), dtype=np.float32))
    _, drawn = cuts(None, rows)
    first = {cut.before[0].item() for _, cut in drawn if len(cut.before)}
    assert first == {0, 1, 2}
    _, drawn = cuts(np.array([3, 1, 2], dtype=np.float32), rows)
    assert {cut.before[0].item() for _, cut in drawn if len(cut.before)} == {1}
    assert {len(cut.before) for _, cut in drawn} == {0, 1, 2}  # an empty history is one to learn, too


# --- a small world ---------------------------------------------------------------------------------------


def shop(users=160, per_category=12, categories=4, seed=0):
    """Each shopper likes one category; products of a category differ by nothing else."""
    rng = np.random.default_rng(seed)
    n = per_category * categories
    liked = np.arange(users) % categories
    chance = np.where(np.arange(n) % categories == liked[:, None], 0.6, 0.03)
    rows = csr_array((rng.random((users, n)) < chance).astype(np.float32))
    table = products(n, categories)
    return rows, liked, table.assign(title=None, brand=None, price=np.nan)


@pytest.fixture(scope="module")
def of_the_shop():
    rows, liked, table = shop()
    side = {"hidden": [32], "learning_rate": 0.002, "batch_size": 32}
    world = settings(generator=side, discriminator=side, epochs=25, adversarial=0.1, serving={"nearest": 60})
    return FeatureGAN(world, table, undated).fit(rows), rows, liked, table


def test_a_product_never_sold_comes_first_for_the_shopper_of_its_category(of_the_shop):
    recommender, rows, liked, table = of_the_shop
    new = pd.DataFrame({"item_id": list("wxyz"), "category": table["category"].to_numpy()[[2, 0, 3, 1]]})
    first, _ = top_k(recommender.score_new(rows, new), 1)
    assert (np.array([2, 0, 3, 1])[first[:, 0]] == liked).mean() > 0.95


def test_among_the_known_a_new_product_of_the_liked_category_stands_before_the_other_categories(of_the_shop):
    recommender, rows, liked, _ = of_the_shop
    new = pd.DataFrame({"item_id": ["new"], "category": ["bags"]})
    scores = recommender.score_new(rows, new, among_known=True)
    assert scores.shape == (rows.shape[0], rows.shape[1] + 1)
    ranks = (scores > scores[:, -1:]).sum(axis=1)
    assert np.median(ranks[liked == 0]) < 12
    assert np.median(ranks[liked != 0]) > 12


def test_among_the_known_a_new_product_stands_where_its_content_stands(of_the_shop):
    recommender, rows, _, _ = of_the_shop
    one = FeatureGAN(settings(serving={"draws": 1, "nearest": 60}), products(), undated)
    one._take(
        recommender.generator,
        recommender.content,
        recommender.vectors,
        recommender.factors,
        recommender.popularity,
    )
    new = pd.DataFrame({"category": ["hats", "coats", "gloves"]})
    (queries,) = one.draw(rows)
    known = queries @ one._known.T
    content = queries[:, 4:] @ one.vectors[:, 4:].T
    found = queries[:, 4:] @ one.content.vectors(new).T
    standing = (found - content.mean(axis=1)[:, None]) / content.std(axis=1)[:, None]
    placed = known.mean(axis=1)[:, None] + standing * known.std(axis=1)[:, None]
    expected, _ = top_k(np.hstack([known, placed]).astype(np.float32), 20)
    ranking, _ = top_k(one.score_new(rows, new, among_known=True), 20)
    assert (ranking == expected).mean() > 0.98  # rounding may turn two neighbours


def test_known_products_of_the_liked_category_come_first(of_the_shop):
    recommender, rows, liked, _ = of_the_shop
    ranking, _ = recommend(recommender, rows, 3)
    assert (ranking % 4 == liked[:, None]).mean() > 0.9


def two_tastes(users=240, per_category=12, categories=6, seed=0):
    """Each shopper likes one category best and another half as much."""
    rng = np.random.default_rng(seed)
    kind = np.arange(per_category * categories) % categories
    first = np.arange(users) % categories
    second = (first + 1 + rng.integers(categories - 1, size=users)) % categories
    chance = np.full((users, len(kind)), 0.01)
    chance[kind == first[:, None]] = 0.6
    chance[kind == second[:, None]] = 0.3
    table = pd.DataFrame({"category": [f"kind {number}" for number in kind]})
    return csr_array((rng.random(chance.shape) < chance).astype(np.float32)), first, second, table


def test_several_draws_cover_both_tastes_of_a_shopper_and_one_draw_covers_one():
    rows, first, second, table = two_tastes()
    side = {"hidden": [32], "learning_rate": 0.004, "batch_size": 48}

    def trained(adversarial):
        chosen = settings(
            generator=side,
            discriminator=side,
            epochs=20,
            noise=4,
            adversarial=adversarial,
            mode_seeking=adversarial / 10,
            serving={"draws": 8, "merge": "best", "nearest": 72},
        )
        return FeatureGAN(chosen, table, undated).fit(rows)

    def both(recommender):
        """Share of shoppers with both tastes among the first three of 18 new products, three a category."""
        new = pd.DataFrame({"category": [f"kind {number % 6}" for number in range(18)]})
        ranking, _ = top_k(recommender.score_new(rows, new), 3)
        shown = ranking % 6
        return ((shown == first[:, None]).any(axis=1) & (shown == second[:, None]).any(axis=1)).mean()

    taught = trained(1)
    assert both(taught) > 0.6
    assert both(trained(0)) < 0.45  # noise that no adversary has taught says little
    taught._noises = taught._noises[:1]  # what draws: 1 serves with
    assert both(taught) < 0.05


def test_of_what_nothing_is_known_nothing_is_expected(of_the_shop):
    recommender, rows, _, _ = of_the_shop
    nothing = pd.DataFrame({"item_id": ["?"], "category": ["never heard of"]})
    assert (recommender.content.vectors(nothing) == 0).all()
    assert np.isfinite(recommender.score_new(rows, nothing)).all()


# --- what it answers -------------------------------------------------------------------------------------


def test_scores_of_a_batch_are_those_of_its_rows_and_finite():
    recommender = fitted()
    nothing = np.zeros((1, 14), dtype=np.float32)
    rows = csr_array(np.vstack([histories(seed=1).toarray(), nothing, histories().toarray()]))
    scores = recommender.score(rows)
    assert scores.shape == rows.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, recommender.score(rows))
    alone = np.vstack([recommender.score(rows[[row]]) for row in range(rows.shape[0])])
    np.testing.assert_allclose(scores, alone, atol=1e-5)
    assert recommender.score(csr_array((0, 14), dtype=np.float32)).shape == (0, 14)


def test_one_draw_is_the_point_forecast_ranked_by_inner_product():
    recommender = fitted(serving={"draws": 1, "nearest": 14, "content_share": 0.2})
    rows = histories(seed=3)
    (queries,) = recommender.draw(rows)
    ranking, _ = recommend(recommender, rows, 14, exclude_seen=False)
    shares = np.where(np.arange(recommender.vectors.shape[1]) < 4, 0.8, 0.2)
    expected, _ = top_k(queries @ (recommender.vectors * shares.astype(np.float32)).T, 14)
    np.testing.assert_array_equal(ranking, expected)


def test_what_no_draw_is_near_to_follows_by_popularity():
    recommender = fitted(serving={"draws": 1, "nearest": 2})
    ranking, scores = recommend(recommender, histories(seed=3), 14, exclude_seen=False)
    assert (scores[:, :2] > 0).all()
    assert (scores[:, 2:] < 0).all()
    popularity = recommender.popularity[ranking[:, 2:]]
    assert (np.diff(popularity, axis=1) <= 0).all()


def test_one_seed_gives_one_result():
    first, second, other = (fitted(seed=seed).score(histories()) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_without_an_adversary_the_critic_does_not_matter():
    alone = {"adversarial": 0, "mode_seeking": 0}
    one, two, against = (
        fitted(discriminator={"learning_rate": rate}, **terms).generator.output.weight
        for terms, rate in ((alone, 0.003), (alone, 0.03), ({}, 0.003))
    )
    assert torch.equal(one, two)
    assert not torch.allclose(one, against)


def test_products_without_any_content_are_known_by_their_factors_alone():
    recommender = FeatureGAN(settings(), products()[["item_id"]], undated).fit(histories())
    assert recommender.vectors.shape == (14, 4)
    assert np.isfinite(recommender.score(histories())).all()


def test_it_is_fitted_on_the_times_of_the_matrix_it_is_given():
    asked = []
    rows = histories()

    def times(matrix):
        asked.append(matrix)
        return np.arange(matrix.nnz, dtype=np.float32)

    dated = FeatureGAN(settings(), products(), times).fit(rows)
    assert len(asked) == 1
    assert asked[0] is rows
    assert not np.allclose(dated.score(rows), fitted().score(rows))


@pytest.mark.parametrize("loss", LOSSES)
def test_everything_of_the_stability_kit_can_be_on(loss):
    steady = {
        "label_smoothing": 0 if loss in ("wasserstein", "hinge", "relativistic") else 0.1,
        "feature_matching": 0.5,
        "constraints": {"clip_weights": 1, "gradient_penalty": 1, "spectral_norm": True},
        "schedule": {"critic_steps": 2, "warm_up": 1, "ramp": 2, "ema": 0.9},
    }
    recommender = fitted(loss=loss, stability=steady)
    assert np.isfinite(recommender.score(histories())).all()
    assert {"d_real", "d_fake", "win_rate", "adversarial", "regression"} <= set(
        recommender.training.curves[0]
    )


def test_above_the_line_faiss_searches_where_it_is_installed(monkeypatch):
    built = []

    class Index:
        def __init__(self, vectors):
            built.append(vectors)

        def nearest(self, queries, k):
            return nearest(queries, built[0], k)

    monkeypatch.setattr(module, "ApproximateIndex", Index)
    monkeypatch.setattr(module, "faiss_is_there", lambda: True)
    expected = fitted(serving={"faiss_above": 14}).score(histories())
    assert not built
    above = fitted(serving={"faiss_above": 13})
    assert len(built) == 1
    np.testing.assert_array_equal(above.score(histories()), expected)
    monkeypatch.setattr(module, "faiss_is_there", lambda: False)
    np.testing.assert_array_equal(fitted(serving={"faiss_above": 13}).score(histories()), expected)
    assert len(built) == 1


# --- files -----------------------------------------------------------------------------------------------


def test_saved_and_loaded_it_scores_the_same_new_products_too(tmp_path):
    recommender = FeatureGAN(settings(), products(), undated).fit(histories(), validate=lambda _: 0.5)
    recommender.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "recommender.json"}
    loaded = load_recommender(tmp_path)
    new = products(6).assign(title="hats of silk", brand="unheard")
    for rows in (histories(), histories(seed=4)):
        np.testing.assert_array_equal(loaded.score(rows), recommender.score(rows))
        np.testing.assert_array_equal(loaded.score_new(rows, new), recommender.score_new(rows, new))
    assert (loaded.training.epochs, loaded.training.best_epoch, loaded.training.validation_ndcg) == (
        4,
        2,
        0.5,
    )


def test_packaged_it_answers_ids(tmp_path):
    fitted().save(tmp_path)
    write_items(products().assign(popularity=1), tmp_path / "items.json")
    packaged = PackagedRecommender.load(tmp_path, tmp_path / "items.json")
    first, nobody = packaged.recommend([["i2", "i5", "gone"], []], k=4)
    assert len(set(first.item_ids)) == 4
    assert not {"i2", "i5"} & set(first.item_ids)
    assert len(set(nobody.item_ids)) == 4


@pytest.mark.parametrize("columns", [["item_id"], ["item_id", "price"]])
def test_a_shop_without_words_is_saved_and_loaded(columns, tmp_path):
    table = products()[columns]
    recommender = FeatureGAN(settings(), table, undated).fit(histories())
    recommender.save(tmp_path)
    loaded = load_recommender(tmp_path)
    np.testing.assert_array_equal(
        loaded.score_new(histories(), table), recommender.score_new(histories(), table)
    )


@pytest.mark.parametrize(
    ("old", "new"), [('"factors": 4,\n  "epochs"', '"factors": 5,\n  "epochs"'), ("24", "25")]
)
def test_a_damaged_folder_is_refused(old, new, tmp_path):
    fitted(epochs=1).save(tmp_path)
    path = tmp_path / "recommender.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(RecganError, match="run dvc repro train"):
        load_recommender(tmp_path)


def test_a_stopped_training_goes_on_to_the_same_end(tmp_path):
    def fit(order, checkpoint=None):
        left = iter(order)

        def validate(_):
            try:
                return next(left)
            except StopIteration:
                raise MemoryError("killed") from None

        recommender = FeatureGAN(
            settings(epochs=8, stability={"schedule": {"ema": 0.9}}), products(), undated
        )
        return recommender.fit(histories(), validate, checkpoint=checkpoint)

    whole = fit([0.1, 0.3, 0.2, 0.2])
    checkpoint = tmp_path / "choose.ckpt"
    with pytest.raises(MemoryError):
        fit([0.1, 0.3], checkpoint)
    resumed = fit([0.2, 0.2], checkpoint)
    assert resumed.training.best_epoch == whole.training.best_epoch == 4
    np.testing.assert_array_equal(resumed.score(histories()), whole.score(histories()))
    assert resumed.training.curves == whole.training.curves
