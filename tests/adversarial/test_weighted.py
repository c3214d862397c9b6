"""Weighted products read at the held cells, against the same written out on dense arrays."""

import pytest
import torch

from recgan.adversarial.weighted import inner, quadratic


@pytest.fixture
def arrays():
    rng = torch.Generator().manual_seed(0)
    values, fixed = torch.randn(2, 7, 11, generator=rng)
    cells = torch.randperm(77, generator=rng)[:20]
    weights = torch.rand(20, generator=rng) + 0.5
    dense, held = torch.full((7, 11), 0.3), torch.zeros(7, 11)
    dense.view(-1)[cells], held.view(-1)[cells] = weights, 1
    return values.requires_grad_(), fixed, cells, weights, dense, held


@pytest.mark.parametrize(("square", "cross", "pull"), [(1, 0, 1), (0, -1, 0), (2, 1, 1), (0.5, -0.7, 3)])
def test_loss_and_gradient_are_the_formulas(arrays, square, cross, pull):
    values, fixed, cells, weights, dense, held = arrays
    loss = quadratic(values, fixed, cells, weights, 0.3, square=square, cross=cross, pull=pull)
    expected = (dense * values * (square / 2 * values + cross * fixed - pull * held)).sum()
    torch.testing.assert_close(loss, expected)
    (ours,) = torch.autograd.grad(3 * loss, values)
    (theirs,) = torch.autograd.grad(3 * expected, values)
    torch.testing.assert_close(ours, theirs)


def test_rows_count_by_their_weight(arrays):
    values, fixed, cells, weights, dense, held = arrays
    rows = torch.arange(7.0)
    loss = quadratic(values, fixed, cells, weights, 0.3, square=2, cross=0.5, pull=1, rows=rows)
    expected = (rows[:, None] * dense * values * (values + 0.5 * fixed - held)).sum()
    torch.testing.assert_close(loss, expected)
    (ours,) = torch.autograd.grad(loss, values)
    (theirs,) = torch.autograd.grad(expected, values)
    torch.testing.assert_close(ours, theirs)


def test_nothing_is_held(arrays):
    values, fixed, *_ = arrays
    none = torch.empty(0, dtype=torch.long)
    loss = quadratic(values, fixed, none, torch.empty(0), 0.3, square=1, cross=1, pull=1)
    torch.testing.assert_close(loss, (0.3 * values * (values / 2 + fixed)).sum())


def test_inner_product(arrays):
    values, fixed, cells, weights, dense, _ = arrays
    torch.testing.assert_close(
        inner(values, fixed, cells, weights, 0.3), (dense * values * fixed).sum().detach()
    )
