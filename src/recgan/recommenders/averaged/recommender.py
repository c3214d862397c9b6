"""The mean of several seeds: what is luck of one seed is mostly gone in it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.sparse import csr_array

from recgan.adversarial.processes import by_first
from recgan.features.matrices import Features
from recgan.recommenders.ages import times_of
from recgan.recommenders.averaged.settings import AveragedParams
from recgan.recommenders.chosen import Chosen, beside, choose_candidate, size_of
from recgan.recommenders.fit import with_seed
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.trained import Training, reading, write_trained

log = logging.getLogger(__name__)


class Averaged:
    """Recommend by the mean score of one recommender's trainings with several seeds.

    Members are of one kind and one setting, so their scores are of one scale and need no weights. How many of
    them are averaged, from the first on, is what validation chooses: of equal ones the fewest.
    """

    name = "averaged"

    def __init__(
        self, settings: AveragedParams, features: Features | None, chosen: Sequence[Chosen] = ()
    ) -> None:
        """Keep the settings.

        Args:
            settings: the candidate's section.
            features: matrices to be fitted on; None of one that is read to score.
            chosen: the members that an earlier fit chose; none lets this one choose.
        """
        self.settings = settings
        self.features = features
        self.chosen = tuple(chosen)
        self.members: list[Recommender] = []
        self.training = Training()

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
        return sum(size_of(member) for member in self.members)

    @classmethod
    def unfitted(cls, settings: AveragedParams, features: Features) -> Self:
        """Return one of these settings for the matrices of these features."""
        return cls(settings, features)

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings and members."""
        return type(self)(self.settings, features or self.features, self.chosen)

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "averaged",
    ) -> Self:
        """Fit each member; arguments and errors are those of `Trained.fit`."""
        assert self.features is not None
        if self.chosen:
            times = times_of(self.features, user_items)
            both = replace(self.features, train=user_items, train_times=times, validation=None)
            self.members = [
                one.again(both, beside(checkpoint, f"seed-{number}"))
                for number, one in enumerate(self.chosen)
            ]
            return self
        fitted = []
        for number in range(self.settings.seeds):
            section = with_seed(self.settings.member, self.settings.seed + number)
            place = beside(checkpoint, f"seed-{number}")
            name = f"{label} seed {self.settings.seed + number}"
            fitted.append(choose_candidate(section, self.features, validate, place, name))
        most, score = by_first(lambda: self._best_of(fitted, validate, label))
        self.chosen = tuple(fitted[:most])
        self.members = [one.recommender for one in self.chosen]
        longest = max((_training(member).best_epoch for member in self.members), default=0)
        self.training = Training(epochs=longest, best_epoch=longest, validation_ndcg=score)
        return self

    def _best_of(
        self, fitted: list[Chosen], validate: Callable[[Any], float] | None, label: str
    ) -> tuple[int, float | None]:
        """Return how many members to average, and their score; all without validation."""
        if validate is None:
            return len(fitted), None
        scores = {}
        for many in range(1, len(fitted) + 1):
            self.members = [one.recommender for one in fitted[:many]]
            scores[many] = validate(self)
        most = max(scores, key=lambda many: scores[many])
        log.info(
            "%s: %s on validation; %d averaged",
            label,
            ", ".join(f"{many} {found:.4f}" for many, found in scores.items()),
            most,
        )
        return most, scores[most]

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        scores = np.array(self.members[0].score(user_items, ages), dtype=np.float32)
        for member in self.members[1:]:
            scores += member.score(user_items, ages)
        scores /= np.float32(len(self.members))
        return scores

    def save(self, folder: Path) -> None:
        """Write a folder for each member and recommender.json into an existing folder; no pickle."""
        write_trained(folder, self.name, self.settings, self.training, save({}), members=len(self.members))
        for number, (one, member) in enumerate(zip(self.chosen, self.members, strict=True)):
            place = folder / _folder(number)
            place.mkdir()
            one.save(member, place)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; imports torch only if the members do.

        Raises:
            RecganError: a file is missing or damaged.
        """
        with reading(folder) as (about, _, training):
            recommender = cls(AveragedParams.model_validate(about["settings"]), None)
            recommender.training = training
            recommender.members = [
                load_recommender(folder / _folder(number)) for number in range(int(about["members"]))
            ]
            if not recommender.members:
                raise ValueError("it has no member")
        return recommender


def _folder(number: int) -> str:
    return f"member-{number}"


def _training(member: Any) -> Training:
    found: Training = getattr(member, "training", Training())
    return found
