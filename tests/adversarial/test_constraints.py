"""Constraints on discriminators whose slopes are known in closed form."""

import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from recgan.adversarial.constraints import (
    clip_weights,
    gradient_penalty,
    normalise_spectrum,
    zero_centred_penalty,
)
from recgan.adversarial.networks import ConditionalDiscriminator
from recgan.adversarial.sparse import SparseRows

W = torch.tensor([3.0, 4.0, 12.0])  # ‖w‖ = 13


def rng():
    return torch.Generator().manual_seed(0)


def linear_judge(rows):
    return rows @ W


def quadratic_judge(rows):
    return rows.square().sum(dim=1) / 2  # its slope is the row itself


def test_penalties_of_a_linear_judge():
    rows = torch.rand(5, 3, generator=rng())
    assert zero_centred_penalty(linear_judge, rows).item() == pytest.approx(13**2 / 2)
    assert gradient_penalty(linear_judge, rows, -rows, rng()).item() == pytest.approx((13 - 1) ** 2)


def test_a_judge_that_masks_has_slope_on_its_support_alone():
    mask = torch.tensor([1.0, 1.0, 0.0])

    def judge(rows):
        return linear_judge(rows * mask)

    rows = torch.rand(4, 3, generator=rng())
    assert zero_centred_penalty(judge, rows).item() == pytest.approx(5**2 / 2)
    assert gradient_penalty(judge, rows, -rows, rng()).item() == pytest.approx((5 - 1) ** 2)


def test_zero_centred_penalty_is_taken_at_the_rows():
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert zero_centred_penalty(quadratic_judge, rows).item() == pytest.approx((25 + 1) / 2 / 2)


def test_the_interpolation_lies_between_real_and_fake():
    """With D = ‖x‖²/2 the slope's norm is the point's: uniform between 1 and 3, so E(‖x‖ - 1)² = 4/3."""
    real, fake = torch.ones(20_000, 1), torch.full((20_000, 1), 3.0)
    penalty = gradient_penalty(quadratic_judge, real, fake, rng()).item()
    assert penalty == pytest.approx(4 / 3, abs=0.03)


def test_penalties_move_the_weights():
    """d/dw of ‖w‖²/2 is w; of (‖w‖ - 1)² it is 2 (‖w‖ - 1) w / ‖w‖."""
    weight = W.clone().requires_grad_()
    rows = torch.rand(4, 3, generator=rng())
    (slope,) = torch.autograd.grad(zero_centred_penalty(lambda x: x @ weight, rows), weight)
    torch.testing.assert_close(slope, W)
    (slope,) = torch.autograd.grad(gradient_penalty(lambda x: x @ weight, rows, -rows, rng()), weight)
    torch.testing.assert_close(slope, 2 * 12 * W / 13)


def test_a_flat_judge_has_a_finite_gradient():
    weight = torch.zeros(3, requires_grad=True)
    rows = torch.rand(4, 3, generator=rng())
    (slope,) = torch.autograd.grad(gradient_penalty(lambda x: x @ weight, rows, rows, rng()), weight)
    assert torch.isfinite(slope).all()


def test_penalties_are_in_float32_under_mixed_precision():
    network = nn.Linear(3, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.ones(1, 3)).dtype == torch.bfloat16
        penalty = zero_centred_penalty(
            lambda x: network(x).squeeze(1), torch.ones(2, 3, dtype=torch.bfloat16)
        )
    assert penalty.dtype == torch.float32
    torch.testing.assert_close(penalty, network.weight.square().sum() / 2)


def test_gradients_of_slopes_through_the_networks_own_layers():
    """The penalty's gradient through our fast products equals that through PyTorch's."""
    network = ConditionalDiscriminator(9, [6, 5], rng())
    held = (torch.rand(7, 9, generator=rng()) < 0.4).float()
    (batch,) = SparseRows(csr_array(held.numpy())).batches(torch.arange(7), 7)
    rows = torch.rand(7, 9, generator=rng())

    def plain(x):
        hidden = torch.sigmoid(held @ network.condition + x @ network.judged + network.bias)
        for layer in network.layers:
            hidden = torch.sigmoid(hidden @ layer.weight.T + layer.bias)
        return (hidden @ network.output.weight.T + network.output.bias).squeeze(1)

    weights = [weight for name, weight in network.named_parameters() if name != "output.bias"]
    read = network.read(batch)
    ours = torch.autograd.grad(zero_centred_penalty(lambda x: network(read, x), rows), weights)
    theirs = torch.autograd.grad(zero_centred_penalty(plain, rows), weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-8)


def test_clipping_bounds_every_weight_and_leaves_small_ones():
    network = nn.Linear(50, 50)
    before = network.weight.detach().clone()
    clip_weights(network, 0.05)
    assert max(weight.abs().max() for weight in network.parameters()) <= 0.05
    small = before.abs() <= 0.05
    assert small.any()
    assert torch.equal(network.weight[small], before[small])


def test_spectral_norm_is_one_after_convergence():
    network = ConditionalDiscriminator(40, [20, 10], rng())
    normalise_spectrum(network, rng())
    for _ in range(300):  # a power iteration at each use
        matrices = [network.condition, network.judged, network.layers[0].weight, network.output.weight]
    for matrix in matrices:
        assert torch.linalg.matrix_norm(matrix, ord=2).item() == pytest.approx(1, abs=1e-3)


def test_spectral_norm_draws_from_its_own_generator():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    normalise_spectrum(ConditionalDiscriminator(9, [6], rng()), rng())
    assert torch.equal(torch.rand(2), expected)
