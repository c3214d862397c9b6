"""What CFGAN makes of its stability section: each choice by its formula, and alarms where it collapses."""

import logging

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recgan.adversarial.losses import LOSSES
from recgan.adversarial.play import play
from recgan.recommenders import stability
from recgan.recommenders.cfgan.game import CFGANGame
from recgan.recommenders.cfgan.recommender import CFGAN
from tests.adversarial.laws import TRAINER, assert_it_teaches_the_generator_alone, turn
from tests.recommenders.test_cfgan import VIEWS, histories, settings

CPU = torch.device("cpu")


def steady(loss="non_saturating", view="user", **changes):
    """Settings with some of the stability section changed; a section within it is merged."""
    plain = settings(loss=loss, view=view, **changes.pop("train", {})).model_dump()
    for name, value in changes.items():
        old = plain["stability"][name]
        plain["stability"][name] = {**old, **value} if isinstance(value, dict) else value
    return type(settings()).model_validate(plain)


def whole(**side):
    """A side that plays one batch of all rows."""
    return {**settings().discriminator.model_dump(), "batch_size": 20, "steps": 1, **side}


def game(chosen):
    built = CFGANGame(chosen, histories(), CPU)
    built.begin_epoch(0)
    return built


def one_batch(played):
    (batch,) = played.rows.batches(torch.arange(20), 20)
    return batch


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (
            "non_saturating",
            {"user": [-0.503015, 0.657482, -0.204133], "item": [-0.007536, 0.139376, 0.656982]},
        ),
        ("saturating", {"user": [-0.216412, 0.512330, -0.160328], "item": [-0.013499, 0.132733, 0.649519]}),
        (
            "least_squares",
            {"user": [-1.303118, 0.708075, -0.303361], "item": [-0.010769, 0.141878, 0.640368]},
        ),
        ("hinge", {"user": [-0.710875, 0.730309, -0.210111], "item": [-0.009229, 0.141602, 0.653957]}),
    ],
)
def test_with_everything_off_it_is_the_cfgan_it_was(view, loss, expected):
    """Scores computed before there was a stability section (there equal to the last bit)."""
    recommender = CFGAN(settings(view=view, loss=loss)).fit(histories(), validate=lambda _: 0.5)
    scores = recommender.score(histories(seed=1))[0, :3]
    np.testing.assert_allclose(scores, expected[view], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("matching", [0, 1])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_adversarial_loss_teaches_the_generator_alone(loss, matching):
    played = game(steady(loss, feature_matching=matching))
    batch = one_batch(played)
    with torch.no_grad():
        read = played.discriminator.read(batch)
    assert_it_teaches_the_generator_alone(
        played.generator, played.discriminator, lambda: played.generator_losses(batch, read)[0]
    )


def by_hand(played, judged):
    """The discriminator on dense rows, in plain PyTorch: hidden layer and logits."""
    held, d = played.rows.dense(), played.discriminator
    hidden = torch.sigmoid(held @ d.condition + judged @ d.judged + d.bias)
    return hidden, (hidden @ d.output.weight.T + d.output.bias).squeeze(1)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty"])
def test_penalties_are_taken_on_the_visible_support(name):
    with_penalty = game(steady(constraints={name: 3}, train={"discriminator": whole()}))
    without = game(steady(train={"discriminator": whole()}))
    written = with_penalty.generator(with_penalty.rows.all()).detach() * with_penalty._visible
    real, visible = with_penalty.rows.dense(), with_penalty._visible.float()
    assert 0 < visible.mean() < 1
    if name == "gradient_penalty":
        order = torch.Generator()
        order.set_state(with_penalty.rng.get_state())
        at_rows = torch.randperm(20, generator=order)
        share = torch.rand(20, 1, generator=order)
        at = torch.empty_like(real)
        at[at_rows] = real[at_rows] + share * (written - real)[at_rows]
    else:
        at = real if name == "r1" else written
    at.requires_grad_()
    (slope,) = torch.autograd.grad(by_hand(with_penalty, at)[1].sum(), at)
    norm = (slope * visible).norm(dim=1)
    expected = 3 * ((norm - 1).square().mean() if name == "gradient_penalty" else norm.square().mean() / 2)
    added = next(turn(with_penalty, "discriminator")) - next(turn(without, "discriminator"))
    torch.testing.assert_close(added, expected, rtol=1e-3, atol=1e-5)


def test_a_relativistic_generator_is_paired_with_its_own_row():
    played = game(steady("relativistic"))
    batch = one_batch(played)
    adversarial, _ = played.generator_losses(batch, played.discriminator.read(batch))
    _, real = by_hand(played, played.rows.dense())
    _, fake = by_hand(played, played.generator(batch) * played._visible)
    torch.testing.assert_close(adversarial, -torch.sigmoid(fake - real).log().mean())


def test_feature_matching_compares_the_discriminators_hidden_layer():
    played, plain = game(steady(feature_matching=2)), game(steady())
    batch = one_batch(played)
    hidden, _ = by_hand(played, played.rows.dense())
    written, _ = by_hand(played, played.generator(batch) * played._visible)
    expected = 2 * (hidden.mean(dim=0) - written.mean(dim=0)).square().sum()
    added = (
        played.generator_losses(batch, played.discriminator.read(batch))[0]
        - plain.generator_losses(batch, plain.discriminator.read(batch))[0]
    )
    torch.testing.assert_close(added, expected, rtol=1e-3, atol=1e-6)


def test_label_smoothing_reaches_the_discriminator():
    side = {"train": {"discriminator": whole()}}
    smooth, plain = game(steady(label_smoothing=0.2, **side)), game(steady(**side))
    _, real = by_hand(plain, plain.rows.dense())
    change = next(turn(smooth, "discriminator")) - next(turn(plain, "discriminator"))
    torch.testing.assert_close(
        change, 0.2 * real.mean(), rtol=1e-3, atol=1e-5
    )  # t softplus(-x) + (1-t) softplus(x)


def test_the_generator_hears_the_discriminator_after_the_warm_up():
    played = CFGANGame(
        steady(schedule={"warm_up": 2, "ramp": 2}, train={"generator": whole(hidden=[24])}), histories(), CPU
    )
    batch, shares = one_batch(played), []
    for epoch in range(5):
        played.begin_epoch(epoch)
        adversarial, reconstruction = played.generator_losses(batch, played.discriminator.read(batch))
        loss = next(turn(played, "generator"))
        shares.append(((loss - 0.1 * reconstruction) / adversarial).item())
    assert shares == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-3)


def test_interleaved_the_fakes_are_the_present_generators():
    played = game(steady(schedule={"critic_steps": 1}, train={"discriminator": whole()}))
    next(turn(played, "discriminator", rests=False))
    losses = turn(played, "discriminator", rests=False)
    with torch.no_grad():
        played.generator.output.weight.zero_()
        played.generator.output.bias.zero_()
    _, real = by_hand(played, played.rows.dense())
    _, fake = by_hand(played, torch.zeros(20, 14))
    torch.testing.assert_close(next(losses), LOSSES["non_saturating"].discriminator(real, fake))


def test_betas_are_each_sides_own():
    d, g = game(steady(discriminator={"betas": [0, 0.9]}, generator={"betas": [0.5, 0.99]})).optimizers()
    assert d.param_groups[0]["betas"] == (0, 0.9)
    assert g.param_groups[0]["betas"] == (0.5, 0.99)


EVERYTHING = {
    "generator": {"betas": [0.5, 0.99], "clip_gradient": 1.0},
    "discriminator": {"betas": [0.0, 0.9], "clip_gradient": 0.5},
    "feature_matching": 0.5,
    "constraints": {"gradient_penalty": 1, "r1": 1, "r2": 1, "spectral_norm": True},
    "schedule": {"critic_steps": 2, "warm_up": 2, "ramp": 3, "ema": 0.9},
}


def everything(loss, view="user"):
    return steady(loss, view, train={"discriminator": whole(batch_size=8), "epochs": 6}, **EVERYTHING)


@pytest.mark.parametrize(
    ("loss", "view"), [*((loss, "user") for loss in sorted(LOSSES)), ("relativistic", "item")]
)
def test_everything_at_once_trains_saves_and_scores(loss, view, tmp_path):
    recommender = CFGAN(everything(loss, view)).fit(histories(), validate=lambda _: 0.5)
    scores = recommender.score(histories(seed=1))
    assert np.isfinite(scores).all()
    recommender.save(tmp_path)
    np.testing.assert_array_equal(CFGAN.load(tmp_path).score(histories(seed=1)), scores)


def test_killed_with_everything_on_it_ends_as_if_it_had_not_been(tmp_path):
    def fit(dies=None):
        looks = []

        def validate(recommender):
            looks.append(1)
            if len(looks) == dies:
                raise MemoryError("killed")
            return float(recommender.score(histories())[0, 0])

        return CFGAN(everything("relativistic")).fit(
            histories(), validate=validate, checkpoint=None if dies is None else tmp_path / "a.ckpt"
        )

    expected = fit()
    with pytest.raises(MemoryError):
        fit(dies=3)
    resumed = fit(dies=99)
    assert resumed.training.curves == expected.training.curves
    np.testing.assert_array_equal(resumed.score(histories()), expected.score(histories()))


def test_clipped_weights_stay_within_the_bound():
    chosen = steady("wasserstein", constraints={"clip_weights": 0.02})
    played = CFGANGame(chosen, histories(), CPU)
    assert max(weight.abs().max() for weight in played.discriminator.parameters()) > 0.02
    play(played, epochs=2, trainer=TRAINER, rules=stability.rules(chosen.stability))
    assert max(weight.abs().max() for weight in played.discriminator.parameters()) <= 0.02
    assert max(weight.abs().max() for weight in played.generator.parameters()) > 0.02


def tastes(users=60, groups=4, items=120):
    """Users like half of the items of their own group."""
    rng = np.random.default_rng(0)
    same = np.arange(users)[:, None] % groups == np.arange(items) % groups
    return csr_array((same & (rng.random((users, items)) < 0.5)).astype(np.float32))


def watched(learning_rate):
    side = {"hidden": [16], "learning_rate": learning_rate, "l2": 0.001, "batch_size": 16, "steps": 2}
    lines = {
        "grace": 15,
        "win_rate": 0.94,
        "gradient_growth": 10,
        "effective_items": 60,
        "effective_rank": 4,
    }
    train = {
        "generator": side,
        "discriminator": {**side, "steps": 1},
        "partial_masking_share": 0.7,
        "zero_reconstruction_share": 0.7,
        "epochs": 40,
        "evaluate_every": 10,
    }
    return CFGAN(steady(alarms=lines, train=train)).fit(tastes())


def test_a_healthy_training_raises_no_alarm(caplog):
    recommender = watched(0.003)
    assert recommender.training.alarms == {}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    last = recommender.training.curves[-1]
    assert last["effective_items"] > 90


def test_a_collapse_is_reported_as_what_it_is(caplog):
    """The same training at a hundred times the rate."""
    recommender = watched(0.3)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert {"win_rate", "effective_items", "effective_rank"} <= set(recommender.training.alarms)
    assert len(warnings) == len(recommender.training.alarms)  # once each
    assert sum("collapsed onto few forms" in warning for warning in warnings) == 2
    assert all(warning.startswith("cfgan, epoch ") for warning in warnings)


def test_diversity_of_lists_and_scores():
    class Same:
        def score(self, user_items, ages=None):
            return np.tile(np.arange(user_items.shape[1], dtype=np.float32), (user_items.shape[0], 1))

    class Own:
        def score(self, user_items, ages=None):
            rng = np.random.default_rng(0)
            return rng.normal(size=user_items.shape).astype(np.float32)

    nothing = csr_array((600, 200), dtype=np.float32)
    same, own = stability.diversity(Same(), nothing), stability.diversity(Own(), nothing)
    assert same["effective_items"] == pytest.approx(20)
    assert same["effective_rank"] == pytest.approx(1, abs=1e-3)
    assert own["effective_items"] > 190
    assert own["effective_rank"] > 150
