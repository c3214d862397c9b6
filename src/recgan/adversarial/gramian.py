"""Weighted forms of a linear layer's outputs over all cells, without ever writing the outputs.

Where v = h Wᵀ + β and f = P Fᵀ + q are linear in a last hidden layer, a sum over all cells is a quadratic
form in the small matrices A = WᵀW and C = WᵀF (Gramians). Only the held cells are computed one by one:

    Σ_j v_j²     = hᵀA h + 2 hᵀWᵀβ + βᵀβ
    Σ_j f_j v_j  = hᵀC P + q hᵀ Σ_j W_j + Pᵀ Fᵀβ + q Σ_j β_j

The gradients follow in the same way. For n outputs and hidden layers of H and F a step costs 2 n H (H + F)
multiplications, whatever the batch; a batch of B rows written out costs n B (3 H + F). Sums are exact, to
float32. iALS rests on the same identity (Hu, Koren & Volinsky, ICDM 2008); here it serves any network whose
last layer is linear.

Where several processes each hold some of a batch's rows, each works with some of the columns. Sums over
columns or rows are small, and they exchange those. The gradient that each returns is its part: the mean over
processes, which DistributedDataParallel makes, is the gradient of the mean of their losses.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from recgan.adversarial.share import ALONE, Share

_BLOCK = 1 << 11
"""Held cells whose hidden vectors are read at a time: few enough for a processor's cache."""


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
    learning: Linear,
    resting: Resting,
    held: Held,
    base: float,
    rows: Tensor | None = None,
    share: Share = ALONE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ⟨v, v⟩_w, ⟨f, v⟩_w and ⟨p, v⟩_w, p being 1 in held cells, with gradients to the learning player.

    Args:
        learning: what gets the gradient.
        resting: what gets none.
        held: the cells of weight other than the base.
        base: the weight of every other cell.
        rows: (batch,) what each row counts for in the sums; None counts each once.
        share: this process's of a batch that several hold the rows of; the sums are of its own rows.
    """
    counted = learning.hidden.new_ones(len(learning.hidden)) if rows is None else rows
    found: tuple[Tensor, Tensor, Tensor] = _Forms.apply(*learning, *resting, *held, base, counted, share)  # type: ignore[no-untyped-call]
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
        share: Share,
    ) -> tuple[Tensor, Tensor, Tensor]:
        own = share.slice_of(len(weight))
        gram, cross = weight[own].T @ weight[own], weight[own].T @ resting[own]  # (H, H), (H, F)
        straight, total = weight[own].T @ bias[own], weight[own].sum(dim=0)  # (H,)
        met = resting[own].T @ bias[own]  # (F,)
        share.add_up(gram, cross, straight, total, met)
        read = heads @ cross.T  # (batch, H)
        squares = (hidden @ gram + 2 * straight).mul_(hidden).sum(dim=1) + bias.dot(bias)
        crosses = (read + head_bias[:, None] * total).mul_(hidden).sum(dim=1)
        crosses += heads @ met + head_bias * bias.sum()
        v, f = _cells(hidden, weight, places, columns), _cells(heads, resting, places, columns)
        v += bias[columns]
        f += head_bias[places]
        counted = rows[places]
        more = counted * (weights - base)  # what a held cell weighs beyond the base
        ctx.base, ctx.share = base, share
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

        share, own = ctx.share, ctx.share.slice_of(len(weight))
        weighed = hidden * rows[:, None]
        learned, told = hidden.T @ weighed, heads.T @ weighed  # (H, H), (F, H)
        by_bias, summed = head_bias @ weighed, weighed.sum(dim=0)  # (H,)
        heads_summed, biases_summed, counted = rows @ heads, rows.dot(head_bias), rows.sum()
        share.add_up(learned, told, by_bias, summed, heads_summed, biases_summed, counted)
        square, cross = square * ctx.base, cross * ctx.base
        for_weight, for_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for_own = for_weight[own]
        torch.mm(weight[own], square * learned, out=for_own)
        for_own.addmm_(resting[own], cross * told)
        for_own += cross * by_bias
        for_own.addr_(bias[own], square * summed)
        order = columns.argsort(stable=True)
        counts = torch.bincount(columns, minlength=len(weight))
        for_weight += _sum(places[order], counts, in_cells[order], hidden)

        for_bias[own] = square * (weight[own] @ summed + bias[own] * counted)
        for_bias[own] += cross * (resting[own] @ heads_summed + biases_summed)
        for_bias += torch.bincount(columns, in_cells, minlength=len(bias))
        return (for_hidden, for_weight, for_bias, *[None] * 9)


def _cells(left: Tensor, right: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (held,) the products left_row · right_column."""
    parts = zip(torch.split(rows, _BLOCK), torch.split(columns, _BLOCK), strict=True)
    # index_select reads rows several times as fast as indexing does.
    return torch.cat(
        [left.index_select(0, row).mul_(right.index_select(0, column)).sum(dim=1) for row, column in parts]
    )


def _sum(indices: Tensor, counts: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """Return (bags, width) sums of a table's rows, each times its value, by bags of these sizes."""
    offsets = counts.cumsum(0) - counts
    return embedding_bag(indices, table, offsets, mode="sum", per_sample_weights=values)
