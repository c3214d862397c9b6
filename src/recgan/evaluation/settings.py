"""The section `evaluate` of params.yaml."""

from typing import Annotated

from pydantic import Field, model_validator

from recgan.core.sections import Count, Positive, Section, Seed


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

    @model_validator(mode="after")
    def _primary_k_is_measured(self) -> "EvaluateParams":
        if self.primary_k not in self.k:
            raise ValueError(f"primary_k is {self.primary_k}, which is not in k {list(self.k)}; add it there")
        return self
