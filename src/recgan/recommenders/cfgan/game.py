"""CFGAN (Chae et al., CIKM 2018): a GAN that writes whole interaction vectors.

The condition c is a row of the matrix (a user's items, or in the item view an item's users), and the
generator's output y = G(c) is judged against the row itself:

    e = entries of c, and a share of its zeros      (partial masking)
    D minimises   loss(D(c, c), D(c, y∘e))
    G minimises   loss(D(c, y∘e)) + α Σ_z y_j²      (zero reconstruction over z, a share of the row's zeros)

Penalties on D's slope take it with respect to the judged row on its support e. WGAN-GP's points between c and
y∘e mean something here, unlike between two sparse sets: both are vectors on the same e, which D sees whole.

As in the original code, the default loss is the non-saturating one, although the paper writes log(1 - D).
There is no noise z; hidden layers are sigmoid and outputs linear. An epoch is all discriminator passes, then
all generator passes, with one draw of the zeros. Unlike it, the two draws are independent (there, both follow
a seed from the clock, and are the same). Each zero is drawn on its own with the given probability (there,
exactly that share of each row). Everything follows from one seed.
"""

from collections.abc import Iterator

import torch
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.constraints import gradient_penalty, normalise_spectrum, zero_centred_penalty
from recgan.adversarial.diagnostics import Means, win_rate
from recgan.adversarial.game import Player
from recgan.adversarial.losses import LOSSES, LossPair, feature_matching, smoothed
from recgan.adversarial.networks import ConditionalDiscriminator, Perceptron, adam
from recgan.adversarial.schedule import ramp
from recgan.adversarial.settings import NetworkParams
from recgan.adversarial.share import ALONE
from recgan.adversarial.sparse import SparseBatch, SparseRows
from recgan.recommenders.cfgan.settings import CFGANParams

BLOCK = 1024
"""Rows of a mask drawn or applied at a time."""


class CFGANGame:
    """CFGAN's two networks and what they play for, on rows of one matrix.

    Memory on the device: 6 bytes for each entry and zero of the matrix, so 110 MB for 4,400 x 4,100. They are
    two masks, and the generator's output on all rows while the discriminator has its turn. A penalty on the
    discriminator's slope takes 4 bytes more.
    """

    share, shares_rows = ALONE, False

    def __init__(self, settings: CFGANParams, rows: csr_array, device: torch.device) -> None:
        """Build the networks.

        Args:
            settings: the train section.
            rows: (rows, width), the conditions: users by items, or items by users.
            device: where the game will be played.
        """
        self.settings = settings
        self.pair = _pair(settings)
        width = rows.shape[1]
        first = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same start on every device
        self.generator = Perceptron(width, settings.generator.hidden, width, first)
        self.discriminator = ConditionalDiscriminator(width, settings.discriminator.hidden, first)
        self.rows = SparseRows(rows).to(device)
        if settings.stability.constraints.spectral_norm:
            normalise_spectrum(self.discriminator, first)
        self.rng = torch.Generator(device).manual_seed(settings.seed)
        self._dense: Tensor | None = None
        self._visible, self._zeros = (
            torch.empty(self.rows.shape, dtype=torch.bool, device=device) for _ in range(2)
        )

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the discriminator's and the generator's Adam."""
        d, g, steady = self.settings.discriminator, self.settings.generator, self.settings.stability
        return (
            adam(self.discriminator, d.learning_rate, d.l2, steady.discriminator.betas),
            adam(self.generator, g.learning_rate, g.l2, steady.generator.betas),
        )

    def begin_epoch(self, epoch: int) -> None:
        """Draw the zeros that the discriminator sees, and those that the generator must keep at zero."""
        cells = self.rows.cells()
        self._draw(self.settings.partial_masking_share, self._visible)[cells] = True
        self._draw(self.settings.zero_reconstruction_share, self._zeros)[cells] = False
        self._means = Means()
        schedule = self.settings.stability.schedule
        self._rising = ramp(epoch, schedule.warm_up, schedule.ramp)
        self._fakes: Tensor | None = None
        self._reads: Tensor | None = None

    def begin_turn(self, player: Player) -> None:
        """Have a generator that rests write its rows once, or a discriminator read the conditions once."""
        if player == "discriminator":
            self._fakes = self._write(self.rows.all())  # (rows, width)
        else:
            self._fakes = None
            with torch.no_grad():
                self._reads = self.discriminator.read(self.rows.all())  # (rows, hidden)

    def steps(self, player: Player) -> int:
        """Return how many batches a player's turn has."""
        side = self._side(player)
        return side.steps * -(-self.rows.shape[0] // side.batch_size)

    def batches(self, player: Player) -> Iterator[SparseBatch]:
        """Yield every row once in each pass of a turn, each time in another order."""
        side = self._side(player)
        for _ in range(side.steps):
            order = torch.randperm(self.rows.shape[0], generator=self.rng, device=self.rng.device)
            yield from self.rows.batches(order, side.batch_size)

    def loss(self, player: Player, batch: SparseBatch) -> Tensor:
        """Return a player's loss on some conditions."""
        if player == "discriminator":
            return self.discriminator_loss(batch)
        with torch.no_grad():
            reads = self._reads
            read = self.discriminator.read(batch) if reads is None else reads.index_select(0, batch.rows)
        adversarial, reconstruction = self.generator_losses(batch, read)
        self._means.add("zero_reconstruction", reconstruction)
        return self._rising * adversarial + self.settings.zero_reconstruction * reconstruction

    def discriminator_loss(self, batch: SparseBatch) -> Tensor:
        """Return the discriminator's loss, penalties included."""
        read = self.discriminator.read(batch)  # (batch, hidden)
        real = self.discriminator(read, batch)  # (batch,)
        fakes = self._fakes
        written = self._write(batch) if fakes is None else fakes.index_select(0, batch.rows)
        fake = self.discriminator(read, written)
        self._means.add("d_real", torch.sigmoid(real.detach()).mean())
        self._means.add("d_fake", torch.sigmoid(fake.detach()).mean())
        self._means.add("win_rate", win_rate(real.detach(), fake.detach()))
        loss = self.pair.discriminator(real, fake)
        for penalty in self._penalties(batch, read, written):
            loss = loss + penalty
        return loss

    def generator_losses(self, batch: SparseBatch, read: Tensor) -> tuple[Tensor, Tensor]:
        """Return the adversarial loss, feature matching included, and the mean row's Σ y_j² over the zeros.

        Args:
            batch: the conditions.
            read: (batch, hidden), the discriminator's reading of them.
        """
        scores = self.generator(batch)  # (batch, width)
        features = self.discriminator.features(read, scores * _of(self._visible, batch))
        fake, real = self.discriminator.logits(features), None  # (batch,)
        matching = self.settings.stability.feature_matching
        if matching or self.pair.relativistic:
            with torch.no_grad():
                real_features = self.discriminator.features(read, batch)  # (batch, hidden)
                real = self.discriminator.logits(real_features)
        adversarial = self.pair.generator(fake, real)
        if matching:
            adversarial = adversarial + matching * feature_matching(real_features, features)
        kept = (scores * _of(self._zeros, batch)).float()
        return adversarial, kept.square().sum() / len(batch.rows)

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean d_real, d_fake (as probabilities), win_rate and zero_reconstruction."""
        return self._means.found()

    def _write(self, batch: SparseBatch) -> Tensor:
        """Return the fake rows (batch, width) on their visible support, without gradient."""
        with torch.no_grad():
            written: Tensor = self.generator(batch)
            both = (torch.split(one, BLOCK) for one in (written, self._visible[batch.rows]))
            for rows, mask in zip(*both, strict=True):
                rows *= mask.to(rows.dtype)
            return written

    def _penalties(self, batch: SparseBatch, read: Tensor, fake: Tensor) -> Iterator[Tensor]:
        """Yield what the constraints add to the discriminator's loss."""
        chosen = self.settings.stability.constraints
        if not (chosen.gradient_penalty or chosen.r1 or chosen.r2):
            return
        if self._dense is None:
            self._dense = self.rows.dense()
        visible = _of(self._visible, batch)
        real = self._dense.index_select(0, batch.rows)

        def judge(rows: Tensor) -> Tensor:
            logits: Tensor = self.discriminator(read, rows * visible)
            return logits

        if chosen.gradient_penalty:
            yield chosen.gradient_penalty * gradient_penalty(judge, real, fake, self.rng)
        if chosen.r1:
            yield chosen.r1 * zero_centred_penalty(judge, real)
        if chosen.r2:
            yield chosen.r2 * zero_centred_penalty(judge, fake)

    def _side(self, player: Player) -> NetworkParams:
        return self.settings.discriminator if player == "discriminator" else self.settings.generator

    def _draw(self, share: float, mask: Tensor) -> Tensor:
        """Set that share of a mask (rows, width) to True, the rest to False, and return it."""
        for part in torch.split(mask, BLOCK):
            part[:] = torch.rand(part.shape, generator=self.rng, device=self.rng.device) < share
        return mask


def _of(mask: Tensor, batch: SparseBatch) -> Tensor:
    """Return the rows of a batch as 0 and 1: so they multiply five times as fast as truth values do."""
    return mask.index_select(0, batch.rows).float()


def _pair(settings: CFGANParams) -> LossPair:
    smoothing = settings.stability.label_smoothing
    if smoothing and settings.loss in ("non_saturating", "saturating", "least_squares"):
        return smoothed(settings.loss, smoothing)
    return LOSSES[settings.loss]
