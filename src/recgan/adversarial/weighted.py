"""Weighted inner products over dense rows of which few cells are held.

⟨a, b⟩_w = Σ w_j a_j b_j, where w is `base` everywhere but in the held cells. Sums over all cells are plain
dot products, and what the held cells add is read at their places.
"""

from typing import Any

import torch
from torch import Tensor


def quadratic(
    values: Tensor,
    fixed: Tensor,
    cells: Tensor,
    weights: Tensor,
    base: float,
    *,
    square: float,
    cross: float,
    pull: float,
    rows: Tensor | None = None,
) -> Tensor:
    """Return square/2 ⟨v, v⟩_w + cross ⟨f, v⟩_w - pull ⟨p, v⟩_w, p being 1 in held cells and 0 elsewhere.

    Its gradient, w∘(square v + cross f - pull p), is computed with it; written with PyTorch's own operators
    the same loss takes six times as long on a CPU.

    Args:
        values: (rows, width) v, which gets the gradient.
        fixed: (rows, width) f, which gets none.
        cells: (held,) positions of the held cells in the flat (rows, width) array, each at most once.
        weights: (held,) their weights.
        base: the weight of every other cell.
        square: see above, as `cross` and `pull`.
        cross: see above.
        pull: see above.
        rows: (rows,) what each row counts for in the sum; None counts each once.
    """
    arguments = (values, fixed, cells, weights, base, square, cross, pull, rows)
    loss: Tensor = _Quadratic.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss


def inner(a: Tensor, b: Tensor, cells: Tensor, weights: Tensor, base: float) -> Tensor:
    """Return ⟨a, b⟩_w of two (rows, width) arrays, without gradient; `quadratic` says what the rest is."""
    a, b = a.detach().float().reshape(-1), b.detach().float().reshape(-1)
    return base * a.dot(b) + ((weights - base) * a[cells]).dot(b[cells])


class _Quadratic(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        fixed: Tensor,
        cells: Tensor,
        weights: Tensor,
        base: float,
        square: float,
        cross: float,
        pull: float,
        rows: Tensor | None,
    ) -> Tensor:
        ctx.dtype = values.dtype
        v = values.float()
        grad = torch.add(v * square, fixed.float(), alpha=cross)  # (rows, width)
        flat, held = grad.view(-1), v.reshape(-1)[cells]
        in_cells = weights * (flat[cells] - pull)
        grad *= base
        flat[cells] = in_cells
        if rows is not None:
            grad *= rows[:, None]
        ctx.save_for_backward(grad)
        if rows is None:
            norm = base * v.reshape(-1).dot(v.reshape(-1)) + ((weights - base) * held).dot(held)
        else:
            of_cells = rows[cells // v.shape[1]]
            norm = base * rows.dot(v.square().sum(dim=1)) + (of_cells * (weights - base) * held).dot(held)
        return flat.dot(v.reshape(-1)) - square / 2 * norm

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return ((grad * grads[0]).to(ctx.dtype), *[None] * 8)
