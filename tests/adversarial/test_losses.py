"""Each loss against its formula, computed by hand."""

import math

import pytest
import torch

from recgan.adversarial.losses import LOSSES

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
    ],
)
def test_closed_form(name, discriminator, generator):
    pair = LOSSES[name]
    assert pair.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, abs=1e-6)
    assert pair.generator(FAKE).item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_sides_pull_fake_logits_apart(name):
    fake = torch.tensor([0.3, 0.2], requires_grad=True)
    (down,) = torch.autograd.grad(LOSSES[name].discriminator(torch.zeros(2), fake), fake)
    (up,) = torch.autograd.grad(LOSSES[name].generator(fake, torch.zeros(2)), fake)
    assert (down > 0).all()
    assert (up < 0).all()


@pytest.mark.parametrize("name", ["non_saturating", "saturating"])
def test_logarithms_survive_bfloat16_and_extreme_logits(name):
    extreme = torch.tensor([-3e4, 3e4], dtype=torch.bfloat16)
    pair = LOSSES[name]
    assert pair.generator(extreme).dtype == torch.float32
    assert torch.isfinite(pair.generator(extreme))
    assert torch.isfinite(pair.discriminator(extreme, extreme))
