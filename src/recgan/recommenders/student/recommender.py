"""The student: a linear item-item recommender fitted on real rows and on what its teachers generate.

RC-GANs, the teachers, are trained with different seeds; the mean of their served scores G(x_u) makes of each
shopper's row x_u a generated one:

    y_u  = G(x_u)                        as it is: a squared-error generator's scores estimate confidences, or
    y_u  = n_u · softmax(G(x_u) / τ)     as many items as the row has, n_u = Σ_i x_ui
    Gram = (XᵀDX + ω YᵀDY) / (1 + ω),    D = diag(n_u^-a), divided by its mean
    P    = (Gram + λI)⁻¹,                B = I - P diag(1/diag P), so that diag(B) = 0
    scores = x B

B minimises ‖D^½ (X - XB)‖² + ω ‖D^½ (Y - YB)‖² + (1 + ω) λ ‖B‖² under diag(B) = 0; with ω = 0 and a = 0 it is
EASE (Steck 2019). Dividing by D's mean and by 1 + ω changes the unit of λ alone: one λ then means about the
same for every a and ω. Validation chooses ω, a, τ and λ. What serves is B: neither the teachers nor torch.

X holds confidences, graded or not, as it does in EASE. So n_u is the row's sum; where all confidences are 1
it is the number of its items.

Many items: with `block_items`, blocks of items that occur together are solved, each beside as many others,
those that occur most often with it. `neighbours` keeps the largest entries of each column of B. What either
costs is in docs/experiments/student.md.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from scipy.sparse import csr_array

from recgan.adversarial.processes import by_first, is_first
from recgan.features.matrices import Features
from recgan.recommenders.ages import aged
from recgan.recommenders.fallback import empty_by_popularity, shares_of_users
from recgan.recommenders.half_lives import best_half_life
from recgan.recommenders.linear import linear_weights
from recgan.recommenders.student.blocks import (
    Block,
    item_blocks,
    largest,
    one_training,
    parts_of,
    put_together,
)
from recgan.recommenders.student.rows import Choice, Rows
from recgan.recommenders.student.settings import StudentParams
from recgan.recommenders.trained import Training, reading, write_trained
from recgan.recommenders.weights import product_with, weights_from_arrays, weights_to_arrays

log = logging.getLogger(__name__)


NO_INVERSE = "the student's Gram matrix cannot be inverted with l2 {:g}; raise its l2"


class Student:
    """A linear recommender that was taught by RC-GANs."""

    name = "student"

    def __init__(self, settings: StudentParams, choice: Choice | None = None) -> None:
        """Keep the settings.

        Args:
            settings: the train section.
            choice: what an earlier fit chose; None lets validation choose, and without validation takes the
                first value of each list.
        """
        self.settings = settings
        self.choice = choice
        self.half_life_days = None if choice is None else choice.half_life_days
        self.training = Training()

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
        weights = self._weights
        return int(weights.size if isinstance(weights, np.ndarray) else weights.nnz)

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "student",
    ) -> Self:
        """Train the teachers, then solve for B.

        Args:
            user_items: (users, items), float32, 0 where there was no event.
            validate: a score of a recommender, higher is better; chooses each teacher's epoch and k, then
                ω, a, τ and λ. None keeps the last epoch and the first values unless a choice was given.
            epochs: the most epochs to train a teacher; None takes the settings', or those of the choice.
            checkpoint: each teacher has its own file beside this one, to resume from and to save all state
                to; None saves nothing.
            label: what the progress is called.

        Raises:
            RecganError: a teacher's loss is not finite, the accelerator is not there, or the Gram matrix
                cannot be inverted.
        """
        self._popularity = shares_of_users(user_items)
        taught, scores, taught_with = self._teach(user_items, validate, epochs, checkpoint, label)
        trainings = [teacher.training for teacher in taught_with]
        shares = tuple(teacher.critic_share for teacher in taught_with)

        def decide() -> tuple[Choice, float | None]:
            choice, score = self._solve(Rows(user_items, taught, scores), user_items, validate, label)
            return replace(
                choice, epochs=tuple(one.best_epoch for one in trainings), critic_shares=shares
            ), score

        # Of several processes the first one alone solves: the others need no more than the choice.
        self.choice, score = by_first(decide)
        self.half_life_days = self.choice.half_life_days
        self.training = one_training(trainings, score)
        return self

    def _solve(
        self, rows: Rows, user_items: csr_array, validate: Callable[[Any], float] | None, label: str
    ) -> tuple[Choice, float | None]:
        """Solve for B; return the choice with which it was solved, and its score."""
        settings, chosen = self.settings, self.choice
        blocks = item_blocks(user_items, settings.block_items)
        if chosen is not None:
            candidates = [chosen]
        else:
            candidates = list(self._candidates())[: None if validate is not None else 1]
        best: tuple[float | None, Choice, csr_array | NDArray[np.float32]] | None = None
        for candidate in candidates:
            self._weights = weights = self._solved(rows, blocks, candidate)
            score = None if validate is None else validate(self)
            if best is None or (score is not None and best[0] is not None and score > best[0]):
                best = score, candidate, weights
        assert best is not None
        score, choice, self._weights = best
        if validate is not None and chosen is None:
            if settings.teacher.half_life_days != (None,):
                days, score = best_half_life(self, settings.teacher.half_life_days, validate)
                choice = replace(choice, half_life_days=days)
            log.info(
                "%s: ω %g, a %g, τ %s, λ %g", label, *[getattr(choice, name) for name in _LISTS.values()]
            )
            self._warn_of_edges(choice)
        return choice, score

    @classmethod
    def unfitted(cls, settings: StudentParams, features: Features) -> Self:
        """Return one of these settings; the features say nothing that it needs."""
        return cls(settings)

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings and all that validation chose."""
        return type(self)(self.settings, self.choice)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out; popularity without any."""
        weighed = aged(user_items, ages, self.half_life_days)
        return empty_by_popularity(product_with(weighed, self._weights), user_items, self._popularity)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        assert self.choice is not None
        write_trained(
            folder,
            self.name,
            self.settings,
            self.training,
            save(weights_to_arrays(self._weights, self._popularity)),
            items=len(self._popularity),
            choice=asdict(self.choice),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; imports no torch.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with reading(folder) as (about, content, training):
            items = int(about["items"])
            lists = {name: tuple(about["choice"][name]) for name in ("epochs", "critic_shares")}
            recommender = cls(
                StudentParams.model_validate(about["settings"]),
                Choice(**{**about["choice"], **lists}),
            )
            recommender.training = training
            recommender._weights, recommender._popularity = weights_from_arrays(load(content))
            if recommender._weights.shape != (items, items):
                raise ValueError(f"the weights are {recommender._weights.shape}, but there are {items} items")
        return recommender

    def _teach(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None,
        epochs: int | None,
        checkpoint: Path | None,
        label: str,
    ) -> tuple[csr_array, NDArray[np.float32] | None, list[Any]]:
        """Train the teachers; return the rows they saw, the mean of their scores for them, and themselves."""
        settings, choice = self.settings, self.choice
        rows = user_items
        if settings.teacher_users is not None and settings.teacher_users < user_items.shape[0]:
            rng = np.random.default_rng(settings.teacher.seed)
            rows = csr_array(
                user_items[np.sort(rng.permutation(user_items.shape[0])[: settings.teacher_users])]
            )
        asked = settings.generated_weights if choice is None else (choice.generated_weight,)
        if not any(asked):
            return rows, None, []  # nothing generated would count
        from recgan.recommenders.rcgan.recommender import (
            RCGAN,  # imports torch, which scoring does not need
        )

        teachers: list[Any] = []
        scores = np.zeros(rows.shape, dtype=np.float32) if is_first() else None
        for number in range(settings.teachers):
            own = settings.teacher.model_copy(
                update={"seed": settings.teacher.seed + number, "half_life_days": (None,)}
            )
            given = choice is not None and number < len(choice.epochs)
            share = choice.critic_shares[number] if choice is not None and given else None
            most = epochs
            if choice is not None and given:
                most = min(choice.epochs[number], epochs or choice.epochs[number])
            name = f"teacher-{number + 1}"
            file = checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{name}{checkpoint.suffix}")
            teacher = RCGAN(own, share).fit(rows, validate, most, file, f"{label} {name}")
            if scores is not None:
                for part in parts_of(*rows.shape):
                    scores[part] += teacher.score(csr_array(rows[part])) / np.float32(settings.teachers)
            teachers.append(teacher)
        return rows, scores, teachers

    def _candidates(self) -> Iterator[Choice]:
        """Yield every combination of the lists; without anything generated τ does not matter."""
        settings = self.settings
        for a, tau in product(settings.row_exponents, settings.temperatures):
            for omega, l2 in product(settings.generated_weights, settings.l2):
                if omega or tau == settings.temperatures[0]:
                    yield Choice(omega, a, tau, l2)

    def _solved(self, rows: Rows, blocks: list[Block], choice: Choice) -> csr_array | NDArray[np.float32]:
        """Return a choice's B."""
        parts = []
        for block in blocks:
            weights = linear_weights(
                rows.gram(block, choice),
                choice.l2,
                NO_INVERSE.format(choice.l2),
            )
            if len(blocks) == 1 and self.settings.neighbours is None:
                return weights
            parts.append(largest(weights[:, : len(block.targets)], block, self.settings.neighbours))
        return put_together(parts, len(self._popularity))

    def _warn_of_edges(self, choice: Choice) -> None:
        """Say where the best value lies on the edge of its list: a better one may lie beyond."""
        for name, own in _LISTS.items():
            values, value = getattr(self.settings, name), getattr(choice, own)
            numbers = [one for one in values if one is not None]
            if len(numbers) > 2 and value in (min(numbers), max(numbers)) and value != 0:
                log.warning(
                    "student: the best of %s, %g, is on the edge of its list; widen its %s",
                    name,
                    value,
                    name,
                )


_LISTS = {
    "generated_weights": "generated_weight",
    "row_exponents": "row_exponent",
    "temperatures": "temperature",
    "l2": "l2",
}
