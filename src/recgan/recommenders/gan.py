"""What the GAN recommenders share: how one is played out, what its training came to, its files."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.diagnostics import Lines, Row
from recgan.adversarial.schedule import Rules
from recgan.errors import RecganError
from recgan.files import read_json, write_json
from recgan.params import TrainingParams


@dataclass(frozen=True)
class Training:
    """What a training came to."""

    epochs: int = 0
    best_epoch: int = 0
    """The epoch of the best look at validation; without validation the last one."""
    validation_ndcg: float | None = None
    curves: list[Row] = field(default_factory=list)
    """One row for each epoch; not among the files that a recommender writes."""
    alarms: dict[str, int] = field(default_factory=dict)
    """What crossed its line → the first epoch that it did."""


class Trained(Protocol):
    """A recommender that the train stage fits and writes."""

    training: Training
    """What the last `fit` came to."""

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
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

    def anew(self) -> Self:
        """Return an unfitted one of the same settings, and what validation chose besides the epoch."""
        ...

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        ...

    def save(self, folder: Path) -> None:
        """Write the recommender into an existing folder; no pickle."""
        ...


def play_out(
    game: Any,
    settings: TrainingParams,
    device: torch.device,
    *,
    epochs: int | None,
    validate: Callable[[], float] | None,
    checkpoint: Path | None,
    label: str,
    rules: Rules | None = None,
    lines: Lines | None = None,
    probe: Callable[[], Mapping[str, float]] | None = None,
) -> Training:
    """Play a game as the settings say, and leave its generator without gradients.

    Args:
        game: a `recgan.adversarial.module.Game`.
        settings: epochs, looks and patience.
        device: where to play.
        epochs: the most epochs; None takes the settings'.
        validate: a score of the present generator.
        checkpoint: file to resume from and to save all state to.
        label: what the progress is called.
        rules: how the players take turns.
        lines: where a measure is called ill.
        probe: measures of what the present generator generates.
    """
    from recgan.adversarial.module import play  # Lightning takes seconds to import; scoring needs none

    progress = play(
        game,
        epochs=epochs or settings.epochs,
        device=device,
        validate=validate,
        evaluate_every=settings.evaluate_every,
        patience=settings.patience,
        checkpoint=checkpoint,
        label=label,
        rules=rules,
        lines=lines,
        probe=probe,
    )
    game.generator.requires_grad_(False)
    return Training(
        epochs=len(progress.curves),
        best_epoch=progress.best_epoch,
        validation_ndcg=progress.best_score,
        curves=progress.curves,
        alarms=progress.alarms,
    )


def pick_device(accelerator: str) -> torch.device:
    """Return the device to train on.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator == "gpu":
        raise RecganError("train.accelerator is gpu, but torch sees no CUDA GPU here; set it to auto or cpu")
    return torch.device("cpu")


def write_recommender(
    folder: Path,
    name: str,
    settings: TrainingParams,
    training: Training,
    tensors: Mapping[str, Tensor],
    **more: float | None,
) -> None:
    """Write weights.safetensors and recommender.json into an existing folder; no pickle.

    Args:
        folder: where to.
        name: by which `load_recommender` knows what to load.
        settings: the train section.
        training: what it came to.
        tensors: all that scoring needs.
        more: numbers that scoring needs.
    """
    # `save_file` would make the file unreadable for other users.
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    (folder / _WEIGHTS).write_bytes(content)
    write_json(
        folder / _DESCRIPTION,
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
def read_recommender(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Tensor], Training]]:
    """Give what `write_recommender` wrote, tensors on the CPU, to a block that puts it together.

    Raises:
        RecganError: a file is missing or damaged, or the block finds that its parts disagree.
    """
    try:
        about = read_json(folder / _DESCRIPTION)
        training = Training(
            epochs=int(about["epochs"]),
            best_epoch=int(about["best_epoch"]),
            validation_ndcg=about["validation_ndcg"],
            alarms=dict(about.get("alarms", {})),
        )
        yield about, load_file(folder / _WEIGHTS), training
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise RecganError(f"no readable recommender in {folder} ({error}); run dvc repro train") from None


def history_keys(user_items: csr_array) -> Iterator[bytes]:
    """Yield each row as bytes, equal for equal histories whatever their index types."""
    ordered = user_items.sorted_indices()
    indices, values = ordered.indices.astype(np.int32), ordered.data.astype(np.float32)
    for low, high in zip(ordered.indptr, ordered.indptr[1:], strict=False):
        yield indices[low:high].tobytes() + values[low:high].tobytes()


_WEIGHTS = "weights.safetensors"
_DESCRIPTION = "recommender.json"
