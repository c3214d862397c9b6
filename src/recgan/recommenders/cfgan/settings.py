"""The train section of CFGAN."""

from collections.abc import Iterator
from typing import Literal

from pydantic import model_validator

from recgan.adversarial.settings import NetworkParams
from recgan.core.memory import Need
from recgan.core.sections import NonNegative, Positive, Share
from recgan.recommenders.settings import FEWER_ITEMS, StabilityParams, TrainingParams, stability_faults

CELL = 10
"""Bytes for each user and item: two masks, what the generator writes, and the mask that it is written by."""


class CFGANParams(TrainingParams):
    """CFGAN (Chae et al., CIKM 2018)."""

    recommender: Literal["cfgan"]
    view: Literal["user", "item"]
    """Rows of the networks' input: a user's items, or an item's users."""
    loss: Literal["non_saturating", "saturating", "least_squares", "wasserstein", "hinge", "relativistic"]
    """The adversarial loss; the original trains with the first and writes the second."""
    stability: StabilityParams
    generator: NetworkParams
    discriminator: NetworkParams
    zero_reconstruction_share: Share
    """Share of each row's zeros, drawn anew every epoch, that the generator must keep at zero."""
    zero_reconstruction: NonNegative
    """Coefficient of that term."""
    partial_masking_share: Share
    """Share of each row's zeros, drawn anew every epoch, that the discriminator gets to see."""
    fold_in_l2: Positive
    """Ridge with which the item view folds in histories it was not fitted on; the user view needs none."""

    @model_validator(mode="after")
    def _stability_fits(self) -> "CFGANParams":
        faults = stability_faults(self.stability, self.loss, self.discriminator.steps, self.epochs)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what the dense masks take; on a GPU they are in its memory."""
        if not on_gpu:
            yield Need(
                "cfgan",
                CELL * n_users * n_items,
                f"dense masks of {n_users:,} users x {n_items:,} items",
                FEWER_ITEMS,
            )
