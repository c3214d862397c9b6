"""The encoder: causal self-attention that reads a history and points at the next item.

    read        x_t = E[item] + gap + strength, dropped out
    layer       x += W_o attention(W_q x, W_k x, W_v x);  x += W_2 gelu(W_1 x)     (each on layer-normed x)
    attention   softmax over s <= t of (q_t · k_s / √32 + b[t - s])
    score       cos(x_t, F[item]) / temperature

F is E itself where tied. This is SASRec (Kang & McAuley, ICDM 2018) with cosines, and with a learned bias by
distance in place of vectors for positions: so a history of any length is read alike.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, normalize, scaled_dot_product_attention

from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import Dropout
from recgan.recommenders.sequence.settings import HEAD, SequenceParams
from recgan.recommenders.sequence.steps import GAPS, STRENGTHS, Steps


class Layer(nn.Module):
    """One layer of attention and one of two dense products."""

    def __init__(self, width: int, longest: int, dropout: Dropout) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(self.heads, longest))
        self.dropout = dropout
        with torch.no_grad():  # so that a history begins as its newest item
            self.outer.weight.mul_(0.1)
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, longest, width) for the same."""
        attended: Tensor = self.dropout(self._attended(self.first_norm(x)))
        x = x + attended
        told: Tensor = self.dropout(_linear(self.second, gelu(_linear(self.first, self.second_norm(x)))))
        return x + told

    def _attended(self, x: Tensor) -> Tensor:
        batch, longest, width = x.shape
        q, k, v = _linear(self.inner, x).view(batch, longest, 3, self.heads, HEAD).permute(2, 0, 3, 1, 4)
        place = torch.arange(longest, device=x.device)
        back = place[:, None] - place
        bias = self.distance[:, back.clamp(min=0)].masked_fill(back < 0, -torch.inf)
        found = scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)[None])
        return _linear(self.outer, found.transpose(1, 2).reshape(batch, longest, width))


class Encoder(nn.Module):
    """From the steps of a history to the scores of all items."""

    def __init__(self, settings: SequenceParams, items: Tensor, rng: torch.Generator | None = None) -> None:
        """Build the network, its first weights those of the settings' seed.

        Args:
            settings: the train section.
            items: (items, width), where their vectors start.
            rng: what dropout draws from; None only for scoring.
        """
        super().__init__()
        self.temperature = settings.temperature
        dropout = Dropout(settings.dropout if rng is not None else 0, rng or torch.Generator())
        self.dropout = dropout
        width = settings.width
        self.items = nn.Parameter(items.clone())
        self.targets = None if settings.tied else nn.Parameter(items.clone())
        self.gaps = nn.Parameter(torch.zeros(GAPS, width))
        self.strengths = nn.Parameter(torch.zeros(STRENGTHS, width))
        with torch.random.fork_rng(devices=[]):  # PyTorch's layers draw from the global state
            torch.default_generator.manual_seed(settings.seed)
            self.layers = nn.ModuleList(
                Layer(width, settings.max_length, dropout) for _ in range(settings.layers)
            )

    def forward(self, steps: Steps) -> Tensor:
        """Return (batch, longest, width), at each step what it points at, of length 1."""
        x = embedding(steps.items, self.items)
        x = x + embedding(steps.gaps, self.gaps) + embedding(steps.strengths, self.strengths)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x)
        return normalize(x, dim=-1)

    def aims(self, chosen: Tensor | None = None) -> Tensor:
        """Return (chosen, width) what is pointed at, divided by the temperature; None takes all items."""
        table = self.items if self.targets is None else self.targets
        return normalize(table if chosen is None else embedding(chosen, table), dim=-1) / self.temperature


def _linear(layer: nn.Module, x: Tensor) -> Tensor:
    layer = cast("nn.Linear", layer)
    return dense(x.reshape(-1, x.shape[-1]), layer.weight, layer.bias).view(*x.shape[:-1], -1)
