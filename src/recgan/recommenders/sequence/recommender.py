"""The sequence model as a recommender: the items that a history's newest step points at."""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import Features, beside
from recgan.recommenders import stability
from recgan.recommenders.ages import times_of
from recgan.recommenders.fallback import empty_by_popularity, shares_of_users
from recgan.recommenders.gan import (
    GANRecommender,
    looking,
    pick_device,
    play_out,
    read_recommender,
    weights_of,
    write_recommender,
)
from recgan.recommenders.sequence.game import SequenceGame
from recgan.recommenders.sequence.network import Encoder
from recgan.recommenders.sequence.settings import SequenceParams
from recgan.recommenders.sequence.steps import Sequences
from recgan.recommenders.validation import judged_by_all

Times = Callable[[csr_array], NDArray[np.float32] | None]
"""A matrix → days from the log's start to each of its entries; None where nobody knows."""

_log = logging.getLogger(__name__)

_BLOCK = 1024
"""Histories encoded at a time."""


class Sequence(GANRecommender[SequenceParams]):
    """Recommend what comes next after a history in its order.

    Ages give the order. Without them, as in a request of plain ids, all of a history counts as equally old,
    and of what is equally old the lower position is read first.
    """

    name = "sequence"
    generator: Encoder
    tables: ClassVar[Mapping[str, str]] = {"generator.items": "items", "generator.targets": "items"}

    def __init__(self, settings: SequenceParams, times: Times) -> None:
        """Take the train section; nothing is computed.

        Args:
            settings: the train section.
            times: says when the entries of a matrix to be fitted on were.
        """
        super().__init__(settings)
        self.times = times
        self._told = False

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Self], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "sequence",
    ) -> Self:
        """Train the encoder; arguments and errors are those of `Trained.fit`.

        Raises:
            RecganError: nothing is known of time, or no history has two items.
        """
        times = self.times(user_items)
        if times is None:
            raise RecganError(_NO_ORDER)
        if not (np.diff(user_items.indptr) > 1).any():
            raise RecganError(
                f"sequence learns what comes next, but none of {user_items.shape[0]:,} histories has two "
                "items; lengthen the train window, or remove this candidate"
            )
        settings = self.settings
        game = SequenceGame(settings, user_items, times, pick_device(settings.trainer.accelerator))
        if self.begin is not None and settings.warm_start is not None:
            self.begin(game)
            game.passed = settings.epochs - settings.warm_start
        self._take(game.generator, shares_of_users(user_items))
        self.training = play_out(
            game,
            settings,
            looking(
                self, user_items, validate, lambda: None, beside(user_items, times.max(initial=0) - times)
            ),
            validated=validate is not None,
            epochs=epochs,
            checkpoint=checkpoint,
            label=label,
            lines=stability.lines(settings.alarms),
        )
        game.generator.eval()
        self.left = None if settings.warm_start is None else weights_of(game)
        return judged_by_all(self, validate, settings.look_users)

    @classmethod
    def unfitted(cls, settings: SequenceParams, features: Features) -> Self:
        """Return one of these settings, and the times of the features' matrices.

        Raises:
            RecganError: an event that counts has no timestamp.
        """
        if features.train_times is None:
            raise RecganError(_NO_ORDER)
        return cls(settings, partial(times_of, features))

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings, and of the times of these features or the same."""
        times = self.times if features is None else partial(times_of, features)
        return type(self)(self.settings, times)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        scores = np.empty(user_items.shape, dtype=np.float32)
        with torch.no_grad():
            aims = self.generator.aims().float()
            for rows, last in self._encoded(user_items, ages):
                scores[rows] = (last @ aims.T).cpu().numpy()
        return empty_by_popularity(scores, user_items, self.popularity)

    def vectors(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return where each history's newest step points, (rows, width); 0 for an empty one."""
        found = np.zeros((user_items.shape[0], self.settings.width), dtype=np.float32)
        with torch.no_grad():
            for rows, last in self._encoded(user_items, ages):
                found[rows] = last.cpu().numpy()
        return found

    def item_vectors(self) -> NDArray[np.float32]:
        """Return what each item is as an aim, (items, width)."""
        with torch.no_grad():
            aims: NDArray[np.float32] = self.generator.aims().float().cpu().numpy()
        return aims

    def _encoded(
        self, user_items: csr_array, ages: csr_array | None
    ) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """Yield rows that have a history, and where each one's newest step points."""
        if ages is None and not self._told:
            self._told = True
            _log.info("sequence: histories without ages have no order; all of one counts as equally old")
        times = np.zeros(user_items.nnz) if ages is None else -ages.data.astype(np.float64)
        network = self.generator
        device, was_training = network.items.device, network.training
        network.eval()
        sequences = Sequences(user_items, times, self.settings.max_length, device)
        # By length, so that little of a block is padding.
        for rows in torch.split(sequences.lengths.argsort(stable=True), _BLOCK):
            rows = rows[sequences.lengths[rows] > 0]
            if len(rows):
                steps = sequences.batch(rows)
                last = network(steps)[torch.arange(len(rows), device=device), steps.lengths - 1].float()
                yield rows.cpu().numpy(), last
        network.train(was_training)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        tensors = {f"generator.{name}": weight for name, weight in self.generator.state_dict().items()}
        tensors["popularity"] = torch.as_tensor(self.popularity)
        write_recommender(folder, self.name, self.settings, self.training, tensors)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU; it scores, and is not to be fitted anew.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with read_recommender(folder) as (about, tensors, training):
            recommender = cls(SequenceParams.model_validate(about["settings"]), lambda _: None)
            recommender.training = training
            popularity = tensors.pop("popularity").numpy()
            start = torch.empty(len(popularity), recommender.settings.width)
            generator = Encoder(recommender.settings, start)
            generator.load_state_dict(
                {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
            )
        generator.requires_grad_(False)
        recommender._take(generator.eval(), popularity)
        return recommender

    def _take(self, generator: Encoder, popularity: NDArray[np.float32]) -> None:
        self.generator, self.popularity = generator, popularity


_NO_ORDER = (
    "sequence needs to know what came after what, but not every event that counts has a timestamp; let "
    "validate drop those without (null_timestamp), or remove this candidate"
)
