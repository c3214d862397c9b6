"""Networks whose first layer reads sparse rows: a row costs what it holds, not what it could hold."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils import skip_init

from recgan.adversarial.kernels import dense, sparse_linear
from recgan.adversarial.share import ALONE
from recgan.adversarial.sparse import SparseBatch

Activation = Callable[[Tensor], Tensor]


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
        first = self.activation(sparse_linear(batch, self.first) + self.bias)
        return _through(self.layers, first, self.activation)

    def forward(self, batch: SparseBatch) -> Tensor:
        """Return the outputs (batch, outputs)."""
        return dense(self.last_hidden(batch), self.output.weight, self.output.bias)


class ConditionalDiscriminator(nn.Module):
    """Judge a row together with its condition: a perceptron on the two side by side, one logit out.

    The first layer is kept in two parts, since W [c, x] = W_c c + W_x x. The part of the condition is
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
        return sparse_linear(condition, self.condition) + self.bias

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
            part = sparse_linear(judged, self.judged)
        else:
            part = dense(judged, self.judged.T)
        return _through(self.layers, torch.sigmoid(read + part), torch.sigmoid)


class VectorGenerator(nn.Module):
    """Write a vector from a condition and noise: a perceptron on the two, beside a linear path around it.

    The linear path starts as the identity on the first entries and 0 on the others. So a generator whose
    vectors live in the space of its conditions starts by repeating those entries.
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

    D(v | h) = a f(v) + ⟨f(v), g(h)⟩ / √dim, f a perceptron and g linear. The first term asks whether there is
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


class Dropout(nn.Module):
    """Dropout that draws from the game's generator, so that a resumed training draws on as it would have."""

    def __init__(self, share: float, rng: torch.Generator) -> None:
        super().__init__()
        self.share = share
        self.rng = rng
        self.rows = ALONE
        """What processes share rows of: each draws for all rows, and keeps those of its own."""
        self.n_rows: int | None = None
        """How many rows all processes have; None where one has them all."""

    def forward(self, values: Tensor) -> Tensor:
        """Set a share of the values to 0 in training, and let the others grow so that the mean stays."""
        if not self.training or not self.share:
            return values
        shape = (self.n_rows or len(values), *values.shape[1:])
        kept = torch.rand(shape, generator=self.rng, device=values.device) >= self.share
        kept = kept[self.rows.rank :: self.rows.processes]
        return values * kept / (1 - self.share)


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
