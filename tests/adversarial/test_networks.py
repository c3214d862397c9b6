"""Sparse layers and fast products against PyTorch's dense ones."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn.functional import linear

from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import ConditionalDiscriminator, Perceptron, adam
from recgan.adversarial.sparse import SparseRows


def matrix(binary=True, rows=13, width=9):
    rng = np.random.default_rng(0)
    held = (rng.random((rows, width)) < 0.3).astype(np.float32)
    held[[2, 7]] = 0  # rows with nothing
    held[:, 4] = 0  # and a column
    return held if binary else held * rng.integers(1, 5, held.shape).astype(np.float32)


def rng():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("size", [1, 4, 13, 50])
def test_batches_are_the_rows_in_that_order(binary, size):
    held = matrix(binary)
    rows = SparseRows(csr_array(held))
    order = torch.randperm(13, generator=rng())
    identity = torch.eye(9)
    seen = []
    for batch in rows.batches(order, size):
        network = Perceptron(9, [9], 9, rng())
        weight = identity.clone().requires_grad_()
        network.first = torch.nn.Parameter(weight)
        network.bias = torch.nn.Parameter(torch.zeros(9))
        hidden = network.last_hidden(batch)
        torch.testing.assert_close(torch.logit(hidden), torch.as_tensor(held)[batch.rows], atol=1e-5, rtol=0)
        seen.extend(batch.rows.tolist())
        assert len(batch.rows) == size or len(seen) == 13
    assert seen == order.tolist()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("hidden", [[6], [6, 5]])
def test_perceptron_and_its_gradients_equal_the_dense_one(binary, hidden):
    held = matrix(binary)
    network = Perceptron(9, hidden, 9, rng())
    for batch in SparseRows(csr_array(held)).batches(torch.arange(13), 5):
        ours = network(batch)
        layer = torch.as_tensor(held)[batch.rows] @ network.first + network.bias
        for following in network.layers:
            layer = linear(torch.sigmoid(layer), following.weight, following.bias)
        theirs = linear(torch.sigmoid(layer), network.output.weight, network.output.bias)
        torch.testing.assert_close(ours, theirs)
        weights = list(network.parameters())
        for a, b in zip(
            torch.autograd.grad(ours.square().sum(), weights),
            torch.autograd.grad(theirs.square().sum(), weights),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_discriminator_reads_condition_and_judged_side_by_side():
    held = matrix()
    network = ConditionalDiscriminator(9, [6], rng())
    (batch,) = SparseRows(csr_array(held)).batches(torch.arange(13), 13)
    judged = torch.rand(13, 9, generator=rng())
    both = torch.cat([torch.as_tensor(held), judged], dim=1)
    first = torch.cat([network.condition, network.judged])
    expected = linear(
        torch.sigmoid(both @ first + network.bias), network.output.weight, network.output.bias
    ).squeeze(1)
    torch.testing.assert_close(network(network.read(batch), judged), expected)
    torch.testing.assert_close(
        network(network.read(batch), batch), network(network.read(batch), torch.as_tensor(held))
    )


def test_dense_equals_linear_with_any_strides():
    a, weight, bias = (torch.randn(*shape, generator=rng()) for shape in [(5, 7), (3, 7), (3,)])
    for rows, w in ((a, weight), (a.T.contiguous().T, weight.T.contiguous().T)):
        leaves = [x.clone().requires_grad_() for x in (rows, w, bias)]
        copies = [x.clone().requires_grad_() for x in (rows, w, bias)]
        ours, theirs = dense(*leaves), linear(*copies)
        torch.testing.assert_close(ours, theirs)
        ours.square().sum().backward()
        theirs.square().sum().backward()
        for x, y in zip(leaves, copies, strict=True):
            torch.testing.assert_close(x.grad, y.grad)


def test_l2_is_the_gradient_of_half_the_squared_norm():
    plain, decayed = Perceptron(9, [6], 9, rng()), Perceptron(9, [6], 9, rng())
    (batch,) = SparseRows(csr_array(matrix())).batches(torch.arange(13), 13)
    for network, l2, in_loss in ((plain, 0.0, 0.3), (decayed, 0.3, 0.0)):
        optimizer = adam(network, 0.1, l2)
        loss = network(batch).square().mean()
        loss = loss + in_loss / 2 * sum(weight.square().sum() for weight in network.parameters())
        loss.backward()
        optimizer.step()
    for a, b in zip(plain.parameters(), decayed.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_weights_start_within_glorots_bound():
    network = Perceptron(900, [100], 900, rng())
    bound = (6 / 1000) ** 0.5
    for weight in (network.first, network.output.weight):
        assert 0.95 * bound < weight.abs().max() <= bound
    assert network.bias.abs().max() <= 0.01


def test_a_product_in_an_autocast_region_is_one_of_bfloat16():
    rows, weight = torch.rand(8, 40), torch.rand(5, 40)
    exact = dense(rows, weight)
    with torch.autocast("cpu", torch.bfloat16):
        halves = dense(rows, weight)
    assert halves.dtype == torch.bfloat16
    torch.testing.assert_close(halves.float(), exact, rtol=0.02, atol=0.02)
    assert not torch.equal(halves.float(), exact)
