"""Networks whose first layer reads sparse rows: a row costs what it holds, not what it could hold."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import embedding_bag


class SparseBatch(NamedTuple):
    """Some rows of a sparse matrix, laid out for `embedding_bag`."""

    rows: Tensor
    """(batch,) positions of the rows in their matrix."""
    indices: Tensor
    """(entries,) columns, row after row."""
    offsets: Tensor
    """(batch,) where each row begins in `indices`."""
    values: Tensor | None
    """(entries,) or None where every entry is 1."""


class SparseRows(nn.Module):
    """A sparse matrix that follows its module to the device and is read in batches of rows."""

    indptr: Tensor
    indices: Tensor
    values: Tensor

    def __init__(self, matrix: csr_array) -> None:
        super().__init__()
        self.shape: tuple[int, int] = matrix.shape
        self.binary = bool((matrix.data == 1).all())
        self.register_buffer("indptr", torch.as_tensor(matrix.indptr, dtype=torch.long), persistent=False)
        self.register_buffer("indices", torch.as_tensor(matrix.indices, dtype=torch.long), persistent=False)
        self.register_buffer("values", torch.as_tensor(matrix.data, dtype=torch.float32), persistent=False)

    def all(self) -> SparseBatch:
        """Return every row, in order."""
        rows = torch.arange(self.shape[0], device=self.indptr.device)
        return SparseBatch(rows, self.indices, self.indptr[:-1], None if self.binary else self.values)

    def batches(self, order: Tensor, size: int) -> Iterator[SparseBatch]:
        """Yield the rows of `order` in batches; the last one takes what is left.

        The entries are put in that order once, so a batch is a slice of them.
        """
        lengths = (self.indptr[1:] - self.indptr[:-1])[order]
        ends = lengths.cumsum(0)
        starts = ends - lengths
        shift = torch.repeat_interleave(self.indptr[order] - starts, lengths)
        entries = shift + torch.arange(len(shift), device=shift.device)
        indices, values = self.indices[entries], None if self.binary else self.values[entries]
        borders = [0, *ends[size - 1 :: size].tolist()]
        if len(order) % size:
            borders.append(len(entries))
        for number, (low, high) in enumerate(pairwise(borders)):
            part = slice(number * size, (number + 1) * size)
            yield SparseBatch(
                order[part],
                indices[low:high],
                starts[part] - low,
                None if values is None else values[low:high],
            )

    def held(self) -> Tensor:
        """Return (rows, columns) bool: where the matrix has an entry."""
        dense = torch.zeros(self.shape, dtype=torch.bool, device=self.indptr.device)
        lengths = self.indptr[1:] - self.indptr[:-1]
        rows = torch.repeat_interleave(torch.arange(self.shape[0], device=lengths.device), lengths)
        dense[rows, self.indices] = True
        return dense


class Perceptron(nn.Module):
    """A multilayer perceptron on sparse rows: sigmoid hidden layers, linear output.

    Weights start uniform within Glorot's bound, biases within 0.01, as in CFGAN's own code.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Parameter(_glorot(inputs, hidden[0], rng))  # (inputs, hidden)
        self.bias = nn.Parameter(_small(hidden[0], rng))
        self.layers = _layers(hidden, rng)
        self.output = _linear(hidden[-1], outputs, rng)

    def last_hidden(self, batch: SparseBatch) -> Tensor:
        """Return the last hidden layer (batch, hidden)."""
        return _through(self.layers, torch.sigmoid(_sparse_linear(batch, self.first) + self.bias))

    def forward(self, batch: SparseBatch) -> Tensor:
        """Return the outputs (batch, outputs)."""
        output: Tensor = self.output(self.last_hidden(batch))
        return output


class ConditionalDiscriminator(nn.Module):
    """Judge a row together with its condition: a perceptron on the two side by side, one logit out.

    The first layer is kept in two parts, since W [c, x] = W_c c + W_x x: the part of the condition is
    computed once where the same condition is judged often.
    """

    def __init__(self, width: int, hidden: Sequence[int], rng: torch.Generator) -> None:
        super().__init__()
        both = _glorot(2 * width, hidden[0], rng)
        self.condition = nn.Parameter(both[:width].clone())  # (width, hidden)
        self.judged = nn.Parameter(both[width:].clone())  # (width, hidden)
        self.bias = nn.Parameter(_small(hidden[0], rng))
        self.layers = _layers(hidden, rng)
        self.output = _linear(hidden[-1], 1, rng)

    def read(self, condition: SparseBatch) -> Tensor:
        """Return the condition's part of the first layer (batch, hidden)."""
        return _sparse_linear(condition, self.condition) + self.bias

    def forward(self, read: Tensor, judged: Tensor | SparseBatch) -> Tensor:
        """Return the logits (batch,) that the judged rows are real.

        Args:
            read: (batch, hidden), what `read` made of the condition.
            judged: (batch, width) dense rows, or sparse ones.
        """
        if isinstance(judged, SparseBatch):
            part = _sparse_linear(judged, self.judged)
        else:
            part = judged @ self.judged
        output: Tensor = self.output(_through(self.layers, torch.sigmoid(read + part)))
        return output.squeeze(1)


def adam(network: nn.Module, learning_rate: float, l2: float) -> torch.optim.Adam:
    """Return Adam on a network's parameters, with l2 / 2 ‖w‖² in the loss.

    Adam's `weight_decay` adds l2·w to the gradient, which is that term's gradient exactly.
    """
    return torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=l2, fused=True)


def _sparse_linear(batch: SparseBatch, weight: Tensor) -> Tensor:
    return embedding_bag(
        batch.indices, weight, batch.offsets, mode="sum", per_sample_weights=batch.values
    )  # (batch, hidden)


def _through(layers: nn.ModuleList, hidden: Tensor) -> Tensor:
    for layer in layers:
        hidden = torch.sigmoid(layer(hidden))
    return hidden


def _layers(sizes: Sequence[int], rng: torch.Generator) -> nn.ModuleList:
    return nn.ModuleList(_linear(inputs, outputs, rng) for inputs, outputs in pairwise(sizes))


def _linear(inputs: int, outputs: int, rng: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    layer.weight = nn.Parameter(_glorot(inputs, outputs, rng).T.contiguous())
    layer.bias = nn.Parameter(_small(outputs, rng))
    return layer


def _glorot(inputs: int, outputs: int, rng: torch.Generator) -> Tensor:
    bound = math.sqrt(6 / (inputs + outputs))
    return torch.empty(inputs, outputs).uniform_(-bound, bound, generator=rng)


def _small(size: int, rng: torch.Generator) -> Tensor:
    return torch.empty(size).uniform_(-0.01, 0.01, generator=rng)
