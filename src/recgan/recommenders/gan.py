"""What the GAN recommenders share: how one is played out, and its weights' way to the files and back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.devices import pick_device as pick_device  # every GAN recommender's
from recgan.adversarial.diagnostics import Lines
from recgan.adversarial.schedule import Rules
from recgan.recommenders.settings import TrainingParams
from recgan.recommenders.trained import Trained as Trained
from recgan.recommenders.trained import Training as Training
from recgan.recommenders.trained import reading, write_trained


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


def write_recommender(
    folder: Path,
    name: str,
    settings: TrainingParams,
    training: Training,
    tensors: Mapping[str, Tensor],
    **more: float | None,
) -> None:
    """Write a recommender's tensors and its description into an existing folder; no pickle.

    Args:
        folder: where to.
        name: by which `load_recommender` knows what to load.
        settings: the train section.
        training: what it came to.
        tensors: all that scoring needs.
        more: numbers that scoring needs.
    """
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    write_trained(folder, name, settings, training, content, **more)


@contextmanager
def read_recommender(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Tensor], Training]]:
    """Give what `write_recommender` wrote, tensors on the CPU, to a block that puts it together.

    Raises:
        RecganError: a file is missing or damaged, or the block finds that its parts disagree.
    """
    with reading(folder) as (about, content, training):
        yield about, load(content), training


def history_keys(user_items: csr_array) -> Iterator[bytes]:
    """Yield each row as bytes, equal for equal histories whatever their index types."""
    ordered = user_items.sorted_indices()
    indices, values = ordered.indices.astype(np.int32), ordered.data.astype(np.float32)
    for low, high in zip(ordered.indptr, ordered.indptr[1:], strict=False):
        yield indices[low:high].tobytes() + values[low:high].tobytes()
