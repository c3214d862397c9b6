"""The train section of RC-GAN."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative, Positive, Section
from recgan.recommenders.settings import FEWER_ITEMS, AlarmParams, HalfLives, WarmParams

WEIGHT = 36
"""Bytes for each weight of a network in training: itself, its gradient, AdamW's two means, the kept best."""


class ViewParams(Section):
    """The network that reads one view of the matrix, and its AdamW."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Width of each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the condition's entries that a training step does not see."""
    learning_rate: Positive
    """Step of the optimiser."""
    weight_decay: NonNegative
    """Decoupled: each step takes learning_rate · weight_decay off every weight."""
    batch_size: Count
    """Rows in a batch: users of the generator, items of the critic. More rows than a layer is wide make an
    epoch of a large catalogue many times cheaper; the rate has to grow with them. On small data they lose
    NDCG."""


class RCGANParams(WarmParams):
    """RC-GAN: a generator in the user view, a residual critic in the item view."""

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
    half_life_days: HalfLives
    """Days after which an event of a history counts half when it is scored; null weighs none. Tried on the
    weights that validation chose; without validation it is the first."""
    alarms: AlarmParams

    @property
    def sizes(self) -> dict[str, Any]:
        """Return the widths of both networks' hidden layers."""
        return {"generator": list(self.generator.hidden), "critic": list(self.critic.hidden)}

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what both networks take with all that training keeps of a weight; on a GPU it is there."""
        if not on_gpu:
            ends = [(n_items, self.generator.hidden), (n_users, self.critic.hidden)]
            weights = sum(outer * (hidden[0] + hidden[-1]) for outer, hidden in ends)
            yield Need(
                "rcgan",
                WEIGHT * weights * self.trainer.on_cpu,
                f"networks of {weights:,} weights for {n_users:,} users and {n_items:,} items, in "
                f"{self.trainer.on_cpu} process(es)",
                f"lower generator.hidden and critic.hidden, or {FEWER_ITEMS}",
            )
