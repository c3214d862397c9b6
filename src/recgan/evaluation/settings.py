"""The section `evaluate` of params.yaml."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from recgan.core.errors import RecganError
from recgan.core.sections import Count, Positive, Section, Seed
from recgan.features.settings import Split, TimeSplit


class EvaluateParams(Section):
    """Offline evaluation on the test window."""

    k: tuple[Count, ...]
    """Lengths of lists that are measured."""
    primary_k: Count
    """The k at which validation chooses, the table shows and the gate compares."""
    bootstrap_samples: Annotated[int, Field(ge=100)]
    """Draws of users with replacement, from which intervals and p come."""
    confidence: Annotated[float, Field(gt=0, lt=1)]
    """Level of the intervals."""
    seed: Seed
    """Of the bootstrap."""
    head_share: Annotated[float, Field(gt=0, lt=1)]
    """The most popular share of the items is the head, the rest the tail."""
    new_item_days: Positive
    """Items first sold this many days before the test window or later are new."""
    windows: Count
    """Test windows in all, today's included; each ends where the one after it begins. Above 1 every candidate
    is trained once more for each, and the split must be one in time."""
    seeds: Count
    """Seeds in all of each candidate that has one: its own, and the next ones."""
    ablation: bool
    """True trains each RC-GAN once more for each window and seed, with `adversarial: 0`."""

    @property
    def replicates(self) -> bool:
        """Whether more is asked for than one training of each candidate on today's window."""
        return self.windows > 1 or self.seeds > 1 or self.ablation

    def check_windows(self, split: Split, start: datetime | None, end: datetime | None) -> None:
        """Check that a log holds the windows, before anything slow starts.

        Args:
            split: of today's window.
            start: of the log; None where nothing has a time.
            end: of the log.

        Raises:
            RecganError: it is too short.
        """
        if not isinstance(split, TimeSplit) or start is None or end is None:
            return
        days = (end - start) / timedelta(days=1)
        found = f"the log holds {{most}} at most: it has {days:.4g} days, {start:%Y-%m-%d} to {end:%Y-%m-%d}"
        if fault := self.too_many_windows(split, days, found):
            raise RecganError(fault)

    def too_many_windows(self, split: TimeSplit, days: float, found: str) -> str | None:
        """Say that so many days do not hold the windows; None where they do.

        Args:
            split: of today's window.
            days: that the log has.
            found: words about them, with {most} in the place of the windows that they hold.
        """
        most = split.windows_in(days)
        if self.windows == 1 or self.windows <= most:
            return None
        return (
            f"evaluate.windows is {self.windows}, but {found.format(most=most)}, each window takes "
            f"features.split.test_days {split.test_days:g}, and before the earliest come validation_days "
            f"{split.validation_days:g} and train; lower evaluate.windows, or shorten test_days"
        )

    @model_validator(mode="after")
    def _primary_k_is_measured(self) -> "EvaluateParams":
        if self.primary_k not in self.k:
            raise ValueError(f"primary_k is {self.primary_k}, which is not in k {list(self.k)}; add it there")
        return self


def period_of(summary: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last instant of the log that metrics/features.json tells of; None without."""
    start, end = (summary.get("log", {}).get(name) for name in ("start", "end"))
    return start and datetime.fromisoformat(start), end and datetime.fromisoformat(end)
