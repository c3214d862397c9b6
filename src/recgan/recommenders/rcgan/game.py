"""RC-GAN: a generator in the user view against a residual critic in the item view.

The generator reads a user's items, the critic an item's users, so that each sees what the other's bottleneck
hides. With x a row, 1 where there was an event, c the row as the networks read it, w = x + η(1 - x):

    generator       y = W2 tanh(W1 dropout(c) / max(1, ‖c‖) + b1) + b2          (a row of scores)
    critic          D(c, y) = ⟨d(c), y⟩_w, d a network of the generator's shape, its last layer first zero
    critic's loss   E[ D(c, y) - D(c, x) + γ/2 ‖d(c)‖²_w ]
    generator's     E[ ½ ‖y - x‖²_w - λ D(c, y) ]
    served score    y + k d

The critic's loss is Wasserstein's (Arjovsky et al. 2017). D is linear in what it judges, so ∇_y D = w∘d is
known. The last term is a gradient penalty (in the norm that w defines) without a second backward pass. If d
could be anything, the critic's optimum would be γ d = x - y. So it learns what the generator leaves
unexplained, as seen through the other view, and the generator is pushed there. With λ = 0 the generator is a
denoising autoencoder with weighted squared error, which is the ablation to compare with.

A squared error over a whole row grows with what the row holds, so that few users with many items decide most
of it. In the generator's loss a user of n items therefore counts n^-a (`user_weight_power`), the mean being
1; the critic's loss counts all alike.

Graded confidences c are read by the networks as they are, and weigh: w = η + (1 - η) c, while x stays 1 where
there is one (Hu et al. 2008).

Each batch's loss is computed in the cheaper of two ways that differ by rounding alone: with all its outputs
written out, or by Gramians, once the batch is larger than the hidden layers (recgan.adversarial.gramian).
"""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from recgan.adversarial.diagnostics import Means
from recgan.adversarial.game import Player
from recgan.adversarial.gramian import Held, Linear, Resting, forms, pays
from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import Perceptron, adamw
from recgan.adversarial.share import ALONE, Share
from recgan.adversarial.sparse import SparseBatch, SparseRows
from recgan.adversarial.weighted import inner, quadratic
from recgan.recommenders.rcgan.settings import RCGANParams, ViewParams

BLOCK = 1024
"""Rows read at a time where a network reads all of them."""


class View:
    """One view of the matrix: its rows, as a network reads them and as a loss weighs them."""

    def __init__(self, matrix: csr_array, unobserved_weight: float, device: torch.device) -> None:
        self.rows = SparseRows(normalised(matrix)).to(device)
        self.base = unobserved_weight
        weights = self.base + (1 - self.base) * matrix.data
        self.weights = torch.as_tensor(weights, dtype=torch.float32, device=device)

    def batches(self, side: ViewParams, rng: torch.Generator, share: Share = ALONE) -> Iterator[SparseBatch]:
        """Yield every row once, in a random order."""
        order = torch.randperm(self.rows.shape[0], generator=rng, device=rng.device)
        yield from self.rows.batches(order, side.batch_size, side.dropout, rng, share)

    def hidden(
        self, network: Perceptron, dropout: float, rng: torch.Generator, share: Share = ALONE
    ) -> Tensor:
        """Return a network's last hidden layer for all rows (rows, hidden), without gradient."""
        n_rows = self.rows.shape[0]
        order = torch.arange(n_rows, device=rng.device)
        with torch.no_grad():
            blocks = self.rows.batches(order, BLOCK * share.processes, dropout, rng, share)
            return share.gather(torch.cat([network.last_hidden(block) for block in blocks]), n_rows)


class RCGANGame:
    """RC-GAN's two networks and what they play for.

    The resting player's output for all rows is never stored. Its last hidden layer is kept, and its output is
    computed for the cells that a batch of the other view asks for. So memory on the device grows with (users
    + items) x hidden, not with the matrix's cells; the arithmetic still does.

    Several processes each compute their rows of every batch and of the hidden layer, which they gather.
    """

    share, shares_rows = ALONE, True

    def __init__(self, settings: RCGANParams, user_items: csr_array, device: torch.device) -> None:
        """Build the networks.

        Args:
            settings: the train section.
            user_items: (users, items).
            device: where the game will be played.
        """
        self.settings = settings
        self.generator, self.discriminator = networks(settings, user_items.shape)
        self.users = View(user_items, settings.unobserved_weight, device)
        self.items = View(csr_array(user_items.T.tocsr()), settings.unobserved_weight, device)
        # None keeps the loss of equal users free of a factor.
        power = settings.user_weight_power
        self.user_weights = user_weights(user_items, power).to(device) if power else None
        self.rng = torch.Generator(device).manual_seed(settings.seed)

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the critic's and the generator's AdamW."""
        d, g = self.settings.critic, self.settings.generator
        return (
            adamw(self.discriminator, d.learning_rate, d.weight_decay),
            adamw(self.generator, g.learning_rate, g.weight_decay),
        )

    def begin_epoch(self, epoch: int) -> None:
        """Forget what the epoch before measured."""
        self._means = Means()

    def begin_turn(self, player: Player) -> None:
        """Have the resting player read all rows of its view once."""
        if player == "discriminator":
            dropout = self.settings.generator.dropout
            self._hidden = self.users.hidden(self.generator, dropout, self.rng, self.share)
        else:
            self._hidden = self.items.hidden(self.discriminator, 0, self.rng, self.share)

    def steps(self, player: Player) -> int:
        """Return how many batches a player's turn has: one pass over its view."""
        view, side = self._view(player)
        return -(-view.rows.shape[0] // side.batch_size)

    def batches(self, player: Player) -> Iterator[SparseBatch]:
        """Yield the batches of one turn."""
        view, side = self._view(player)
        return view.batches(side, self.rng, self.share)

    def loss(self, player: Player, batch: SparseBatch) -> Tensor:
        """Return a player's loss on rows of its view."""
        learning, resting, _ = self._sides(player)
        widths = learning.output.in_features, resting.output.in_features
        whole = round(batch.mean_over * self.share.processes)  # rows of all: processes have to agree
        # A product that autocast asks for in another precision would round the Gramians' sums.
        written_out = torch.is_autocast_enabled(batch.rows.device.type) or not pays(whole, *widths)
        if player == "discriminator":
            if written_out:
                return self.critic_loss(batch, column(self.generator, batch.rows, self._hidden))
            return self.critic_loss_by_gramians(batch)
        if written_out:
            residual = column(self.discriminator, batch.rows, self._hidden)
            adversarial, reconstruction = self.generator_losses(batch, residual)
        else:
            adversarial, reconstruction = self.generator_losses_by_gramians(batch)
        self._means.add("adversarial", adversarial)
        self._means.add("reconstruction", reconstruction)
        return reconstruction + self.settings.adversarial * adversarial

    def critic_loss(self, batch: SparseBatch, scores: Tensor) -> Tensor:
        """Return the mean row's D(c, y) - D(c, x) + γ/2 ‖d‖²_w.

        Args:
            batch: rows of the item view.
            scores: (batch, users), the generator's y for them.
        """
        residual = self.discriminator(batch)  # (batch, users)
        cells, weights = batch.cells(residual.shape[1]), self.items.weights[batch.entries]
        base, n_rows = self.items.base, batch.mean_over
        penalty = self.settings.gradient_penalty
        self._means.add("d_fake", inner(residual, scores, cells, weights, base) / n_rows)
        self._means.add("d_real", weights.dot(residual.detach().float().view(-1)[cells]) / n_rows)
        loss = quadratic(residual, scores, cells, weights, base, square=penalty, cross=1, pull=1)
        return loss / n_rows

    def generator_losses(self, batch: SparseBatch, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean row's -D(c, y) and ½ ‖y - x‖²_w, each row times its user's weight.

        Args:
            batch: rows of the user view.
            residual: (batch, items), the critic's d for them.
        """
        scores = self.generator(batch)  # (batch, items)
        cells, weights = batch.cells(scores.shape[1]), self.users.weights[batch.entries]
        base, n_rows = self.users.base, batch.mean_over
        users = None if self.user_weights is None else self.user_weights[batch.rows]
        adversarial = quadratic(
            scores, residual, cells, weights, base, square=0, cross=-1, pull=0, rows=users
        )
        squares = quadratic(scores, residual, cells, weights, base, square=1, cross=0, pull=1, rows=users)
        if users is not None:
            weights = weights * users[cells // scores.shape[1]]
        return adversarial / n_rows, (squares + weights.sum() / 2) / n_rows

    def critic_loss_by_gramians(self, batch: SparseBatch) -> Tensor:
        """Return what `critic_loss` does, beside the generator as it rests."""
        square, cross, pull = (each / batch.mean_over for each in self._forms("discriminator", batch))
        self._means.add("d_fake", cross)
        self._means.add("d_real", pull)
        return cross - pull + self.settings.gradient_penalty / 2 * square

    def generator_losses_by_gramians(self, batch: SparseBatch) -> tuple[Tensor, Tensor]:
        """Return what `generator_losses` does, beside the critic as it rests."""
        users = None if self.user_weights is None else self.user_weights[batch.rows]
        square, cross, pull = self._forms("generator", batch, users)
        weights = self.users.weights[batch.entries]
        if users is not None:
            weights = weights * users[batch.places()]
        return -cross / batch.mean_over, (square / 2 - pull + weights.sum() / 2) / batch.mean_over

    def _forms(
        self, player: Player, batch: SparseBatch, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ⟨v, v⟩_w, ⟨f, v⟩_w and ⟨x, v⟩_w of a player's outputs v and the resting one's f."""
        learning, resting, view = self._sides(player)
        return forms(
            Linear(learning.last_hidden(batch), learning.output.weight, learning.output.bias),
            Resting(self._hidden, *(one.detach()[batch.rows] for one in resting.output.parameters())),
            Held(batch.places(), batch.by_row.indices, view.weights[batch.entries]),
            view.base,
            rows,
            self.share,
        )

    def _sides(self, player: Player) -> tuple[Perceptron, Perceptron, View]:
        """Return who learns, who rests, and the view that is read."""
        if player == "discriminator":
            return self.discriminator, self.generator, self.items
        return self.generator, self.discriminator, self.users

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean D(c, x), D(c, y), -D(c, y) as the generator met it, and ½ ‖y - x‖²_w."""
        return self._means.found()

    def _view(self, player: Player) -> tuple[View, ViewParams]:
        """Return what a player reads, and its settings."""
        if player == "discriminator":
            return self.items, self.settings.critic
        return self.users, self.settings.generator


def networks(settings: RCGANParams, shape: tuple[int, int]) -> tuple[Perceptron, Perceptron]:
    """Return generator and critic for (users, items); the critic's last layer starts at zero."""
    rng = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same start on every device
    n_users, n_items = shape
    generator = make_generator(settings, n_items, rng)
    critic = Perceptron(n_users, settings.critic.hidden, n_users, rng, torch.tanh)
    nn.init.zeros_(critic.output.weight)
    nn.init.zeros_(critic.output.bias)
    return generator, critic


def column(network: Perceptron, outputs: Tensor, hidden: Tensor) -> Tensor:
    """Return some of a network's outputs for all its rows, without gradient.

    Args:
        network: of the other view.
        outputs: (batch,) which outputs.
        hidden: (rows, hidden), its last hidden layer for all rows.

    Returns:
        (batch, rows)
    """
    with torch.no_grad():
        weight, bias = network.output.weight[outputs], network.output.bias[outputs]
        return dense(weight, hidden).float() + bias[:, None]


def normalised(matrix: csr_array) -> csr_array:
    """Divide each row by its Euclidean norm where that is above 1."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float64))
    # Not a product of matrices, which would leave a row's entries in another order than the matrix's own.
    values = matrix.data / np.repeat(np.maximum(norms, 1), np.diff(matrix.indptr))
    return csr_array((values.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def user_weights(user_items: csr_array, power: float) -> Tensor:
    """Return (users,) n^-power of a user with n items, divided by its mean; no item counts as one."""
    sizes = np.maximum(np.diff(user_items.indptr), 1).astype(np.float64)
    weights = sizes**-power
    return torch.as_tensor(weights / weights.mean(), dtype=torch.float32)


def make_generator(settings: RCGANParams, items: int, rng: torch.Generator) -> Perceptron:
    """Return an untrained generator of rows of items."""
    return Perceptron(items, settings.generator.hidden, items, rng, torch.tanh)
