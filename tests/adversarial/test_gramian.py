"""Gramians against the outputs written out."""

import pytest
import torch

from recgan.adversarial import gramian
from recgan.adversarial.gramian import Held, Linear, Resting, forms, pays


def problem():
    """Rows of a batch without a held cell, a column that no row holds, and a cell of the base's weight."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    learning = Linear(*(one.requires_grad_() for one in (draw(7, 5), draw(11, 5), draw(11))))
    resting = Resting(draw(11, 3), draw(7, 3), draw(7))
    mask = torch.rand(7, 11, generator=rng) < 0.4
    mask[2] = False
    mask[:, 4] = False
    rows, columns = mask.nonzero(as_tuple=True)
    weights = 2 * torch.rand(len(rows), generator=rng, dtype=torch.float64)
    weights[0] = 0.3
    return learning, resting, Held(rows, columns, weights), mask, torch.rand(7, generator=rng).double()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("block", [4, 1000])
def test_forms_and_their_gradients_equal_those_of_all_cells(weighted, block, monkeypatch):
    monkeypatch.setattr(gramian, "_BLOCK", block)
    learning, resting, held, mask, rows = problem()
    v = learning.hidden @ learning.weight.T + learning.bias
    f = resting.weight @ resting.hidden.T + resting.bias[:, None]
    w = torch.full(mask.shape, 0.3, dtype=torch.float64)
    w[held.rows, held.columns] = held.weights
    if weighted:
        w = w * rows[:, None]
    expected = (w * v * v).sum(), (w * f * v).sum(), (w * mask * v).sum()
    found = forms(learning, resting, held, 0.3, rows if weighted else None)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
        gradients = (torch.autograd.grad(one, learning, retain_graph=True) for one in (ours, theirs))
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b)


def test_gradients_of_a_sum_of_forms_add_up():
    learning, resting, held, _, rows = problem()
    square, cross, pull = forms(learning, resting, held, 0.3, rows)
    whole = torch.autograd.grad(0.5 * square - 2 * cross + 3 * pull, learning, retain_graph=True)
    parts = [torch.autograd.grad(one, learning, retain_graph=True) for one in (square, cross, pull)]
    for one, a, b, c in zip(whole, *parts, strict=True):
        torch.testing.assert_close(one, 0.5 * a - 2 * b + 3 * c)


def test_gramians_pay_once_a_batch_is_larger_than_layers_of_one_width():
    assert not pays(400, 400, 400)
    assert pays(401, 400, 400)
    assert pays(121, 100, 200)  # 2 · 100 · 300 = 60,000 = 120 · 500
    assert not pays(120, 100, 200)
