"""The parts of a params file that an adversarial training reads."""

from typing import Annotated

from pydantic import Field

from recgan.core.sections import Count, NonNegative, Positive, Section


class NetworkParams(Section):
    """One side of the game: network and optimiser."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Width of each hidden layer."""
    learning_rate: Positive
    l2: NonNegative
    """Coefficient of half the squared norm of all weights in the loss."""
    batch_size: Count
    steps: Count
    """Passes over the rows in one epoch."""


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamParams(Section):
    """What one side's Adam needs beside its rate."""

    betas: tuple[Beta, Beta]
    """Decay of the gradient's first and second moment; [0, 0.9] is customary with gradient penalties."""
    clip_gradient: Positive | None
    """Largest norm of the gradient in a step; null leaves it as it is."""


class ConstraintParams(Section):
    """What keeps the discriminator from growing without bound; several may be on."""

    clip_weights: Positive | None
    """Largest absolute weight after each step (Arjovsky et al. 2017: 0.01); null clips none."""
    gradient_penalty: NonNegative
    """λ of WGAN-GP: the slope between real and fake is drawn to 1 (Gulrajani et al. 2017: 10)."""
    r1: NonNegative
    """γ of half the squared slope at real rows (Mescheder et al. 2018)."""
    r2: NonNegative
    """γ of half the squared slope at fake rows."""
    spectral_norm: bool
    """True keeps the largest singular value of every weight matrix at 1 (Miyato et al. 2018)."""


class ScheduleParams(Section):
    """Who plays when, and what is kept of it."""

    critic_steps: Count | None
    """Discriminator steps before each generator step; null plays all of one turn, then all of the other."""
    warm_up: Annotated[int, Field(ge=0)]
    """Epochs at the start in which the discriminator learns but the generator does not hear it."""
    ramp: Annotated[int, Field(ge=0)]
    """Epochs after that in which the adversarial loss rises linearly to its whole weight."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay per step of the average of the generator's weights, which is then what is evaluated and saved."""
