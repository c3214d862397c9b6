"""What every recommender of the train stage gives, and its two files. Needs no torch: some serve without."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from scipy.sparse import csr_array

from recgan.adversarial.settings import with_trainer
from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.core.sections import Section
from recgan.features.matrices import Features
from recgan.recommenders.settings import as_written_now

if TYPE_CHECKING:
    from recgan.adversarial.diagnostics import Row  # its module imports torch


@dataclass(frozen=True)
class Training:
    """The result of a training."""

    epochs: int = 0
    best_epoch: int = 0
    """The epoch of the best look at validation; without validation the last one."""
    validation_ndcg: float | None = None
    curves: "list[Row]" = field(default_factory=list)
    """One row for each epoch; not among the files that a recommender writes."""
    alarms: dict[str, int] = field(default_factory=dict)
    """What crossed its line → the first epoch that it did."""
    ablations: dict[str, float | None] = field(default_factory=dict)
    """Of two stages: what stands beside it for comparison → its NDCG on validation."""


class Trained(Protocol):
    """A recommender that the train stage fits and writes."""

    training: Training
    """The result of the last `fit`."""

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
        ...

    @classmethod
    def unfitted(cls, settings: Any, features: Features) -> Self:
        """Return one of these settings, to be fitted on matrices of these features."""
        ...

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "training",
    ) -> Self:
        """Learn from confidences.

        Args:
            user_items: (users, items), float32, 0 where there was no event.
            validate: a score of the recommender as it stands, higher is better; what the best look had is
                kept. None keeps the last.
            epochs: the most epochs to train; None takes the settings'.
            checkpoint: file to resume from and to save all state to; None saves nothing.
            label: what the progress is called.

        Raises:
            RecganError: the loss is not finite, or the accelerator is not there.
        """
        ...

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings, and what validation chose besides the epoch.

        Args:
            features: that hold the matrix it is to be fitted on; None keeps those that it has.
        """
        ...

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out. Ages: see `recommend`."""
        ...

    def save(self, folder: Path) -> None:
        """Write the recommender into an existing folder; no pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        ...


def write_trained(
    folder: Path, name: str, settings: Section, training: Training, weights: bytes, **more: Any
) -> None:
    """Write weights.safetensors and recommender.json into an existing folder; no pickle.

    Args:
        folder: where to.
        name: by which `load_recommender` knows what to load.
        settings: the train section.
        training: its result.
        weights: in safetensors' format. Its own `save_file` would make the file unreadable for other users.
        more: what else scoring needs, as JSON.
    """
    (folder / WEIGHTS).write_bytes(weights)
    write_json(
        folder / DESCRIPTION,
        {
            "name": name,
            "settings": settings.model_dump(mode="json"),
            **more,
            "epochs": training.epochs,
            "best_epoch": training.best_epoch,
            "validation_ndcg": training.validation_ndcg,
            "alarms": training.alarms,
        },
    )


@contextmanager
def reading(folder: Path) -> Iterator[tuple[dict[str, Any], bytes, Training]]:
    """Give what `write_trained` wrote to a block that puts it together.

    Raises:
        RecganError: a file is missing or damaged, or the block finds that its parts disagree.
    """
    try:
        about = read_json(folder / DESCRIPTION)
        about["settings"] = as_written_now(with_trainer(about["settings"]))
        training = Training(
            epochs=int(about["epochs"]),
            best_epoch=int(about["best_epoch"]),
            validation_ndcg=about["validation_ndcg"],
            alarms=dict(about.get("alarms", {})),
        )
        yield about, (folder / WEIGHTS).read_bytes(), training
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise RecganError(f"no readable recommender in {folder} ({error}); run dvc repro train") from None


WEIGHTS = "weights.safetensors"
DESCRIPTION = "recommender.json"
