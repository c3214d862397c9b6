"""Any candidate inside another one: chosen on validation, then fitted on other matrices as chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from recgan.features.matrices import Features
from recgan.recommenders.catalogue import Settings, trained_class
from recgan.recommenders.classical import save_classical
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.settings import CandidateSection, ClassicalGrid
from recgan.recommenders.trained import Trained
from recgan.recommenders.tune import choose_by, fit_with, untuned


class Chosen(Protocol):
    """A candidate as validation chose it."""

    recommender: Any
    """Fitted on train."""
    validation_ndcg: float | None

    def again(self, features: Features, checkpoint: Path | None) -> Recommender:
        """Return one fitted on the train matrix of other features, as it was chosen."""
        ...

    def save(self, recommender: Any, folder: Path) -> None:
        """Write one that `again` returned, or the chosen one, into an existing folder."""
        ...


class ChosenClassical:
    """A classical candidate as validation chose it."""

    def __init__(
        self, section: ClassicalGrid, features: Features, validate: Callable[[Any], float] | None
    ) -> None:
        self.section = section
        self.settings: Settings
        self.validation_ndcg: float | None = None
        if validate is None or all(len(values) == 1 for values in section.grid().values()):
            self.settings = untuned(section)
        else:
            self.settings, self.validation_ndcg = choose_by(section, features, validate)
        self.recommender = fit_with(section, self.settings, features, refit=False)
        if validate is not None and self.validation_ndcg is None:
            self.validation_ndcg = validate(self.recommender)

    def again(self, features: Features, checkpoint: Path | None) -> Recommender:
        """Return one fitted on the train matrix of other features, as it was chosen."""
        return fit_with(self.section, self.settings, features, refit=False)

    def save(self, recommender: Any, folder: Path) -> None:
        """Write one into an existing folder."""
        save_classical(folder, self.section.recommender, recommender, self.settings, self.validation_ndcg)


class ChosenTrained:
    """A candidate that is trained by epochs, as validation chose it."""

    def __init__(
        self,
        section: CandidateSection,
        features: Features,
        validate: Callable[[Any], float] | None,
        checkpoint: Path | None,
        label: str,
    ) -> None:
        first: Trained = trained_class(section.recommender).unfitted(section, features)
        self.recommender = first.fit(features.train, validate, None, checkpoint, label)
        self.validation_ndcg = self.recommender.training.validation_ndcg
        self._label = label

    def again(self, features: Features, checkpoint: Path | None) -> Recommender:
        """Return one fitted on the train matrix of other features, as it was chosen."""
        anew = self.recommender.anew(features)
        epochs = self.recommender.training.best_epoch
        return anew.fit(features.train, None, epochs, checkpoint, f"{self._label} anew")

    def save(self, recommender: Any, folder: Path) -> None:
        """Write one into an existing folder."""
        recommender.save(folder)


def choose_candidate(
    section: Any,
    features: Features,
    validate: Callable[[Any], float] | None,
    checkpoint: Path | None = None,
    label: str = "candidate",
) -> Chosen:
    """Fit a candidate on train as validation chooses it; without validation it is not tuned."""
    if isinstance(section, ClassicalGrid):
        return ChosenClassical(section, features, validate)
    return ChosenTrained(section, features, validate, checkpoint, label)


def beside(checkpoint: Path | None, name: str) -> Path | None:
    """Return a checkpoint of its own for each fit within a larger one."""
    return checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{name}{checkpoint.suffix}")


def size_of(recommender: Any) -> int:
    """Return the number of weights that scoring with any candidate needs."""
    if hasattr(recommender, "parameters"):
        return int(recommender.parameters)
    return sum(int(array.size) for array in recommender.arrays().values())
