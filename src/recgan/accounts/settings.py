"""The section `screen` of params.yaml."""

from typing import Annotated

from pydantic import Field, model_validator

from recgan.core.sections import Count, NonNegative, Positive, Section, Seed, Share
from recgan.data.campaigns import Style


class LabelParams(Section):
    """When accounts that are labelled fake or genuine teach a detector."""

    min_each: Count
    """Labelled accounts of either kind from which on the detector runs."""
    precision: Annotated[float, Field(gt=0, le=1)]
    """Out of fold, of the labelled accounts above the score from which on the detector quarantines."""


class CanaryParams(Section):
    """Simulated campaigns in a copy of the log, which tell what the screen would find."""

    seed: Seed
    """Of the accounts, products and times that are simulated."""
    share: Annotated[float, Field(gt=0, lt=1)]
    """Simulated accounts that may be in a copy of the log at once, of its accounts. Each style has ten
    campaigns of 40 accounts; where that is more, they are tried one after the other, or made smaller. None
    are tried where it is fewer than `least_accounts`."""
    days: Positive
    """How long a campaign lasts, or each joint push of a farm; a crowd and a drip last for months."""
    styles: tuple[Style, ...]
    """Kinds of campaign that are tried, each alone."""
    watched: tuple[Style, ...]
    """Those of them that monitor warns of when they are no longer found."""

    @model_validator(mode="after")
    def _watched_are_tried(self) -> "CanaryParams":
        if lacking := [style for style in self.watched if style not in self.styles]:
            raise ValueError(
                f"watched names {lacking[0]}, which styles lacks; add it there, or remove it here"
            )
        return self


class ScreenParams(Section):
    """Which accounts are left out of what is learned from."""

    enabled: bool
    """False looks at no account. What a person said of one holds all the same."""
    windows_days: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Lengths of the windows, in days, in which accounts are counted that come to one product."""
    least_accounts: Annotated[int, Field(ge=2)]
    """Fewer accounts in a window are no crowd."""
    min_crowd: NonNegative
    """An account is left out if the largest crowd that it was part of exceeds this, and if its crowds exceed
    `min_mean_crowd` on average over its products. The measure of a crowd is a likelihood ratio divided by the
    square root of its accounts (accounts/lockstep.py)."""
    min_mean_crowd: NonNegative
    """What the mean of an account's crowds over its products must exceed as well, in the same measure."""
    max_quarantined_share: Share
    """The largest share of all accounts that detectors may leave out; more of them stop the stage."""
    cleared: tuple[str, ...]
    """Ids of accounts that a person found genuine: never left out."""
    condemned: tuple[str, ...]
    """Ids of accounts that a person found fake: always left out."""
    labels: LabelParams
    canaries: CanaryParams

    @model_validator(mode="after")
    def _one_verdict_each(self) -> "ScreenParams":
        if both := sorted(set(self.cleared) & set(self.condemned)):
            raise ValueError(f"cleared and condemned both name {both[0]}; take it out of one of them")
        return self
