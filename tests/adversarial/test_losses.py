"""Each loss against its formula, computed by hand."""

import math

import pytest
import torch

from recgan.adversarial.losses import LOSSES, feature_matching, mode_seeking, smoothed

REAL, FAKE = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, -math.log(3)])
# As probabilities: D(real) = 1/2, 3/4 and D(fake) = 1/2, 1/4.


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        (
            "non_saturating",
            -(math.log(1 / 2) + math.log(3 / 4)) / 2 - (math.log(1 / 2) + math.log(3 / 4)) / 2,
            -(math.log(1 / 2) + math.log(1 / 4)) / 2,
        ),
        (
            "saturating",
            -(math.log(1 / 2) + math.log(3 / 4)) / 2 - (math.log(1 / 2) + math.log(3 / 4)) / 2,
            (math.log(1 / 2) + math.log(3 / 4)) / 2,
        ),
        (
            "least_squares",
            ((1 + (math.log(3) - 1) ** 2) / 2 + (0 + math.log(3) ** 2) / 2) / 2,
            (1 + (math.log(3) + 1) ** 2) / 2 / 2,
        ),
        ("hinge", (1 + 0) / 2 + (1 + 0) / 2, math.log(3) / 2),
        ("wasserstein", -math.log(3), math.log(3) / 2),
        # D(real) - D(fake) = 0 and log 9: the pairs are won with 1/2 and 9/10.
        (
            "relativistic",
            -(math.log(1 / 2) + math.log(9 / 10)) / 2,
            -(math.log(1 / 2) + math.log(1 / 10)) / 2,
        ),
    ],
)
def test_closed_form(name, discriminator, generator):
    pair = LOSSES[name]
    assert pair.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, abs=1e-6)
    assert pair.generator(FAKE, REAL).item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_sides_pull_fake_logits_apart(name):
    fake = torch.tensor([0.3, 0.2], requires_grad=True)
    (down,) = torch.autograd.grad(LOSSES[name].discriminator(torch.zeros(2), fake), fake)
    (up,) = torch.autograd.grad(LOSSES[name].generator(fake, torch.zeros(2)), fake)
    assert (down > 0).all()
    assert (up < 0).all()


@pytest.mark.parametrize("name", ["non_saturating", "saturating", "relativistic"])
def test_logarithms_survive_bfloat16_and_extreme_logits(name):
    extreme = torch.tensor([-3e4, 3e4], dtype=torch.bfloat16)
    pair = LOSSES[name]
    assert pair.generator(extreme, -extreme).dtype == torch.float32
    assert torch.isfinite(pair.generator(extreme, -extreme))
    assert torch.isfinite(pair.discriminator(extreme, extreme))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_only_a_relativistic_generator_looks_at_real_rows(name):
    pair = LOSSES[name]
    same = pair.generator(FAKE, REAL) == pair.generator(FAKE, REAL + 1)
    assert bool(same) != pair.relativistic


def test_smoothing_moves_the_target_of_real_rows_alone():
    """Target .9: -.9 log D - .1 log(1 - D) at D = 1/2, 3/4, and (D - .9)² / 2."""
    log_loss = smoothed("non_saturating", 0.1).discriminator(REAL, FAKE).item()
    real = -(math.log(1 / 2) + 0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4)) / 2
    fake = -(math.log(1 / 2) + math.log(3 / 4)) / 2
    assert log_loss == pytest.approx(real + fake, abs=1e-6)
    squares = smoothed("least_squares", 0.1).discriminator(REAL, FAKE).item()
    expected = ((0.81 + (math.log(3) - 0.9) ** 2) / 2 + math.log(3) ** 2 / 2) / 2
    assert squares == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["non_saturating", "saturating", "least_squares"])
def test_smoothing_by_nothing_is_the_loss_itself(name):
    torch.testing.assert_close(
        smoothed(name, 0).discriminator(REAL, FAKE), LOSSES[name].discriminator(REAL, FAKE)
    )
    assert smoothed(name, 0.1).generator is LOSSES[name].generator


def test_smoothing_bounds_the_best_discriminator():
    """The best logit for real rows that no fake resembles is log(.9 / .1), not infinity."""
    logit = torch.tensor([math.log(9)], requires_grad=True)
    (slope,) = torch.autograd.grad(
        smoothed("non_saturating", 0.1).discriminator(logit, torch.tensor([-50.0])), logit
    )
    assert slope.item() == pytest.approx(0, abs=1e-7)


def test_feature_matching_is_the_squared_distance_of_means():
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
    assert feature_matching(real, fake).item() == pytest.approx((2 - 0) ** 2 + (3 - 2) ** 2)
    assert feature_matching(real, real[[1, 0]]).item() == 0


def test_mode_seeking_is_noise_apart_over_fakes_apart():
    z, other = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [3.0]])  # 2 apart on average
    first, second = torch.zeros(2, 2), torch.tensor([[4.0, 4.0], [0.0, 8.0]])  # 4 apart
    assert mode_seeking(first, second, z, other).item() == pytest.approx(2 / 4, abs=1e-4)
    assert mode_seeking(first, first, z, other).item() == pytest.approx(1e5)


def test_mode_seeking_pulls_fakes_apart():
    second = torch.tensor([[1.0, -1.0]], requires_grad=True)
    z = torch.zeros(1, 1)
    (slope,) = torch.autograd.grad(mode_seeking(torch.zeros(1, 2), second, z, z + 1), second)
    assert slope[0, 0] < 0 < slope[0, 1]
