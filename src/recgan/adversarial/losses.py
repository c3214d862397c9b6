"""Adversarial losses, each a pair: what the discriminator minimises and what the generator minimises.

All take logits and compute in float32, so that mixed precision never meets a logarithm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.functional import relu, softplus

LossName = Literal["non_saturating", "saturating", "least_squares", "hinge"]


@dataclass(frozen=True)
class LossPair:
    """The two sides of one game."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """(logits of real rows, logits of fake rows) → scalar."""
    generator: Callable[[Tensor], Tensor]
    """Logits of fake rows → scalar."""


def _log_loss(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real.float()).mean() + softplus(fake.float()).mean()


def _non_saturating(fake: Tensor) -> Tensor:
    return softplus(-fake.float()).mean()


def _saturating(fake: Tensor) -> Tensor:
    return -softplus(fake.float()).mean()


def _least_squares(real: Tensor, fake: Tensor) -> Tensor:
    return ((real.float() - 1).square().mean() + fake.float().square().mean()) / 2


def _least_squares_generator(fake: Tensor) -> Tensor:
    return (fake.float() - 1).square().mean() / 2


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return relu(1 - real.float()).mean() + relu(1 + fake.float()).mean()


def _hinge_generator(fake: Tensor) -> Tensor:
    return -fake.float().mean()


LOSSES: dict[LossName, LossPair] = {
    # -log D(real) - log(1 - D(fake)) against -log D(fake) (Goodfellow et al. 2014, section 3).
    "non_saturating": LossPair(_log_loss, _non_saturating),
    # The same discriminator against log(1 - D(fake)): the minimax game as it is written.
    "saturating": LossPair(_log_loss, _saturating),
    # Mao et al. 2017, targets 0 and 1.
    "least_squares": LossPair(_least_squares, _least_squares_generator),
    # Lim & Ye 2017.
    "hinge": LossPair(_hinge, _hinge_generator),
}
