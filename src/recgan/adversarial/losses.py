"""Adversarial losses, each a pair: what the discriminator minimises and what the generator minimises.

All take logits and compute in float32, so that mixed precision never meets a logarithm. Beside the pairs
stand two terms that a generator's loss may add: feature matching and mode seeking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

LossName = Literal["non_saturating", "saturating", "least_squares", "wasserstein", "hinge", "relativistic"]

Smoothable = Literal["non_saturating", "saturating", "least_squares"]
"""The losses whose discriminator has a target for real rows."""


class GeneratorLoss(Protocol):
    """Logits of fake rows, and where the loss is relativistic those of the real ones → scalar."""

    def __call__(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the generator's loss."""
        ...


@dataclass(frozen=True)
class LossPair:
    """The two sides of one game."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """(logits of real rows, logits of fake rows) → scalar."""
    generator: GeneratorLoss
    """Logits of fake rows → scalar; a relativistic loss needs those of the real rows beside them."""
    relativistic: bool = False
    """True judges a fake by how far it is behind the real row it is paired with."""


def _log_loss(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real.float()).mean() + softplus(fake.float()).mean()


def _non_saturating(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return softplus(-fake.float()).mean()


def _saturating(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return -softplus(fake.float()).mean()


def _least_squares(real: Tensor, fake: Tensor) -> Tensor:
    return ((real.float() - 1).square().mean() + fake.float().square().mean()) / 2


def _least_squares_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return (fake.float() - 1).square().mean() / 2


def _wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    return fake.float().mean() - real.float().mean()


def _raise_fakes(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return -fake.float().mean()


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return relu(1 - real.float()).mean() + relu(1 + fake.float()).mean()


def _relativistic(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(fake.float() - real.float()).mean()


def _relativistic_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    assert real is not None
    return softplus(real.float() - fake.float()).mean()


LOSSES: dict[LossName, LossPair] = {
    # -log D(real) - log(1 - D(fake)) against -log D(fake) (Goodfellow et al. 2014, section 3).
    "non_saturating": LossPair(_log_loss, _non_saturating),
    # The same discriminator against log(1 - D(fake)): the minimax game as it is written
    # (Goodfellow et al. 2014, equation 1).
    "saturating": LossPair(_log_loss, _saturating),
    # ((D(real) - 1)² + D(fake)²) / 2 against (D(fake) - 1)² / 2 (Mao et al. 2017, equation 9).
    "least_squares": LossPair(_least_squares, _least_squares_generator),
    # D(fake) - D(real) against -D(fake) (Arjovsky et al. 2017); needs a constraint to mean a distance.
    "wasserstein": LossPair(_wasserstein, _raise_fakes),
    # max(0, 1 - D(real)) + max(0, 1 + D(fake)) against -D(fake) (Lim & Ye 2017).
    "hinge": LossPair(_hinge, _raise_fakes),
    # -log σ(D(real) - D(fake)) against -log σ(D(fake) - D(real)), row by row
    # (Jolicoeur-Martineau 2019; R3GAN, Huang et al. 2024, which adds R1 and R2).
    "relativistic": LossPair(_relativistic, _relativistic_generator, relativistic=True),
}


def smoothed(name: Smoothable, smoothing: float) -> LossPair:
    """Return a pair whose discriminator has the target 1 - smoothing for real rows, and 0 still for fakes.

    One-sided, since a positive target for fakes would reward the generator for standing still
    (Salimans et al. 2016, section 3.4). With cross-entropy and target t the real part is
    -t log D - (1 - t) log(1 - D).
    """
    target = 1 - smoothing

    def log_loss(real: Tensor, fake: Tensor) -> Tensor:
        real = real.float()
        kept = target * softplus(-real) + smoothing * softplus(real)
        return kept.mean() + softplus(fake.float()).mean()

    def least_squares(real: Tensor, fake: Tensor) -> Tensor:
        return ((real.float() - target).square().mean() + fake.float().square().mean()) / 2

    return LossPair(least_squares if name == "least_squares" else log_loss, LOSSES[name].generator)


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """Return ‖mean real features - mean fake features‖² (Salimans et al. 2016, section 3.1).

    Args:
        real: (batch, features), the discriminator's hidden layer for real rows.
        fake: (batch, features), the same for fake rows.
    """
    return (real.float().mean(dim=0) - fake.float().mean(dim=0)).square().sum()


def mode_seeking(first: Tensor, second: Tensor, z_first: Tensor, z_second: Tensor) -> Tensor:
    """Return 1 / (d(fakes) / d(noise)), d the mean absolute difference: small where noise makes a difference.

    Mao et al. 2019, equation 4, minimised as its inverse with 1e-5 beneath as in the authors' code.

    Args:
        first: (batch, width), what the generator wrote for `z_first`.
        second: (batch, width), what it wrote for `z_second` under the same conditions.
        z_first: (batch, noise).
        z_second: (batch, noise).
    """
    apart = (first.float() - second.float()).abs().mean()
    return 1 / (apart / (z_first.float() - z_second.float()).abs().mean() + 1e-5)
