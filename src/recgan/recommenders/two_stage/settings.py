"""The section of a candidate in two stages."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from recgan.adversarial.settings import TrainerParams
from recgan.core.memory import Need
from recgan.core.sections import Count, Positive, Seed
from recgan.recommenders.embedded import Embedded, needs_of, trainer_of
from recgan.recommenders.settings import CandidateSection, ClassicalGrid


def _grid(section: CandidateSection) -> CandidateSection:
    if not isinstance(section, ClassicalGrid):
        raise ValueError(f"{section.recommender} is trained by epochs; blend classical recommenders alone")
    return section


class TwoStageParams(CandidateSection):
    """A generator proposes its best items, and a discriminator trained on such proposals ranks them."""

    has_adversary: ClassVar[bool] = True

    recommender: Literal["two_stage"]
    seed: Seed
    """Of the discriminator; the generator has its own."""
    generator: Embedded
    """A whole candidate of any other kind, with `recommender: KIND` and its settings."""
    proposals: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Values to try of N, the items that the discriminator judges. Of this and the two lists below validation
    chooses, and without validation it is the first of each."""
    hidden: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Values to try of the discriminator's hidden units; 0 is a linear one, from which the others start."""
    l2: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Values to try of the coefficient of half the discriminator's squared weights, beside a loss that is a
    mean over users."""
    epochs: Count
    """The most passes of a discriminator with hidden units; validation's loss stops it."""
    windows: Count
    """Windows before validation, one before the other, whose events the discriminator learns from. For each
    the generator is fitted once more, on what came before it. With `features.repeat_purchases` there are
    none: it learns from validation."""
    blend: tuple[Annotated[Embedded, AfterValidator(_grid)], ...]
    """Classical candidates that the generator is blended with, for comparison alone."""
    refit: bool
    """True fits anew on train + validation; validation is then one more window of the discriminator."""

    @property
    def patience(self) -> int | None:
        """The generator's."""
        patience: int | None = getattr(self.generator, "patience", None)
        return patience

    @property
    def trainer(self) -> TrainerParams:
        """The generator's; the CPU where that is fitted without one."""
        return trainer_of(self.generator)

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what the generator and the recommenders blended with it take."""
        for one in (self.generator, *self.blend):
            yield from needs_of(one, n_users, n_items, on_gpu)
