"""The section `features` of params.yaml."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from recgan.core.sections import Count, NonNegative, Positive, Section, Seed
from recgan.data.settings import EventKind

# --- features -------------------------------------------------------------------------------------------


class TimeSplit(Section):
    """Windows cut at two global instants."""

    kind: Literal["time"]
    validation_days: Positive
    """Length of the validation window, just before the test window."""
    test_days: Positive
    """Length of the test window, which ends with the log."""

    def windows_in(self, days: float) -> int:
        """Return how many test windows, one before the other, a log of so many days holds.

        Before the earliest one there are its validation window and some time for train.
        """
        return max(0, math.ceil((days - self.validation_days) / self.test_days) - 1)


class RandomSplit(Section):
    """Random shares of all interactions, each drawn by itself; only to compare with papers."""

    kind: Literal["random"]
    validation_share: Annotated[float, Field(ge=0, lt=1)]
    """Share of the interactions for validation; 0 for none at all."""
    test_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the interactions for test."""
    seed: Seed
    """Of the draw, which is a hash: an interaction stays where it is when others come."""

    @model_validator(mode="after")
    def _something_is_left_for_train(self) -> "RandomSplit":
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share {self.validation_share:g} and test_share {self.test_share:g} leave "
                "nothing for train; together they must be below 1"
            )
        return self


class LeaveLastOutSplit(Section):
    """Each user's last item for test, the one before for validation; only to compare with papers."""

    kind: Literal["leave-last-out"]


class PublishedSplit(Section):
    """The source's own test rows; validation is a random share of its train interactions."""

    kind: Literal["published"]
    validation_share: Annotated[float, Field(ge=0, lt=1)]
    """0 for no validation at all: nothing can then be chosen, and early stopping must be off."""
    seed: Seed
    """Of the draw of validation."""


Split = Annotated[TimeSplit | RandomSplit | LeaveLastOutSplit | PublishedSplit, Field(discriminator="kind")]


class FeaturesParams(Section):
    """From kept events to matrices."""

    weights: dict[EventKind, NonNegative]
    """Confidence of one event of that kind; 0 leaves the kind out."""
    binary: bool
    """True makes every confidence 1."""
    min_rating: float | None
    """Ratings below are no sign of interest and are left out; null keeps all."""
    half_life_days: Positive | None
    """An event this much older counts half; null for no decay."""
    min_user_items: Count
    """k-core: users with fewer distinct items in the train window are left out of it."""
    min_item_users: Count
    """k-core: items with fewer distinct users in the train window are left out of the vocabulary."""
    repeat_purchases: bool
    """True keeps items already seen in what is held out (and in recommendations)."""
    split: Split
