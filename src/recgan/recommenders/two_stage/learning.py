"""How the discriminator learns: what really came against what was proposed beside it.

    L = − mean over shoppers of the mean over what came of log( e^s(j) / (e^s(j) + Σ over the fakes e^s(i)) )

j is an item that came and is in the list; the fakes are the list's items that did not come. Only items in the
list count as what came. Where others counted too, a high place in the generator's list would be evidence
for a fake, and the sign of its log probability would turn over.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recgan.recommenders.two_stage.discriminator import Discriminator, Scale

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Watched = tuple[Floats, Mask, Mask]

_BATCH = 256
_RATE = 3e-3
_PATIENCE = 3
_STEPS = 40  # of L-BFGS


def conditional_loss(scores: Tensor, came: Tensor, there: Tensor) -> Tensor:
    """Return the mean over rows of L above; every row has an item that came.

    Args:
        scores: (rows, N).
        came: (rows, N), True where the item came.
        there: (rows, N), False where the list holds nothing.
    """
    least = torch.finfo(scores.dtype).min
    fakes = scores.masked_fill(came | ~there, least).logsumexp(dim=1, keepdim=True)  # (rows, 1)
    lost = torch.nn.functional.softplus(fakes - scores)  # −log(e^s / (e^s + e^fakes))
    of_row = (lost.masked_fill(~came, 0)).sum(dim=1) / came.sum(dim=1)
    return of_row.mean()


def learn(
    features: Floats,
    came: Mask,
    there: Mask,
    *,
    l2: float,
    hidden: int,
    epochs: int,
    seed: int,
    watched: Watched | None = None,
) -> tuple[Discriminator, int]:
    """Fit a discriminator on lists that each hold an item that came.

    Args:
        features: (rows, N, features), not standardised.
        came: (rows, N)
        there: (rows, N)
        l2: coefficient of half the squared weights.
        hidden: units beside the linear term, which is fitted first and from which they start.
        epochs: the most passes with hidden units.
        seed: of their first weights and the order of rows.
        watched: features, came and there of other lists; the passes end where their loss no longer falls.

    Returns:
        The discriminator, and the number of passes after which it is the best: 0 of a linear one.
    """
    scale = Scale.fit(features, there)
    x, mask, real = torch.as_tensor(scale(features)), torch.as_tensor(there), torch.as_tensor(came)
    width = x.shape[2]
    linear = _linear(x, real, mask, l2)
    if not hidden:
        none, nothing = np.zeros((width, 0), dtype=np.float32), np.zeros(0, dtype=np.float32)
        return Discriminator(scale, linear.numpy(), none, nothing, nothing), 0
    generator = torch.Generator().manual_seed(seed)
    weights = [
        nn.Parameter(linear.clone()),
        nn.Parameter(torch.randn(width, hidden, generator=generator) / width**0.5),
        nn.Parameter(torch.zeros(hidden)),
        nn.Parameter(torch.zeros(hidden)),  # it starts as the linear one
    ]
    adam = torch.optim.Adam(weights, lr=_RATE)
    best, kept, at = _loss_there(watched, scale, weights), _copied(weights), 0
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), _BATCH):
            batch = order[start : start + _BATCH]
            adam.zero_grad()
            loss = conditional_loss(_judge(x[batch], weights), real[batch], mask[batch])
            (loss + l2 / 2 * _squares(weights)).backward()  # type: ignore[no-untyped-call]
            adam.step()
        there_now = _loss_there(watched, scale, weights)
        if watched is None or there_now < best:
            best, kept, at = there_now, _copied(weights), epoch
        elif epoch - at >= _PATIENCE:
            break
    linear, inner, bias, outer = kept
    return Discriminator(scale, linear.numpy(), inner.numpy(), bias.numpy(), outer.numpy()), at


def _judge(x: Tensor, weights: list[nn.Parameter]) -> Tensor:
    linear, inner, bias, outer = weights
    scores: Tensor = x @ linear + torch.relu(x @ inner + bias) @ outer
    return scores


def _copied(weights: list[nn.Parameter]) -> list[Tensor]:
    return [one.detach().clone() for one in weights]


def _squares(weights: list[nn.Parameter]) -> Tensor:
    return torch.stack([one.square().sum() for one in weights]).sum()


def _loss_there(watched: Watched | None, scale: Scale, weights: list[nn.Parameter]) -> float:
    """Return the loss on the watched lists; 0 where there are none."""
    if watched is None:
        return 0.0
    features, came, there = watched
    with torch.no_grad():
        scores = _judge(torch.as_tensor(scale(features)), weights)
        return float(conditional_loss(scores, torch.as_tensor(came), torch.as_tensor(there)))


def _linear(x: Tensor, came: Tensor, there: Tensor, l2: float) -> Tensor:
    """Minimise the loss of x·w by L-BFGS, from 0."""
    weights = torch.zeros(x.shape[2], dtype=torch.float64, requires_grad=True)
    lbfgs = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> float:
        lbfgs.zero_grad()
        loss = conditional_loss(x @ weights.float(), came, there) + l2 / 2 * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach().float()
