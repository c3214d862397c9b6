"""IRGAN as a recommender: a history is folded in among the factors."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders import stability
from recgan.recommenders.gan import (
    GANRecommender,
    history_keys,
    looking,
    pick_device,
    play_out,
    read_recommender,
    write_recommender,
)
from recgan.recommenders.irgan.game import Factors, IRGANGame
from recgan.recommenders.irgan.settings import IRGANParams
from recgan.recommenders.validation import judged_by_all


class IRGAN(GANRecommender[IRGANParams]):
    """Recommend with IRGAN's generator.

    A history equal to a fitted user's gets g(u, ·) of that user. Any other is folded in, the items' factors G
    (rows) and biases b held fast: with ū the mean fitted user's factors, p̄ = softmax(G ū + b), x the history
    (1 where it has an item) and n its length, its factors are ū and the ridge solution

        v = ū + (n C + fold_in_l2 I)⁻¹ Gᵀ(x - n p̄),    C = Gᵀ(diag p̄ - p̄ p̄ᵀ)G,    scores = G v + b

    which is one Newton step from ū up the history's log-likelihood, the objective of pretraining, under a
    ridge. An empty history gets ū's scores.
    """

    name = "irgan"

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Self], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "irgan",
    ) -> Self:
        """Pretrain both players, then train them against each other; arguments and errors: `Trained.fit`.

        The epochs include those of pretraining.
        """
        device = pick_device(self.settings.trainer.accelerator)
        game = IRGANGame(self.settings, user_items, device)

        self.training = play_out(
            game,
            self.settings,
            looking(self, user_items, validate, lambda: self._take(game.generator, user_items)),
            validated=validate is not None,
            epochs=epochs,
            checkpoint=checkpoint,
            label=label,
            lines=stability.lines(self.settings.alarms),
        )
        self._take(game.generator, user_items)
        return judged_by_all(self, validate, self.settings.look_users)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        positions = np.array(
            [self._position.get(key, -1) for key in history_keys(user_items)], dtype=np.int64
        )
        factors = np.empty((len(positions), self._items.shape[1]), dtype=np.float32)
        own = positions >= 0
        factors[own] = self._users[positions[own]]
        if not own.all():
            factors[~own] = self.fold_in(user_items[np.flatnonzero(~own)])
        return np.asarray(factors @ self._items.T + self._bias, dtype=np.float32)

    def fold_in(self, user_items: csr_array) -> NDArray[np.float32]:
        """Return the factors (rows, factors) of any histories, whether or not fitted."""
        ones = csr_array(
            (np.ones_like(user_items.data), user_items.indices, user_items.indptr), shape=user_items.shape
        )
        lengths = np.diff(ones.indptr)[:, None]  # (rows, 1)
        slope = (ones @ self._items - lengths * self._mean_item) @ self._axes
        step = slope / (lengths * self._curvatures + self.settings.fold_in_l2)
        return np.asarray(self._mean_user + step @ self._axes.T, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        tensors = {f"generator.{name}": weight for name, weight in self.generator.state_dict().items()}
        tensors["fitted.indptr"] = torch.as_tensor(self.fitted.indptr, dtype=torch.int64)
        tensors["fitted.indices"] = torch.as_tensor(self.fitted.indices, dtype=torch.int32)
        tensors["fitted.values"] = torch.as_tensor(self.fitted.data, dtype=torch.float32)
        users, items = self.fitted.shape
        write_recommender(folder, self.name, self.settings, self.training, tensors, users=users, items=items)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with read_recommender(folder) as (about, tensors, training):
            recommender = cls(IRGANParams.model_validate(about["settings"]))
            recommender.training = training
            shape = int(about["users"]), int(about["items"])
            parts = (tensors.pop(f"fitted.{part}").numpy() for part in ("values", "indices", "indptr"))
            fitted = csr_array(tuple(parts), shape=shape)
            rng = torch.Generator().manual_seed(0)
            generator = Factors(*shape, recommender.settings.generator.factors, rng)
            generator.load_state_dict(
                {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
            )
        generator.requires_grad_(False)
        recommender._take(generator, fitted)
        return recommender

    def _take(self, generator: Factors, fitted: csr_array) -> None:
        """Hold a generator and the rows it was fitted on, and prepare what folding in needs."""
        self.generator = generator
        self.fitted = fitted
        keys = list(history_keys(fitted))
        self._position = {key: position for position, key in reversed(list(enumerate(keys))) if key}
        weights = [weight.detach().cpu().numpy() for weight in generator.parameters()]
        self._users, self._items, self._bias = weights
        G = self._items.astype(np.float64)
        mean_user = self._users.mean(axis=0, dtype=np.float64)
        logits = G @ mean_user + self._bias
        p = np.exp(logits - logits.max())
        p /= p.sum()
        mean_item = p @ G
        curvatures, axes = np.linalg.eigh((G * p[:, None]).T @ G - np.outer(mean_item, mean_item))
        self._mean_user, self._mean_item, self._axes = mean_user, mean_item, axes
        self._curvatures = np.maximum(curvatures, 0)
