"""CFGAN as a recommender: it scores any history, in the view that it was trained in."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.networks import Perceptron
from recgan.adversarial.sparse import SparseRows
from recgan.recommenders import stability
from recgan.recommenders.cfgan.game import CFGANGame
from recgan.recommenders.cfgan.settings import CFGANParams
from recgan.recommenders.gan import (
    GANRecommender,
    history_keys,
    looking,
    pick_device,
    play_out,
    read_recommender,
    write_recommender,
)
from recgan.recommenders.validation import judged_by_all


class CFGAN(GANRecommender[CFGANParams]):
    """Recommend with CFGAN's generator.

    User view: the scores are G(history), for any history. Item view: G writes, for every item, one entry
    per fitted user, so a history equal to a fitted user's row gets that user's entries. Any other history
    x is folded in: with h_i the generator's last hidden layer for item i (rows of H), s̄ the mean fitted
    user's scores, its output weights are the ridge solution

        w = w̄ + (HᵀH + fold_in_l2 I)⁻¹ Hᵀ (x - s̄),    scores = s̄ + H (w - w̄)

    and an empty history gets s̄, whether or not a fitted user has none either.
    """

    name = "cfgan"
    generator: Perceptron

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Self], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "cfgan",
    ) -> Self:
        """Train both networks; arguments and errors are those of `Trained.fit`."""
        device = pick_device(self.settings.trainer.accelerator)
        item_view = self.settings.view == "item"
        rows = csr_array(user_items.T) if item_view else user_items
        game = CFGANGame(self.settings, rows, device)
        self._take(game.generator, user_items if item_view else None, user_items.shape[1])

        steady = self.settings.stability
        self.training = play_out(
            game,
            self.settings,
            looking(self, user_items, validate, self._prepare),
            validated=validate is not None,
            epochs=epochs,
            checkpoint=checkpoint,
            label=label,
            rules=stability.rules(steady),
            lines=stability.lines(steady.alarms),
        )
        self._prepare()
        return judged_by_all(self, validate, self.settings.look_users)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        if self.fitted is None:
            scores: NDArray[np.float32] = self._generate(SparseRows(user_items)).numpy()
            return scores
        positions = np.array(
            [self._position.get(key, -1) for key in history_keys(user_items)], dtype=np.int64
        )
        scores = np.empty(user_items.shape, dtype=np.float32)
        own = positions >= 0
        layer = self.generator.output
        units = torch.as_tensor(positions[own], device=layer.weight.device)
        with torch.no_grad():
            written = layer.weight[units] @ self._hidden.T + layer.bias[units, None]  # (own rows, items)
        scores[own] = written.float().cpu().numpy()
        new = np.flatnonzero(~own)
        if len(new):
            history = user_items[new]
            surprise = history.toarray() - self._mean_scores  # (new rows, items)
            surprise[np.diff(history.indptr) == 0] = 0
            scores[new] = self._mean_scores + (surprise @ self._fold_in) @ self._factors.T
        return scores

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        tensors = {f"generator.{name}": weight for name, weight in self.generator.state_dict().items()}
        if self.fitted is not None:
            tensors["fitted.indptr"] = torch.as_tensor(self.fitted.indptr, dtype=torch.int64)
            tensors["fitted.indices"] = torch.as_tensor(self.fitted.indices, dtype=torch.int32)
            tensors["fitted.values"] = torch.as_tensor(self.fitted.data, dtype=torch.float32)
        write_recommender(
            folder,
            self.name,
            self.settings,
            self.training,
            tensors,
            items=self.items,
            width=self.generator.first.shape[0],
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with read_recommender(folder) as (about, tensors, training):
            recommender = cls(CFGANParams.model_validate(about["settings"]))
            recommender.training = training
            width, items = int(about["width"]), int(about["items"])
            generator = Perceptron(
                width, recommender.settings.generator.hidden, width, torch.Generator().manual_seed(0)
            )
            generator.load_state_dict(
                {
                    name.removeprefix("generator."): tensor
                    for name, tensor in tensors.items()
                    if name.startswith("generator.")
                }
            )
            fitted = None
            if recommender.settings.view == "item":
                parts = (tensors[f"fitted.{part}"].numpy() for part in ("values", "indices", "indptr"))
                fitted = csr_array(tuple(parts), shape=(width, items))
            elif width != items:
                raise ValueError(f"width {width} in the user view, but {items} items")
        generator.requires_grad_(False)
        recommender._take(generator, fitted, items)
        recommender._prepare()
        return recommender

    def _take(self, generator: Perceptron, fitted: csr_array | None, items: int) -> None:
        """Hold a generator, and in the item view the rows it was fitted on."""
        self.generator = generator
        self.fitted = fitted
        self.items = items
        if fitted is not None:
            keys = list(history_keys(fitted))
            self._position = {key: position for position, key in reversed(list(enumerate(keys))) if key}
            self._columns = SparseRows(csr_array(fitted.T))

    def _prepare(self) -> None:
        """In the item view: the hidden layer of every item, and what folding in needs."""
        if self.fitted is None:
            return
        layer = self.generator.output
        with torch.no_grad():
            self._hidden = self.generator.last_hidden(
                self._columns.to(layer.weight.device).all()
            )  # (items, hidden)
        H = self._hidden.double().cpu().numpy()
        weight = layer.weight.detach().double().mean(dim=0).cpu().numpy()  # (hidden,)
        mean = H @ weight + float(layer.bias.detach().double().mean())
        gram = H.T @ H
        gram[np.diag_indices_from(gram)] += self.settings.fold_in_l2
        self._mean_scores: NDArray[np.float32] = mean.astype(np.float32)  # (items,)
        self._factors: NDArray[np.float32] = H.astype(np.float32)  # (items, hidden)
        self._fold_in: NDArray[np.float32] = np.linalg.solve(gram, H.T).T.astype(
            np.float32
        )  # (items, hidden)

    def _generate(self, rows: SparseRows) -> Tensor:
        with torch.no_grad():
            written: Tensor = self.generator(rows.to(self.generator.first.device).all())
            return written.float().cpu()
