"""The section of an averaged candidate."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from recgan.adversarial.settings import TrainerParams
from recgan.core.memory import Need
from recgan.recommenders.embedded import Embedded, needs_of, trainer_of
from recgan.recommenders.settings import CandidateSection, seed_of


def _draws(member: Any) -> Any:
    if member.recommender == "averaged":
        raise ValueError("an average of averages is one of more seeds; raise seeds")
    if seed_of(member) is None:
        raise ValueError(f"{member.recommender} draws nothing, so each seed would give the same")
    return member


class AveragedParams(CandidateSection):
    """The mean of the scores of one recommender that was trained with several seeds."""

    recommender: Literal["averaged"]
    member: Annotated[Embedded, AfterValidator(_draws)]
    """A whole candidate of a kind that draws, with `recommender: KIND` and its settings; each further one has
    the next seed."""
    seeds: Annotated[int, Field(ge=2)]
    """The most members. Validation chooses how many of them, from the first on, are averaged."""
    refit: bool
    """True fits anew on train + validation."""

    @property
    def seed(self) -> int:
        """Of the first member."""
        seed = seed_of(self.member)
        assert seed is not None
        return seed

    @property
    def patience(self) -> int | None:
        """The members'."""
        patience: int | None = getattr(self.member, "patience", None)
        return patience

    @property
    def trainer(self) -> TrainerParams:
        """The members'."""
        return trainer_of(self.member)

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what one member takes: they are trained one after the other."""
        yield from needs_of(self.member, n_users, n_items, on_gpu)
