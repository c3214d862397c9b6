"""The train section of IRGAN."""

from typing import Annotated, Literal

from pydantic import Field

from recgan.core.sections import Count, NonNegative, Positive, Section
from recgan.recommenders.settings import DiscriminatorAlarmParams, TrainingParams


class PretrainingParams(Section):
    """IRGAN's first epochs: the generator learns by likelihood."""

    epochs: Annotated[int, Field(ge=0)]
    """The first of `epochs`, so as many or more leave no adversarial ones; patience counts them too."""
    learning_rate: Positive
    """Step of the optimiser."""
    l2: NonNegative
    """Coefficient of half the squared norm of all the generator's weights in the loss."""


class FactorsParams(Section):
    """One of IRGAN's players: factors of users and items, and its Adam."""

    factors: Count
    """Dimensions of a user and of an item."""
    learning_rate: Positive
    """Step of the optimiser."""
    l2: NonNegative
    """Coefficient of half the squared norm of all weights in the loss."""
    batch_size: Count
    """Users in a batch."""
    steps: Count
    """Passes over the users in one epoch."""


class IRGANParams(TrainingParams):
    """IRGAN (Wang et al., SIGIR 2017)."""

    recommender: Literal["irgan"]
    pretraining: PretrainingParams
    generator: FactorsParams
    """Its learning_rate and l2 are those of the adversarial epochs."""
    discriminator: FactorsParams
    temperature: Positive
    """The discriminator's fakes are drawn from softmax(scores / temperature); the original: 0.2."""
    own_items: Annotated[float, Field(ge=0, lt=1)]
    """Share λ of the user's own items in what the generator's draws are from; the original: 0.2."""
    draws: Count | None
    """Items drawn for each of the user's items in a generator step (the original: 2); null takes the exact
    expectation over all items instead of drawing."""
    fold_in_l2: Positive
    """Ridge with which histories that were not fitted on are folded in."""
    alarms: DiscriminatorAlarmParams
