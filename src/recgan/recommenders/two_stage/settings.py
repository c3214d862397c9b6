"""The section of a candidate in two stages."""

from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from recgan.adversarial.settings import TrainerParams
from recgan.core.memory import Need
from recgan.core.sections import Count, Positive, Seed
from recgan.recommenders.settings import CandidateSection, ClassicalGrid


def _section(value: Any) -> CandidateSection:
    """Check a candidate's section inside another one against the settings of its own kind.

    Raises:
        ValueError: the kind is missing, unknown or two_stage itself, or its settings have a fault.
    """
    catalogue = import_module("recgan.recommenders.catalogue")  # which imports this module

    if isinstance(value, CandidateSection):
        return value
    kind = value.get("recommender") if isinstance(value, dict) else None
    kinds = [one for one in (*catalogue.CLASSICAL, *catalogue.TRAINED) if one != "two_stage"]
    if kind not in kinds:
        raise ValueError(f"its recommender is {kind!r}; choose among {', '.join(kinds)}")
    try:
        found = catalogue.settings_of(kind).model_validate(value)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ValueError("; ".join(faults)) from None
    assert isinstance(found, CandidateSection)
    return found


def _grid(value: Any) -> CandidateSection:
    found = _section(value)
    if not isinstance(found, ClassicalGrid):
        raise ValueError(f"{found.recommender} is trained by epochs; blend classical recommenders alone")
    return found


class TwoStageParams(CandidateSection):
    """A generator proposes its best items, and a discriminator trained on such proposals ranks them."""

    recommender: Literal["two_stage"]
    seed: Seed
    """Of the discriminator; the generator has its own."""
    generator: Annotated[Any, BeforeValidator(_section)]
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
    the generator is fitted once more, on what came before it."""
    blend: tuple[Annotated[Any, BeforeValidator(_grid)], ...]
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
        own: TrainerParams | None = getattr(self.generator, "trainer", None)
        return own or TrainerParams(
            accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="auto", max_time=None
        )

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what the generator and the recommenders blended with it take."""
        for one in (self.generator, *self.blend):
            yield from (
                one.needs(n_items) if isinstance(one, ClassicalGrid) else one.needs(n_users, n_items, on_gpu)
            )
