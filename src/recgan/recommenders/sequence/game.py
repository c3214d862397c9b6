"""The sequence model's training: each step of a history has to tell the items that follow it.

    of one item   l(i) = log(e^{s(i)} + Σ_{j drawn, not in the history} e^{s(j)}) - s(i)
    loss          mean over steps t of  Σ_a 2^-a l(i_{t+a}) / Σ_a 2^-a,   a = 1 … ahead, within the history

The drawn items are the same for a whole batch, without replacement, so that they cost one dense product. What
the history holds is left out: it is no mistake to score it, and it may be bought again. With `ahead` 1 this
is the sampled softmax of the next item. What follows later is told too as in PinnerFormer (Pancha et al.,
KDD 2022).
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.game import Player
from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import adam
from recgan.adversarial.share import ALONE
from recgan.recommenders.sequence.network import Encoder
from recgan.recommenders.sequence.settings import SequenceParams
from recgan.recommenders.sequence.start import first_vectors, ppmi
from recgan.recommenders.sequence.steps import Sequences, Steps

_OUT = -1e9
"""Score of what is left out; not -inf, which has no gradient where a row holds nothing else."""


class SequenceGame:
    """The encoder, which plays alone, and its batches."""

    share, shares_rows = ALONE, True
    discriminator = None
    passed = 0
    """Epochs of the learning rate's way down that count as played."""

    def __init__(
        self,
        settings: SequenceParams,
        user_items: csr_array,
        times: NDArray[np.float32],
        device: torch.device,
    ) -> None:
        """Build the network, the items' vectors from which items stand near each other.

        Args:
            settings: the train section.
            user_items: (users, items), confidences.
            times: (entries of user_items,) days.
            device: where the game will be played.
        """
        self.settings = settings
        self.n_items = user_items.shape[1]
        self.rng = torch.Generator(device).manual_seed(settings.seed)
        rows = np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))
        order = np.lexsort((times, rows))
        near = ppmi(user_items.indices[order].astype(np.int64), rows, self.n_items)
        start = first_vectors(near, settings.width, settings.seed)
        self.generator = Encoder(settings, torch.as_tensor(start), self.rng)
        self.sequences = Sequences(user_items, times, settings.max_length + 1, device)
        self.users = torch.nonzero(self.sequences.lengths > 1).squeeze(1)

    def optimizers(self) -> tuple[torch.optim.Optimizer]:
        """Return the encoder's Adam."""
        self._optimizer = adam(self.generator, self.settings.learning_rate, 0)
        return (self._optimizer,)

    def begin_epoch(self, epoch: int) -> None:
        """Keep where the rate is on its way down."""
        self._epoch = self.passed + epoch

    def begin_turn(self, player: Player) -> None:
        """Put what was at one time into a new order."""
        self.sequences.shuffle_ties(self.rng)

    def steps(self, player: Player) -> int:
        """Return how many batches an epoch has."""
        return -(-len(self.users) // self.settings.batch_size)

    def batches(self, player: Player) -> Iterator[Steps]:
        """Yield every history once, those of a batch of like length; the rate falls from one to the next.

        Raises:
            RecganError: a batch has fewer histories than there are processes.
        """
        device, settings = self.rng.device, self.settings
        self.share.check(settings.batch_size)
        by_chance = torch.rand(len(self.users), generator=self.rng, device=device)
        lengths = self.sequences.lengths[self.users].clamp(max=settings.max_length + 1)
        alike = torch.split(self.users[(lengths + by_chance).argsort()], settings.batch_size)
        order = torch.randperm(len(alike), generator=self.rng, device=device).tolist()
        for number, chosen in enumerate(order):
            passed = (self._epoch + number / len(order)) / settings.epochs
            for group in self._optimizer.param_groups:
                group["lr"] = settings.learning_rate * (1 + math.cos(math.pi * passed)) / 2
            yield self.sequences.batch(alike[chosen])

    def loss(self, player: Player, batch: Steps) -> Tensor:
        """Return the mean step's loss."""
        share, network, device = self.share, self.generator, self.rng.device
        n_steps = (batch.lengths - 1).sum() / share.processes
        network.dropout.rows, network.dropout.n_rows = share, len(batch.lengths)
        batch = batch.of(share)
        read = batch.before_last()
        there = read.there()
        hidden = network(read)[there]  # (steps, width)
        drawn = torch.randperm(self.n_items, generator=self.rng, device=device)[: self.settings.negatives]
        place = torch.full((self.n_items,), len(drawn), device=device)
        place[drawn] = torch.arange(len(drawn), device=device)
        own = torch.zeros(len(there), len(drawn) + 1, dtype=torch.bool, device=device)
        own = own.scatter(1, place[batch.items], value=True)[:, :-1]  # (batch, drawn)
        negatives = dense(hidden, network.aims(drawn)).float()  # (steps, drawn)
        negatives[own[there.nonzero()[:, 0]].nonzero(as_tuple=True)] = _OUT
        others, (row, at) = negatives.logsumexp(dim=1), there.nonzero(as_tuple=True)
        losses, weights = torch.zeros_like(others), torch.zeros_like(others)
        for ahead in range(1, min(self.settings.ahead + 1, batch.items.shape[1])):
            weight = 0.5**ahead * (at + ahead < batch.lengths[row])
            aims = network.aims(batch.items[row, (at + ahead).clamp(max=batch.items.shape[1] - 1)])
            positives = (hidden * aims).sum(dim=1).float()
            losses = losses + weight * (torch.logaddexp(others, positives) - positives)
            weights = weights + weight
        loss: Tensor = (losses / weights).sum() / n_steps
        return loss

    def measured(self) -> dict[str, Tensor]:
        """Return nothing: the loss says it all."""
        return {}
