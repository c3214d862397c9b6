"""The train section of RC-GAN."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recgan.core.sections import Count, NonNegative, Positive, Section
from recgan.recommenders.settings import AlarmParams, TrainingParams


class ViewParams(Section):
    """The network that reads one view of the matrix, and its AdamW."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Width of each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the condition's entries that a training step does not see."""
    learning_rate: Positive
    weight_decay: NonNegative
    """Decoupled: each step takes learning_rate · weight_decay off every weight."""
    batch_size: Count


class RCGANParams(TrainingParams):
    """RC-GAN: a generator in the user view, a residual critic in the item view."""

    shares_rows: ClassVar[bool] = True

    recommender: Literal["rcgan"]
    generator: ViewParams
    critic: ViewParams
    unobserved_weight: Annotated[float, Field(gt=0, le=1)]
    """Weight η of an item the history does not hold, beside 1 of one that it does."""
    user_weight_power: Annotated[float, Field(ge=0, le=1)]
    """A user of n items counts n^-this in the generator's loss, the mean being 1; 0 counts all alike."""
    adversarial: NonNegative
    """Coefficient λ of the critic's judgement in the generator's loss; 0 trains without an adversary."""
    gradient_penalty: Positive
    """Coefficient γ of half the critic's squared gradient."""
    critic_shares: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Values to try of k, how much of the critic's residual is added to the generator's scores; validation
    chooses, and without validation it is the first."""
    fold_in_l2: Positive
    """Ridge with which the critic's residual is found for a history it was not fitted on."""
    alarms: AlarmParams
