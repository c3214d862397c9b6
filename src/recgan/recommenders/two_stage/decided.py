"""What validation decides, for the fit on train + validation."""

from dataclasses import dataclass

from recgan.recommenders.chosen import Chosen
from recgan.recommenders.two_stage.lists import Lists


@dataclass(frozen=True)
class Choice:
    """A discriminator's settings as validation chose them."""

    proposals: int
    hidden: int
    l2: float
    epochs: int

    def __str__(self) -> str:
        form = f"{self.hidden} hidden units, {self.epochs} passes" if self.hidden else "linear"
        return f"{self.proposals} proposals, {form}, l2 {self.l2:g}"


@dataclass(frozen=True)
class Arm:
    """A discriminator's settings, and the lists that it learns from when it is fitted again."""

    choice: Choice
    lists: Lists


@dataclass(frozen=True)
class Decided:
    """All that validation chose."""

    generator: Chosen
    proposals: Arm
    uniform: Arm
    """The same with fakes drawn uniformly."""
    blended: tuple[Chosen, ...]
    """What the generator is blended with."""
    weights: tuple[float, ...]
    """Of the blend, the generator's first."""


def shown(ndcg: float | None) -> str:
    """Return a figure of validation for the log."""
    return "no figure" if ndcg is None else f"{ndcg:.4f}"
