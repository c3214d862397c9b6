"""What the GAN recommenders share: how one is played out, and its weights' way to the files and back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from safetensors.torch import load, save
from scipy.sparse import csr_array
from torch import Tensor, nn

from recgan.adversarial.devices import pick_device as pick_device  # every GAN recommender's
from recgan.adversarial.diagnostics import Lines
from recgan.adversarial.schedule import Rules
from recgan.features.matrices import Features
from recgan.recommenders import stability
from recgan.recommenders.settings import TrainingParams
from recgan.recommenders.trained import Trained as Trained
from recgan.recommenders.trained import Training as Training
from recgan.recommenders.trained import reading, write_trained
from recgan.recommenders.validation import Validate, at_looks

S = TypeVar("S", bound=TrainingParams)


class GANRecommender(Generic[S]):
    """What a recommender with a generator is before it is fitted, and how large it is afterwards."""

    generator: nn.Module
    tables: ClassVar[Mapping[str, str]] = {}
    """Player and weight → `items` or `users`, of which it has a row each; of those that may begin warm."""

    def __init__(self, settings: S) -> None:
        """Take the train section; nothing is computed."""
        self.settings = settings
        self.training = Training()
        self.begin: Callable[[Any], None] | None = None
        """Sets the first weights of the next fit's game; None begins anew."""
        self.left: dict[str, Tensor] | None = None
        """All players' weights after a fit; None unless the settings ask for warm starts."""

    @property
    def parameters(self) -> int:
        """Number of the generator's weights."""
        return sum(parameter.numel() for parameter in self.generator.parameters())

    @classmethod
    def unfitted(cls, settings: S, features: Features) -> Self:
        """Return one of these settings; the features say nothing that most need."""
        return cls(settings)

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings."""
        return type(self)(self.settings)


def weights_of(game: Any) -> dict[str, Tensor]:
    """Return the weights of a game's players, under the player's and the weight's name."""
    players = {"generator": game.generator, "discriminator": game.discriminator}
    return {
        f"{player}.{name}": weight.detach().cpu().clone()
        for player, network in players.items()
        if network is not None
        for name, weight in network.named_parameters()
    }


VALIDATION = "validation_ndcg"
"""What the held-out NDCG is called in a look, on the curves and in metrics."""


def looking(
    recommender: Any,
    user_items: csr_array,
    validate: Validate | None,
    prepare: Callable[[], object],
    ages: csr_array | None = None,
) -> Callable[[], dict[str, float]]:
    """Return a look at a recommender: its held-out NDCG, where that is known, and its diversity.

    Args:
        recommender: a `GANRecommender`, which holds the generator that is trained.
        user_items: (users, items), what it is fitted on.
        validate: a score of the recommender as it stands; a sample of its users judges, if the settings say.
        prepare: brings what the recommender derives from its weights up to date.
        ages: (users, items), of what it is fitted on.
    """
    judge = None if validate is None else at_looks(validate, recommender.settings.look_users)

    def look() -> dict[str, float]:
        prepare()
        found = {} if judge is None else {VALIDATION: judge(recommender)}
        return {**found, **stability.diversity(recommender, user_items, ages)}

    return look


def play_out(
    game: Any,
    settings: TrainingParams,
    look: Callable[[], Mapping[str, float]],
    *,
    validated: bool,
    epochs: int | None,
    checkpoint: Path | None,
    label: str,
    rules: Rules | None = None,
    lines: Lines | None = None,
) -> Training:
    """Play a game as the settings say, and leave its generator without gradients.

    Args:
        game: a `recgan.adversarial.game.Game`.
        settings: trainer, epochs, looks and patience.
        look: measures of the present generator.
        validated: whether the held-out NDCG is among them, and chooses the epoch.
        epochs: the most epochs; None takes the settings'.
        checkpoint: file to resume from and to save all state to.
        label: what the progress is called.
        rules: how the players take turns.
        lines: the limits beyond which a measure is unhealthy.
    """
    from recgan.adversarial.play import play  # Lightning takes seconds to import; scoring needs none

    progress = play(
        game,
        epochs=epochs or settings.epochs,
        trainer=settings.trainer.model_dump(),
        look=look,
        monitor=VALIDATION if validated else None,
        evaluate_every=settings.evaluate_every,
        patience=settings.patience,
        checkpoint=checkpoint,
        label=label,
        rules=rules,
        lines=lines,
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
        training: its result.
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
