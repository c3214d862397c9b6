"""What the train sections of the GAN recommenders share."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from recgan.adversarial.settings import (
    AdamParams,
    ConstraintParams,
    ScheduleParams,
    TrainerParams,
    TrainSection,
)
from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative, Positive, Section, Seed


class AlarmParams(Section):
    """Lines at which a measure of the training's health puts a warning into the log; null draws none."""

    grace: Count
    """Epochs at the start that raise no alarm; a gradient's early level is its median over them."""
    gradient_growth: Annotated[float, Field(gt=1)] | None
    """Largest gradient norm in multiples of its early level, for either side."""
    effective_items: Positive | None
    """Smallest effective number of distinct items, exp(entropy), in the top-20 lists of 512 users."""
    effective_rank: Positive | None
    """Smallest effective rank of those users' scores, exp(entropy of the singular values)."""


class DiscriminatorAlarmParams(AlarmParams):
    """The same, and a line for a discriminator that judges pairs."""

    win_rate: Annotated[float, Field(gt=0, le=1)] | None
    """Highest share of pairs in which the discriminator puts the real row above the fake one."""


class StabilityParams(Section):
    """What steadies an adversarial training, and what watches it."""

    generator: AdamParams
    discriminator: AdamParams
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    """How far below 1 the discriminator's target for real rows is (Salimans et al. 2016: 0.1)."""
    feature_matching: NonNegative
    """Coefficient of the distance between the discriminator's mean features of real and fake rows."""
    constraints: ConstraintParams
    schedule: ScheduleParams
    alarms: DiscriminatorAlarmParams


class CandidateSection(Section):
    """A candidate: one recommender and its settings, a line of `candidates` in params.yaml."""

    recommender: str
    """Which kind; the candidate's own name is free."""

    has_adversary: ClassVar[bool] = False
    """Whether an adversary takes part in its training."""


class TrainingParams(CandidateSection, TrainSection):
    """What the training of every GAN recommender has."""

    seed: Seed
    """Of the first weights and of everything that training draws."""
    trainer: TrainerParams
    epochs: Count
    """The most epochs; CFGAN's is `steps` passes of each network (the original counts generator passes)."""
    evaluate_every: Count
    """Epochs between two looks at validation."""
    look_users: Count | None
    """Users of the validation window that judge a look, always the same; null takes all. The NDCG that is
    written and compared in the end is that of all. Several thousand order the looks as all do: use them where
    a look takes as long as an epoch."""
    patience: Count | None
    """Looks at validation without a better NDCG before training stops; null never stops early."""
    refit: bool
    """True trains anew on train + validation for the number of epochs that validation chose."""

    has_adversary: ClassVar[bool] = True

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what training takes of the machine's memory at its peak, where that is much."""
        yield from ()


_SINCE: dict[str, dict[str, Any]] = {
    "rcgan": {"half_life_days": [None], "warm_start": None},
    "sequence": {"warm_start": None, "ahead": 1},
}
"""What settings of a recommender that came later are where its section lacks them: as it trained before."""


def as_written_now(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in a package's file as they are written now, those of candidates inside it too."""
    now = {name: as_written_now(one) if isinstance(one, dict) else one for name, one in settings.items()}
    if "evaluate_every" in now:
        now = {"look_users": None, **now}  # all users judged each look once
    return {**_SINCE.get(str(now.get("recommender")), {}), **now}


class WarmParams(TrainingParams):
    """A training that may begin from the champion's weights."""

    warm_start: Count | None
    """The most epochs of a training that begins from the champion's weights; null always begins anew. It
    begins anew too where the champion is another candidate or of other sizes, where its weights would leak
    what is held out, one night in five, and where it was then found behind (recgan.recommenders.warm)."""

    @model_validator(mode="after")
    def _fewer_epochs(self) -> Self:
        if self.warm_start is not None and self.warm_start > self.epochs:
            raise ValueError(
                f"warm_start is {self.warm_start} and epochs {self.epochs}, but a training from the "
                "champion's weights is to be the shorter one; lower warm_start, or set it to null"
            )
        return self

    @property
    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """Return what decides the sizes of the networks, beside users and items; as JSON gives it back."""


def always_anew(section: CandidateSection) -> None:
    """Refuse a warm start inside another candidate.

    Raises:
        ValueError: there is one.
    """
    epochs = getattr(section, "warm_start", None)
    if epochs is not None:
        raise ValueError(
            f"warm_start is {epochs}, but only a candidate of its own begins from the champion's weights; "
            "set it to null"
        )


def stability_faults(stability: StabilityParams, loss: str, passes: int, epochs: int) -> list[str]:
    """Say what of a stability section counts for nothing beside the loss, the critic's passes and epochs."""
    faults, schedule = [], stability.schedule
    if stability.label_smoothing and loss in ("wasserstein", "hinge", "relativistic"):
        faults.append(
            f"stability.label_smoothing is {stability.label_smoothing:g}, but loss {loss} has no "
            "target for real rows to smooth; set it to 0, or loss to non_saturating, saturating or "
            "least_squares"
        )
    if schedule.critic_steps is not None and passes != 1:
        faults.append(
            f"stability.schedule.critic_steps is {schedule.critic_steps}, so discriminator.steps "
            f"({passes}) counts for nothing; set it to 1, or critic_steps to null"
        )
    if schedule.warm_up >= epochs:
        faults.append(
            f"stability.schedule.warm_up is {schedule.warm_up} of {epochs} epochs, so the generator "
            "would never hear the discriminator; shorten it"
        )
    return faults


def seed_of(section: Section) -> int | None:
    """Return the seed of a candidate, a student's being its teacher's; None of what draws nothing."""
    seed = getattr(getattr(section, "teacher", section), "seed", None)
    return None if seed is None else int(seed)


FEWER_ITEMS = "raise features.min_item_users, so that fewer items remain"
KEPT_ENTRY = 48
"""Bytes for each entry of a sparse matrix of weights while it is put together beside another one. This and
the other bytes were measured: docs/decisions/0083-what-cannot-fit-is-refused-first.md. What grows with
interactions, users or items alone is small beside them."""


class ClassicalGrid(CandidateSection):
    """The settings to try of a classical recommender: each field but kind and seed lists its values."""

    def grid(self) -> dict[str, tuple[Any, ...]]:
        """Return setting → values to try."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in _NO_LISTS}

    def needs(self, n_items: int) -> Iterator[Need]:
        """Yield what fitting takes of memory at its peak, where that grows with pairs of items."""
        yield from ()


_NO_LISTS = {*CandidateSection.model_fields, "seed"}

HalfLives = Annotated[tuple[Positive | None, ...], Field(min_length=1)]
"""Days after which an event of a history counts half when it is scored; null weighs none. They are tried on
the best of the other settings."""


def neighbours_need(of: str, neighbours: tuple[int, ...], n_items: int) -> Need:
    """Return what keeping the nearest items of each item takes of memory.

    Args:
        of: the section, such as itemknn.
        neighbours: the numbers to try.
        n_items: of the features.
    """
    most = min(max(neighbours, default=0), n_items)
    dense = 8 * n_items**2 if most * 16 > n_items else 0  # as soon as a dense product is the faster one
    return Need(
        of,
        KEPT_ENTRY * n_items * most + dense,
        f"{most:,} neighbours of {n_items:,} items",
        f"lower its neighbours, or {FEWER_ITEMS}",
    )
