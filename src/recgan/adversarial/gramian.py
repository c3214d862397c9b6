"""Weighted forms of a linear layer's outputs over all cells, without ever writing the outputs.

Where v = h Wᵀ + β and f = P Fᵀ + q are linear in a last hidden layer, a sum over all cells is a quadratic
form in the small matrices A = WᵀW and C = WᵀF (Gramians). Only the held cells are computed one by one:

    Σ_j v_j²     = hᵀA h + 2 hᵀWᵀβ + βᵀβ
    Σ_j f_j v_j  = hᵀC P + q hᵀ Σ_j W_j + Pᵀ Fᵀβ + q Σ_j β_j

The gradients follow in the same way. For n outputs and hidden layers of H and F a step costs 2 n H (H + F)
multiplications, whatever the batch; a batch of B rows written out costs n B (3 H + F). Sums are exact, to
float32. iALS rests on the same identity (Hu, Koren & Volinsky, ICDM 2008); here it serves any network whose
last layer is linear.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

_BLOCK = 1 << 16
"""Held cells whose hidden vectors are read at a time."""


class Linear(NamedTuple):
    """The player that learns: its outputs are v = hidden weightᵀ + bias, (batch, n)."""

    hidden: Tensor
    """(batch, H)."""
    weight: Tensor
    """(n, H)."""
    bias: Tensor
    """(n,)."""


class Resting(NamedTuple):
    """The player that rests, read by the other view: f = weight hiddenᵀ + bias[:, None], (batch, n)."""

    hidden: Tensor
    """(n, F)."""
    weight: Tensor
    """(batch, F)."""
    bias: Tensor
    """(batch,)."""


class Held(NamedTuple):
    """The cells that a batch's rows hold, each at most once."""

    rows: Tensor
    """(held,) places in the batch, ascending."""
    columns: Tensor
    """(held,)."""
    weights: Tensor
    """(held,) of the cell; every other cell has the base."""


def forms(
    learning: Linear, resting: Resting, held: Held, base: float, rows: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ⟨v, v⟩_w, ⟨f, v⟩_w and ⟨p, v⟩_w, p being 1 in held cells, with gradients to the learning player.

    Args:
        learning: what gets the gradient.
        resting: what gets none.
        held: the cells of weight other than the base.
        base: the weight of every other cell.
        rows: (batch,) what each row counts for in the sums; None counts each once.
    """
    counted = learning.hidden.new_ones(len(learning.hidden)) if rows is None else rows
    found: tuple[Tensor, Tensor, Tensor] = _Forms.apply(*learning, *resting, *held, base, counted)  # type: ignore[no-untyped-call]
    return found


def pays(batch: int, learning: int, resting: int) -> bool:
    """Say whether Gramians take fewer multiplications than the outputs written out.

    Args:
        batch: rows in it.
        learning: width of the learning player's last hidden layer.
        resting: of the resting one's.
    """
    return 2 * learning * (learning + resting) < batch * (3 * learning + resting)


class _Forms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        resting: Tensor,
        heads: Tensor,
        head_bias: Tensor,
        places: Tensor,
        columns: Tensor,
        weights: Tensor,
        base: float,
        rows: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        gram, cross = weight.T @ weight, weight.T @ resting  # (H, H), (H, F)
        straight, total = weight.T @ bias, weight.sum(dim=0)  # (H,)
        read = heads @ cross.T  # (batch, H)
        squares = (hidden @ gram + 2 * straight).mul_(hidden).sum(dim=1) + bias.dot(bias)
        crosses = (read + head_bias[:, None] * total).mul_(hidden).sum(dim=1)
        crosses += heads @ (resting.T @ bias) + head_bias * bias.sum()
        v, f = _cells(hidden, weight, places, columns), _cells(heads, resting, places, columns)
        v += bias[columns]
        f += head_bias[places]
        counted = rows[places]
        more = counted * (weights - base)  # what a held cell weighs beyond the base
        ctx.base = base
        ctx.save_for_backward(
            hidden, weight, bias, resting, heads, head_bias, places, columns, rows,
            gram, straight, total, read, v, f, more, counted * weights,
        )  # fmt: skip
        return (
            base * rows.dot(squares) + (more * v).dot(v),
            base * rows.dot(crosses) + (more * f).dot(v),
            (counted * weights).dot(v),
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (
            hidden, weight, bias, resting, heads, head_bias, places, columns, rows,
            gram, straight, total, read, v, f, more, whole,
        ) = ctx.saved_tensors  # fmt: skip
        square, cross, pull = 2 * grads[0], grads[1], grads[2]
        in_cells = more * (square * v + cross * f) + pull * whole  # (held,)

        counts = torch.bincount(places, minlength=len(hidden))
        for_hidden = hidden @ (square * gram) + square * straight
        for_hidden += cross * (read + head_bias[:, None] * total)
        for_hidden *= ctx.base * rows[:, None]
        for_hidden += _sum(columns, counts, in_cells, weight)

        weighed = hidden * rows[:, None]
        square, cross = square * ctx.base, cross * ctx.base
        for_weight = weight @ (square * (hidden.T @ weighed))
        for_weight.addmm_(resting, cross * (heads.T @ weighed))
        for_weight += cross * (head_bias @ weighed)
        for_weight.addr_(bias, square * weighed.sum(dim=0))
        order = columns.argsort(stable=True)
        counts = torch.bincount(columns, minlength=len(weight))
        for_weight += _sum(places[order], counts, in_cells[order], hidden)

        for_bias = square * (weight @ weighed.sum(dim=0) + bias * rows.sum())
        for_bias += cross * (resting @ (rows @ heads) + rows.dot(head_bias))
        for_bias += torch.bincount(columns, in_cells, minlength=len(bias))
        return (for_hidden, for_weight, for_bias, *[None] * 8)


def _cells(left: Tensor, right: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (held,) the products left_row · right_column."""
    parts = zip(torch.split(rows, _BLOCK), torch.split(columns, _BLOCK), strict=True)
    return torch.cat([(left[row] * right[column]).sum(dim=1) for row, column in parts])


def _sum(indices: Tensor, counts: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """Return (bags, width) sums of a table's rows, each times its value, by bags of these sizes."""
    offsets = counts.cumsum(0) - counts
    return embedding_bag(indices, table, offsets, mode="sum", per_sample_weights=values)
