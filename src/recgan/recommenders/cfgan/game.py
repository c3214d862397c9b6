"""CFGAN (Chae et al., CIKM 2018): a GAN that writes whole interaction vectors.

The condition c is a row of the matrix (a user's items, or in the item view an item's users), and the
generator's output y = G(c) is judged against the row itself:

    e = entries of c, and a share of its zeros      (partial masking)
    D minimises   loss(D(c, c), D(c, y∘e))
    G minimises   loss(D(c, y∘e)) + α Σ_z y_j²      (zero reconstruction over z, a share of the row's zeros)

Penalties on D's slope take it with respect to the judged row on its support e. WGAN-GP's points between c and
y∘e mean something here, unlike between two sparse sets: both are vectors on the same e, which D sees whole.

As in the original code the default loss is the non-saturating one, although the paper writes log(1 - D),
there is no noise z, hidden layers are sigmoid and outputs linear, and an epoch is all discriminator passes,
then all generator passes, with one draw of the zeros. Unlike it, the two draws are independent (there, both
follow a seed from the clock, and are one and the same), each zero is drawn on its own with the given
probability (there, exactly that share of each row), and everything follows from one seed.
"""

from collections.abc import Iterator

import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from recgan.adversarial.constraints import gradient_penalty, normalise_spectrum, zero_centred_penalty
from recgan.adversarial.diagnostics import win_rate
from recgan.adversarial.losses import LOSSES, LossPair, feature_matching, smoothed
from recgan.adversarial.networks import (
    ConditionalDiscriminator,
    Perceptron,
    SparseBatch,
    SparseRows,
    adam,
)
from recgan.adversarial.schedule import ramp
from recgan.recommenders.cfgan.settings import CFGANParams


class CFGANGame(nn.Module):
    """CFGAN's two networks and what they play for, on rows of one matrix.

    Memory on the device: 16 bytes for each entry and zero of the matrix (what it holds, two draws, and the
    generator's output on all rows while the discriminator has its turn), so 300 MB for 4,400 x 4,100;
    4 bytes more with a penalty on the discriminator's slope.
    """

    played: Tensor
    """Epochs begun; part of a checkpoint."""

    def __init__(self, settings: CFGANParams, rows: csr_array, device: torch.device) -> None:
        """Build the networks.

        Args:
            settings: the train section.
            rows: (rows, width), the conditions: users by items, or items by users.
            device: where the game will be played.
        """
        super().__init__()
        self.settings = settings
        self.loss = _loss(settings)
        width = rows.shape[1]
        first = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same start on every device
        self.generator = Perceptron(width, settings.generator.hidden, width, first)
        self.discriminator = ConditionalDiscriminator(width, settings.discriminator.hidden, first)
        self.rows = SparseRows(rows)
        if settings.stability.constraints.spectral_norm:
            normalise_spectrum(self.discriminator, first)
        self.rng = torch.Generator(device).manual_seed(settings.seed)
        self.register_buffer("played", torch.zeros((), dtype=torch.long))
        self._interleaved = settings.stability.schedule.critic_steps is not None
        self._share = 1.0
        self._dense: Tensor | None = None
        self._held: Tensor | None = None
        self._sums: dict[str, Tensor] = {}

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the discriminator's and the generator's Adam."""
        d, g, steady = self.settings.discriminator, self.settings.generator, self.settings.stability
        return (
            adam(self.discriminator, d.learning_rate, d.l2, steady.discriminator.betas),
            adam(self.generator, g.learning_rate, g.l2, steady.generator.betas),
        )

    def begin_epoch(self) -> None:
        """Draw the zeros that the discriminator sees, and those that the generator must keep at zero."""
        if self._held is None:
            self._held = self.rows.held()
        self._visible = self._draw(self.settings.partial_masking_share).maximum(self._held)
        self._zeros = self._draw(self.settings.zero_reconstruction_share) * (1 - self._held)
        self._sums = {}
        schedule = self.settings.stability.schedule
        self._share = ramp(int(self.played), schedule.warm_up, schedule.ramp)
        self.played += 1

    def discriminator_turn(self) -> Iterator[Tensor]:
        """Yield the discriminator's losses; a generator that rests writes its rows once."""
        fakes = None if self._interleaved else self._write(self.rows.all())  # (rows, width)
        side = self.settings.discriminator
        for batch in self._passes(side.steps, side.batch_size):
            read = self.discriminator.read(batch)  # (batch, hidden)
            real = self.discriminator(read, batch)  # (batch,)
            written = self._write(batch) if fakes is None else fakes.index_select(0, batch.rows)
            fake = self.discriminator(read, written)
            self._measure("d_real", torch.sigmoid(real.detach()).mean())
            self._measure("d_fake", torch.sigmoid(fake.detach()).mean())
            self._measure("win_rate", win_rate(real.detach(), fake.detach()))
            loss = self.loss.discriminator(real, fake)
            for penalty in self._penalties(batch, read, written):
                loss = loss + penalty
            yield loss

    def generator_turn(self) -> Iterator[Tensor]:
        """Yield the generator's losses; a discriminator that rests reads the conditions once."""
        with torch.no_grad():
            reads = None if self._interleaved else self.discriminator.read(self.rows.all())  # (rows, hidden)
        side = self.settings.generator
        for batch in self._passes(side.steps, side.batch_size):
            with torch.no_grad():
                read = self.discriminator.read(batch) if reads is None else reads.index_select(0, batch.rows)
            adversarial, reconstruction = self.generator_losses(batch, read)
            self._measure("zero_reconstruction", reconstruction.detach())
            yield self._share * adversarial + self.settings.zero_reconstruction * reconstruction

    def generator_steps(self) -> int:
        """Return how many losses the generator's turn yields."""
        side = self.settings.generator
        return side.steps * -(-self.rows.shape[0] // side.batch_size)

    def generator_losses(self, batch: SparseBatch, read: Tensor) -> tuple[Tensor, Tensor]:
        """Return the adversarial loss, feature matching included, and the mean row's Σ y_j² over the zeros.

        Args:
            batch: the conditions.
            read: (batch, hidden), the discriminator's reading of them.
        """
        scores = self.generator(batch)  # (batch, width)
        features = self.discriminator.features(read, scores * self._visible.index_select(0, batch.rows))
        fake, real = self.discriminator.logits(features), None  # (batch,)
        matching = self.settings.stability.feature_matching
        if matching or self.loss.relativistic:
            with torch.no_grad():
                real_features = self.discriminator.features(read, batch)  # (batch, hidden)
                real = self.discriminator.logits(real_features)
        adversarial = self.loss.generator(fake, real)
        if matching:
            adversarial = adversarial + matching * feature_matching(real_features, features)
        kept = (scores * self._zeros.index_select(0, batch.rows)).float()
        return adversarial, kept.square().sum() / len(batch.rows)

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean d_real, d_fake (as probabilities), win_rate and zero_reconstruction."""
        settings = self.settings
        n_rows = self.rows.shape[0]
        d_steps = settings.discriminator.steps * -(-n_rows // settings.discriminator.batch_size)
        g_steps = self.generator_steps()
        if settings.stability.schedule.critic_steps is not None:
            d_steps = settings.stability.schedule.critic_steps * g_steps
        steps = {"d_real": d_steps, "d_fake": d_steps, "win_rate": d_steps, "zero_reconstruction": g_steps}
        return {name: total / steps[name] for name, total in self._sums.items()}

    def _write(self, batch: SparseBatch) -> Tensor:
        """Return the fake rows (batch, width) on their visible support, without gradient."""
        with torch.no_grad():
            written: Tensor = self.generator(batch) * self._visible.index_select(0, batch.rows)
            return written

    def _penalties(self, batch: SparseBatch, read: Tensor, fake: Tensor) -> Iterator[Tensor]:
        """Yield what the constraints add to the discriminator's loss."""
        chosen = self.settings.stability.constraints
        if not (chosen.gradient_penalty or chosen.r1 or chosen.r2):
            return
        if self._dense is None:
            self._dense = self.rows.dense()
        visible = self._visible.index_select(0, batch.rows)
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

    def _passes(self, passes: int, size: int) -> Iterator[SparseBatch]:
        for _ in range(passes):
            order = torch.randperm(self.rows.shape[0], generator=self.rng, device=self.rng.device)
            yield from self.rows.batches(order, size)

    def _draw(self, share: float) -> Tensor:
        uniform = torch.rand(self.rows.shape, generator=self.rng, device=self.rng.device)
        return (uniform < share).float()  # (rows, width); a float mask multiplies five times as fast

    def _measure(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums[name] + value if name in self._sums else value


def _loss(settings: CFGANParams) -> LossPair:
    smoothing = settings.stability.label_smoothing
    if smoothing and settings.loss in ("non_saturating", "saturating", "least_squares"):
        return smoothed(settings.loss, smoothing)
    return LOSSES[settings.loss]
