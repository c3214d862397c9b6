"""IRGAN (Wang et al., SIGIR 2017): a generator that picks items against a discriminator that judges pairs.

Both score user u and item i by factors and a bias of the item, the generator's g and the discriminator's f:

    generator       p(i|u) = softmax_i g(u, i)                           over all items
    discriminator   D(i|u) = σ(f(u, i))                                  (equation 2 of the paper)
    the game        min over p, max over D of                            (equation 1)
                    Σ_u E_{i of u}[log D(i|u)] + E_{i ~ p}[log(1 - D(i|u))]

Picking an item has no gradient, so the generator learns by REINFORCE (equation 5): a drawn item's
log-probability is raised by its reward. As in the authors' code, and unlike the paper's log(1 + exp f), the
reward is R = 2(σ(f) - ½), in -1..1. What the generator learns from is drawn from q, which mixes a share λ of
the user's own items into p, and is weighed by p / q. The discriminator's fakes, one for each of the user's
items, are drawn from softmax(g / temperature):

    discriminator's loss   mean over pairs of  -log σ(f(u, i)) - log(1 - σ(f(u, j))),    i of u, j drawn
    generator's loss       mean over users of  -1/K Σ_k  p(i_k|u) / q(i_k|u) R(u, i_k) log p(i_k|u),   i_k ~ q
    q(i|u)                 (1 - λ) p(i|u) + λ / |items of u| where u has i

The released result starts from the weights of the strongest baseline. Here the first epochs pretrain instead:
the generator by the likelihood of the user's items, the discriminator as ever, against what this generator
draws. Then the generator's optimiser starts afresh and the adversarial epochs follow. With all epochs
pretraining there is no adversary, which is the ablation to compare with.

Four things also differ from the authors' code. Adam stands for plain gradient descent, and batches of users
for single users. Fakes are drawn anew for every pass. The epoch is chosen on validation. Confidences count as
1.
"""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import softplus

from recgan.adversarial.diagnostics import Means
from recgan.adversarial.game import Player
from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import adam
from recgan.adversarial.share import ALONE
from recgan.adversarial.sparse import SparseBatch, SparseRows
from recgan.recommenders.irgan.settings import FactorsParams, IRGANParams

START = 0.05
"""Factors start uniform within this bound, biases at 0, as in the authors' code."""


class Factors(nn.Module):
    """Score every item for a user: ⟨the user's factors, the item's⟩ + the item's bias."""

    def __init__(self, users: int, items: int, factors: int, rng: torch.Generator) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.empty(users, factors).uniform_(-START, START, generator=rng))
        self.items = nn.Parameter(torch.empty(items, factors).uniform_(-START, START, generator=rng))
        self.bias = nn.Parameter(torch.zeros(items))

    def forward(self, users: Tensor) -> Tensor:
        """Return the scores (users, items), float32 whatever the precision of the product."""
        return dense(self.users.index_select(0, users), self.items, self.bias).float()


class IRGANGame:
    """IRGAN's two players and what they play for.

    Memory on the device: some ten floats for each item of each user in a batch, and the rows.
    """

    share, shares_rows = ALONE, True

    def __init__(self, settings: IRGANParams, user_items: csr_array, device: torch.device) -> None:
        """Build the players.

        Args:
            settings: the train section.
            user_items: (users, items).
            device: where the game will be played.
        """
        self.settings = settings
        first = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same start on every device
        self.generator = Factors(*user_items.shape, settings.generator.factors, first)
        self.discriminator = Factors(*user_items.shape, settings.discriminator.factors, first)
        self.rows = SparseRows(user_items).to(device)
        some = np.flatnonzero(np.diff(user_items.indptr))
        self.asked = torch.as_tensor(some, dtype=torch.long, device=device)
        """Users with at least one item."""
        self.rng = torch.Generator(device).manual_seed(settings.seed)
        d, g = settings.discriminator, settings.generator
        self._adams = (
            adam(self.discriminator, d.learning_rate, d.l2),
            adam(self.generator, g.learning_rate, g.l2),
        )

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the discriminator's and the generator's Adam."""
        return self._adams

    def begin_epoch(self, epoch: int) -> None:
        """Give the generator's Adam the rate and the l2 of this epoch's phase."""
        pretraining = self.settings.pretraining
        self._pretraining = epoch < pretraining.epochs
        optimizer = self._adams[1]
        if epoch == pretraining.epochs:
            optimizer.state.clear()  # moments of the likelihood's gradient say nothing about the rewards'
        phase = pretraining if self._pretraining else self.settings.generator
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = phase.learning_rate, phase.l2
        self._means = Means()

    def begin_turn(self, player: Player) -> None:
        """Compute nothing: the resting player is asked batch by batch."""

    def steps(self, player: Player) -> int:
        """Return how many batches a player's turn has."""
        side = self._side(player)
        return side.steps * -(-len(self.asked) // side.batch_size)

    def batches(self, player: Player) -> Iterator[SparseBatch]:
        """Yield every user with items once in each pass of a turn, each time in another order."""
        side = self._side(player)
        for _ in range(side.steps):
            order = torch.randperm(len(self.asked), generator=self.rng, device=self.rng.device)
            yield from self.rows.batches(self.asked[order], side.batch_size, share=self.share)

    def loss(self, player: Player, batch: SparseBatch) -> Tensor:
        """Return a player's loss on some users; the generator's is that of pretraining, or of the game."""
        if player == "generator":
            return self.pretraining_loss(batch) if self._pretraining else self.adversarial_loss(batch)
        with torch.no_grad():
            p = torch.softmax(self.generator(batch.rows) / self.settings.temperature, dim=1)
        cells = batch.cells(self.rows.shape[1])  # (pairs,)
        return self.discriminator_loss(batch, draw(p, cells // p.shape[1], batch.uniform(1, self.rng)))

    def discriminator_loss(self, batch: SparseBatch, fakes: Tensor) -> Tensor:
        """Return the mean pair's -log σ(f(u, i)) - log(1 - σ(f(u, j))).

        Args:
            batch: users.
            fakes: (pairs,), a drawn item j for each entry i of the batch.
        """
        logits = self.discriminator(batch.rows)  # (users, items)
        cells, width = batch.cells(logits.shape[1]), logits.shape[1]
        flat = logits.view(-1)
        real, fake = flat[cells], flat[cells // width * width + fakes]  # (pairs,)
        n_pairs = batch.entries_over
        self._means.add("d_real", torch.sigmoid(real.detach()).sum() / n_pairs)
        self._means.add("d_fake", torch.sigmoid(fake.detach()).sum() / n_pairs)
        self._means.add("win_rate", (real > fake).sum() / n_pairs)
        return (softplus(-real).sum() + softplus(fake).sum()) / n_pairs

    def pretraining_loss(self, batch: SparseBatch) -> Tensor:
        """Return the mean user's -log p(i|u), the mean over the user's items."""
        log_p = torch.log_softmax(self.generator(batch.rows), dim=1)
        cells = batch.cells(log_p.shape[1])
        loss = -log_p.view(-1)[cells].dot(shares(cells // log_p.shape[1])) / batch.mean_over
        self._means.add("likelihood", -loss.detach())
        return loss

    def adversarial_loss(self, batch: SparseBatch) -> Tensor:
        """Return REINFORCE's loss, or with no number of draws set the mean user's -E_{i ~ p}[R(u, i)]."""
        log_p = torch.log_softmax(self.generator(batch.rows), dim=1)  # (users, items)
        with torch.no_grad():
            reward = 2 * torch.sigmoid(self.discriminator(batch.rows)) - 1
            p = log_p.exp()
            self._means.add("reward", (p * reward).sum() / batch.mean_over)
            self._means.add("entropy", -(p * log_p).sum() / batch.mean_over)
        if self.settings.draws is None:
            return -(log_p.exp() * reward).sum() / batch.mean_over
        cells, width = batch.cells(log_p.shape[1]), log_p.shape[1]
        own = cells // width  # (entries,) whose each entry is
        mixed = (1 - self.settings.own_items) * p
        mixed.view(-1)[cells] += self.settings.own_items * shares(own)
        whose = own.repeat_interleave(self.settings.draws)  # (draws,)
        drawn = whose * width + draw(mixed, whose, batch.uniform(self.settings.draws, self.rng))
        return reinforce(log_p, mixed, reward, drawn, shares(whose) / batch.mean_over)

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean d_real and d_fake (as probabilities), win_rate and what the generator met.

        That is in pretraining likelihood, log p(i|u) of the users' items, and after it reward, E_{i ~ p}[R],
        and p's entropy, both computed over all items and not over those drawn.
        """
        return self._means.found()

    def _side(self, player: Player) -> FactorsParams:
        return self.settings.discriminator if player == "discriminator" else self.settings.generator


def shares(whose: Tensor) -> Tensor:
    """Return for each entry one over the number of entries of the same user; whose is (entries,), from 0."""
    return 1 / torch.bincount(whose).float()[whose]


def draw(probabilities: Tensor, whose: Tensor, uniform: Tensor) -> Tensor:
    """Draw items with replacement, as many of each row as `whose` names it.

    By inverting the distribution function, in float64: the rows' functions are stacked and inverted at once.

    Args:
        probabilities: (rows, items), each row proportional to its distribution.
        whose: (draws,) the row each item is drawn from.
        uniform: (draws,) float64, drawn within 0 and 1.

    Returns:
        (draws,) positions of items.
    """
    n_items = probabilities.shape[1]
    reached = probabilities.double().cumsum(dim=1)
    reached = reached / reached[:, -1:]
    stacked = reached + torch.arange(len(reached), device=reached.device)[:, None]
    places = torch.searchsorted(stacked.view(-1), whose + uniform, right=True)
    return (places - whose * n_items).clamp(max=n_items - 1)


def reinforce(log_p: Tensor, drawn_from: Tensor, reward: Tensor, drawn: Tensor, weights: Tensor) -> Tensor:
    """Return a loss whose mean gradient over draws is that of -E_{i ~ p}[R] (Williams 1992).

    The sum over draws k of -weights_k p_k / q_k R_k log p_k, with a gradient through log p_k alone.

    Args:
        log_p: (rows, items).
        drawn_from: (rows, items), the q that the items were drawn from.
        reward: (rows, items).
        drawn: (draws,) positions of what was drawn in the flat (rows, items).
        weights: (draws,), which sum to 1 for a mean.
    """
    chosen = log_p.reshape(-1)[drawn]
    importance = chosen.detach().exp() / drawn_from.reshape(-1)[drawn]
    return -(weights * importance * reward.reshape(-1)[drawn]).detach().dot(chosen)
