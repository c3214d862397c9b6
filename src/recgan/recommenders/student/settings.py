"""The train section of the student."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recgan.adversarial.settings import TrainerParams
from recgan.core.memory import Need
from recgan.core.sections import Count, NonNegative, Positive
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.settings import FEWER_ITEMS, KEPT_ENTRY, CandidateSection, always_anew

PAIR = 40
"""Bytes for each pair of items solved for together: three Gram matrices, and the weights of three choices."""
SCORE = 4
"""Bytes for each score of a teacher."""


class StudentParams(CandidateSection):
    """The student: a linear recommender in closed form, on real rows and on those that RC-GANs generate."""

    has_adversary: ClassVar[bool] = True

    recommender: Literal["student"]
    teacher: RCGANParams
    """The first teacher, a train section of its own; each further one has the next seed. Its `refit`
    and `half_life_days` are the student's too: a teacher generates from histories without ages."""
    teachers: Count
    """How many are trained; their scores' mean is what the student learns from."""
    teacher_users: Count | None
    """Users drawn to train the teachers on, and for whom they generate; null takes all. Their scores take 4
    bytes for each cell of these rows."""
    generated_weights: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Values to try of ω, the weight of a generated row beside 1 of a real one; 0 trains no teacher. Of this
    and the three lists below validation chooses, and without validation it is the first of each."""
    row_exponents: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Values to try of a: a row of n items weighs n^-a."""
    temperatures: Annotated[tuple[Positive | None, ...], Field(min_length=1)]
    """Values to try of τ, by which scores are divided before the softmax that makes them a profile; null
    takes the scores as they are."""
    l2: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Values to try of λ, the ridge."""
    neighbours: Count | None
    """Entries to keep for each item, the largest; null keeps all: items² numbers."""
    block_items: Count | None
    """Items to solve for at a time, beside as many others; null solves for all at once, which takes 40 bytes
    for each pair of items."""

    @model_validator(mode="after")
    def _its_teacher_begins_anew(self) -> Self:
        always_anew(self.teacher)
        return self

    @property
    def patience(self) -> int | None:
        """The teachers'."""
        return self.teacher.patience

    @property
    def refit(self) -> bool:
        """The teachers'."""
        return self.teacher.refit

    @property
    def trainer(self) -> TrainerParams:
        """The teachers'."""
        return self.teacher.trainer

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what the dense matrices and the teachers' scores take."""
        whole = self.block_items is None or self.block_items >= n_items
        together = n_items if whole else min(2 * (self.block_items or 0), n_items)
        kept = 0 if whole else n_items * min(self.neighbours or together, together)
        taught = min(self.teacher_users or n_users, n_users) if any(self.generated_weights) else 0
        yield Need(
            "student",
            PAIR * together**2 + KEPT_ENTRY * kept + SCORE * taught * n_items,
            f"dense matrices of {together:,} x {together:,} items, {kept:,} weights in blocks, and the "
            f"teachers' scores of {taught:,} users x {n_items:,} items",
            f"lower block_items, neighbours or teacher_users, or {FEWER_ITEMS}",
        )
