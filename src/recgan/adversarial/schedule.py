"""How two players take turns: who steps how often, what is averaged, what is clipped, when a term sets in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What the loop does beside stepping; everything is off by default.

    The two players' rates and betas are those of their optimizers, so two time scales (TTUR, Heusel et al.
    2017) need no rule.
    """

    critic_steps: int | None = None
    """Discriminator steps before each generator step (Gulrajani et al. 2017: 5), its turn begun anew as often
    as needed; None plays the whole of one turn, then the whole of the other."""
    ema: float | None = None
    """Decay per step of the average of the generator's weights; None keeps none. The average is what is
    evaluated and kept (Yazıcı et al. 2019)."""
    clip_discriminator: float | None = None
    """Largest norm of the discriminator's gradient."""
    clip_generator: float | None = None
    """Largest norm of the generator's gradient."""
    clip_weights: float | None = None
    """Largest absolute weight of the discriminator after each of its steps."""


def ramp(epochs_played: int, warm_up: int, length: int) -> float:
    """Return the share, 0 to 1, of a term that is absent for some epochs and then rises linearly.

    Args:
        epochs_played: whole epochs behind us.
        warm_up: epochs without the term.
        length: epochs of the rise, the last of which has the whole term; 0 switches it on at once.
    """
    after = epochs_played - warm_up
    if after < 0:
        return 0.0
    return min(1.0, (after + 1) / length) if length else 1.0
