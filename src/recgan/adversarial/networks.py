"""Networks whose first layer reads sparse rows: a row costs what it holds, not what it could hold."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, leaky_relu, linear
from torch.nn.utils import skip_init

Activation = Callable[[Tensor], Tensor]


class Bags(NamedTuple):
    """Entries in bags, as `embedding_bag` reads them."""

    indices: Tensor
    """(entries,) what each entry points at, bag after bag."""
    offsets: Tensor
    """(bags,) where each bag begins."""
    values: Tensor | None
    """(entries,) or None where every entry is 1."""


class SparseBatch(NamedTuple):
    """Some rows of a sparse matrix."""

    rows: Tensor
    """(batch,) positions of the rows in their matrix."""
    by_row: Bags
    """A bag of columns for each row."""
    by_column: Bags | None
    """A bag of places in the batch for each column: what a gradient needs, absent where none is wanted."""
    entries: Tensor
    """(entries,) positions of the entries of `by_row` in their matrix."""

    def cells(self, width: int) -> Tensor:
        """Return (entries,) positions of the entries in a flat (batch, width) array."""
        ends = torch.cat([self.by_row.offsets[1:], self.entries.new_tensor([len(self.entries)])])
        places = torch.arange(len(self.rows), device=self.rows.device)
        places = places.repeat_interleave(ends - self.by_row.offsets, output_size=len(self.entries))
        return places * width + self.by_row.indices


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
        """Return every row, in order, for use without gradient."""
        rows = torch.arange(self.shape[0], device=self.indptr.device)
        values = None if self.binary else self.values
        entries = torch.arange(len(self.indices), device=self.indptr.device)
        return SparseBatch(rows, Bags(self.indices, self.indptr[:-1], values), None, entries)

    def batches(
        self, order: Tensor, size: int, dropout: float = 0, rng: torch.Generator | None = None
    ) -> Iterator[SparseBatch]:
        """Yield the rows of `order` in batches; the last one takes what is left.

        The entries are sorted once for the whole pass, by row and by column, so that a batch is a slice.

        Args:
            order: (any number,) positions of rows.
            size: rows in a batch.
            dropout: share of the entries whose value becomes 0; the others grow so that the mean stays.
            rng: what draws them.
        """
        n_rows, width = len(order), self.shape[1]
        lengths = (self.indptr[1:] - self.indptr[:-1])[order]
        ends = lengths.cumsum(0)
        starts = ends - lengths
        places = torch.repeat_interleave(torch.arange(n_rows, device=order.device), lengths)  # (entries,)
        entries = (self.indptr[order] - starts)[places] + torch.arange(len(places), device=order.device)
        columns = self.indices[entries]
        values = None if self.binary else self.values[entries]
        if dropout:
            kept = torch.rand(len(entries), generator=rng, device=order.device) >= dropout
            scale = kept / (1 - dropout)
            values = scale if values is None else values * scale
        borders = [0, *ends[size - 1 :: size].tolist()]
        if n_rows % size:
            borders.append(len(entries))
        n_batches = len(borders) - 1
        keys = places // size * width + columns
        by_column = keys.argsort(stable=True)
        counts = torch.bincount(keys, minlength=n_batches * width)
        column_starts = (counts.cumsum(0) - counts).view(n_batches, width)
        places, sorted_values = (places % size)[by_column], None if values is None else values[by_column]
        for number, (low, high) in enumerate(pairwise(borders)):
            part = slice(number * size, (number + 1) * size)
            yield SparseBatch(
                order[part],
                Bags(columns[low:high], starts[part] - low, None if values is None else values[low:high]),
                Bags(
                    places[low:high],
                    column_starts[number] - low,
                    None if sorted_values is None else sorted_values[low:high],
                ),
                entries[low:high],
            )

    def held(self) -> Tensor:
        """Return (rows, columns) float32: 1 where the matrix has an entry."""
        return self._filled(1)

    def dense(self) -> Tensor:
        """Return (rows, columns) float32: the matrix."""
        return self._filled(self.values)

    def _filled(self, values: Tensor | int) -> Tensor:
        dense = torch.zeros(self.shape, device=self.indptr.device)
        lengths = self.indptr[1:] - self.indptr[:-1]
        rows = torch.repeat_interleave(torch.arange(self.shape[0], device=lengths.device), lengths)
        dense[rows, self.indices] = values
        return dense


class Perceptron(nn.Module):
    """A multilayer perceptron on sparse rows: sigmoid or tanh hidden layers, linear output.

    Weights start uniform within Glorot's bound, biases within 0.01, as in CFGAN's own code.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        rng: torch.Generator,
        activation: Activation = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.first = nn.Parameter(_glorot(inputs, hidden[0], rng))  # (inputs, hidden)
        self.bias = nn.Parameter(_small(hidden[0], rng))
        self.layers = _layers(hidden, rng)
        self.output = _linear(hidden[-1], outputs, rng)

    def last_hidden(self, batch: SparseBatch) -> Tensor:
        """Return the last hidden layer (batch, hidden)."""
        first = self.activation(_sparse_linear(batch, self.first) + self.bias)
        return _through(self.layers, first, self.activation)

    def forward(self, batch: SparseBatch) -> Tensor:
        """Return the outputs (batch, outputs)."""
        return dense(self.last_hidden(batch), self.output.weight, self.output.bias)


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
        return self.logits(self.features(read, judged))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (batch,) of what `features` returned."""
        output: Tensor = self.output(features)
        return output.squeeze(1)

    def features(self, read: Tensor, judged: Tensor | SparseBatch) -> Tensor:
        """Return the last hidden layer (batch, hidden) for what `forward` takes."""
        if isinstance(judged, SparseBatch):
            part = _sparse_linear(judged, self.judged)
        else:
            part = dense(judged, self.judged.T)
        return _through(self.layers, torch.sigmoid(read + part), torch.sigmoid)


class VectorGenerator(nn.Module):
    """Write a vector from a condition and noise: a perceptron on the two, beside a linear path around it.

    The linear path starts as the identity on the first entries and 0 on the others, so that a generator whose
    vectors live in the space of its conditions starts at repeating those entries.
    """

    def __init__(
        self,
        condition: int,
        noise: int,
        hidden: Sequence[int],
        width: int,
        repeated: int,
        rng: torch.Generator,
    ) -> None:
        """Build the network.

        Args:
            condition: width of a condition.
            noise: width of the noise.
            hidden: widths of the hidden layers.
            width: of what it writes.
            repeated: entries that it starts by repeating.
            rng: what draws the first weights.
        """
        super().__init__()
        self.first = _linear(condition + noise, hidden[0], rng)
        self.layers = _layers(hidden, rng)
        self.output = _linear(hidden[-1], width, rng)
        self.around = _linear(condition, width, rng)
        with torch.no_grad():
            self.output.weight.mul_(0.1)
            self.around.weight.zero_()
            self.around.weight[:repeated, :repeated] = torch.eye(repeated)

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Return the vectors (batch, width) for conditions (batch, condition) and noise (batch, noise)."""
        joined = torch.cat([condition, noise], dim=1)
        first = leaky(dense(joined, self.first.weight, self.first.bias))
        hidden = _through(self.layers, first, leaky)
        straight = dense(condition, self.around.weight, self.around.bias)
        return straight + dense(hidden, self.output.weight, self.output.bias)


class ProjectionDiscriminator(nn.Module):
    """Judge a vector under a condition by projection (Miyato & Koyama 2018, equation 4).

    D(v | h) = a f(v) + ⟨f(v), g(h)⟩ / √dim, f a perceptron and g linear: the first term asks whether there is
    such a vector, the second whether it belongs to this condition.
    """

    def __init__(self, condition: int, width: int, hidden: Sequence[int], rng: torch.Generator) -> None:
        super().__init__()
        self.first = _linear(width, hidden[0], rng)
        self.layers = _layers(hidden, rng)
        self.condition = _linear(condition, hidden[-1], rng)
        # Without a bias: it would say the same of every vector.
        self.output = nn.Parameter(_glorot(hidden[-1], 1, rng).squeeze(1))

    def features(self, judged: Tensor) -> Tensor:
        """Return f (batch, features) of the judged vectors (batch, width)."""
        first = leaky(dense(judged, self.first.weight, self.first.bias))
        return _through(self.layers, first, leaky)

    def read(self, condition: Tensor) -> Tensor:
        """Return g / √dim (batch, features) of the conditions."""
        read = dense(condition, self.condition.weight, self.condition.bias)
        return read / math.sqrt(read.shape[1])

    def logits(self, features: Tensor, read: Tensor) -> Tensor:
        """Return the logits (batch,) for what `features` and `read` returned."""
        return (features * (self.output + read)).sum(dim=1)

    def forward(self, read: Tensor, judged: Tensor) -> Tensor:
        """Return the logits (batch,) that the judged vectors are real under what was read."""
        return self.logits(self.features(judged), read)


def leaky(rows: Tensor) -> Tensor:
    """Return the rows, a fifth of them where they are negative."""
    return leaky_relu(rows, 0.2)


def adam(
    network: nn.Module, learning_rate: float, l2: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Return Adam on a network's parameters, with l2 / 2 ‖w‖² in the loss.

    Adam's `weight_decay` adds l2·w to the gradient, which is that term's gradient exactly.
    """
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, weight_decay=l2, fused=True)


def adamw(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019): each step takes learning_rate · weight_decay off a weight."""
    return torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)


def dense(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return rows Wᵀ + bias as `linear` does, at up to twice its speed on a CPU.

    PyTorch's matrix product on a CPU is MKL's, which leaves AVX-512 unused on AMD (95 of 167 GFLOPS on one
    core of an EPYC); oneDNN, in PyTorch too, uses what the machine has and reads any strides.
    """
    if _HAS_ONEDNN and rows.device.type == "cpu" and rows.dtype == weight.dtype == torch.float32:
        product: Tensor = _Dense.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return product
    return linear(rows, weight, bias)


# The operator is what torch.compile uses; tests/adversarial compares it with `linear`.
_HAS_ONEDNN = hasattr(torch.ops, "mkldnn") and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _onednn(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _onednn(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        grad, (for_rows, for_weight, for_bias) = grads[0], ctx.needs_input_grad
        # Gradients of gradients, as penalties need them, go through `dense` again.
        product = dense if torch.is_grad_enabled() else _onednn
        return (
            product(grad, weight.T) if for_rows else None,
            product(grad.T, rows.T) if for_weight else None,
            grad.sum(dim=0) if for_bias else None,
        )


class _SparseLinear(torch.autograd.Function):
    """C W for sparse C: a sum of W's rows, and so is its gradient Cᵀ δ, read by column.

    PyTorch's own gradient of `embedding_bag` sorts and writes in every step, at ten times the cost.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, batch: SparseBatch) -> Tensor:
        ctx.by_column = batch.by_column
        return _sum(batch.by_row, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _sum(ctx.by_column, grads[0].contiguous()), None


def _sparse_linear(batch: SparseBatch, weight: Tensor) -> Tensor:
    product: Tensor = _SparseLinear.apply(weight, batch)  # type: ignore[no-untyped-call]
    return product  # (batch, hidden)


def _sum(bags: Bags, weight: Tensor) -> Tensor:
    return embedding_bag(bags.indices, weight, bags.offsets, mode="sum", per_sample_weights=bags.values)


def _through(layers: nn.ModuleList, hidden: Tensor, activation: Activation) -> Tensor:
    for layer in cast("Iterable[nn.Linear]", layers):
        hidden = activation(dense(hidden, layer.weight, layer.bias))
    return hidden


def _layers(sizes: Sequence[int], rng: torch.Generator) -> nn.ModuleList:
    return nn.ModuleList(_linear(inputs, outputs, rng) for inputs, outputs in pairwise(sizes))


def _linear(inputs: int, outputs: int, rng: torch.Generator) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    layer.weight = nn.Parameter(_glorot(inputs, outputs, rng).T.contiguous())
    layer.bias = nn.Parameter(_small(outputs, rng))
    return layer


def _glorot(inputs: int, outputs: int, rng: torch.Generator) -> Tensor:
    bound = math.sqrt(6 / (inputs + outputs))
    return torch.empty(inputs, outputs).uniform_(-bound, bound, generator=rng)


def _small(size: int, rng: torch.Generator) -> Tensor:
    return torch.empty(size).uniform_(-0.01, 0.01, generator=rng)
