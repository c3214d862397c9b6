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
    primary_k: Count
    """The k at which validation chooses, the table shows and the gate compares."""
    bootstrap_samples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed
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

    def check_windows(self, split: Split, summary: Mapping[str, Any]) -> None:
        """Check that the log holds the windows, before anything is trained.

        Args:
            split: of today's window.
            summary: of the features, which has the log's start and end.

        Raises:
            RecganError: it is too short.
        """
        if self.windows == 1 or not isinstance(split, TimeSplit):
            return
        start, end = (datetime.fromisoformat(summary["log"][name]) for name in ("start", "end"))
        days = (end - start) / timedelta(days=1)
        most = split.windows_in(days)
        if self.windows > most:
            raise RecganError(
                f"evaluate.windows is {self.windows}, but the log holds {most} at most: it has {days:.4g} "
                f"days, {start:%Y-%m-%d} to {end:%Y-%m-%d}, each window takes features.split.test_days "
                f"{split.test_days:g}, and before the earliest come validation_days "
                f"{split.validation_days:g} and train; lower evaluate.windows, or shorten test_days"
            )

    @model_validator(mode="after")
    def _primary_k_is_measured(self) -> "EvaluateParams":
        if self.primary_k not in self.k:
            raise ValueError(f"primary_k is {self.primary_k}, which is not in k {list(self.k)}; add it there")
        return self
