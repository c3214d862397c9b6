"""The retail GAN: a generator of product vectors, whose nearest products are recommended.

With v the vector of a product (`item_vectors`: collaborative factors beside content) and c the confidences of
a history, up to a random moment of it,

    taste           h = Σ cᵢ vᵢ / Σ cᵢ, and log(1 + number of products)
    fake            v̂ = G(h, z), z ~ N(0, I)
    real            v of a product that came after that moment
    critic          D(v | h) = a f(v) + ⟨f(v), g(h)⟩ / √dim                           (Miyato & Koyama 2018)
    critic's loss   the pair's, relativistic by default, and γ/2 ‖∇_v D‖² at real (R1) and fake (R2) vectors
    generator's     α adversarial + β feature matching + μ mode seeking + ρ ‖G(h, 0) - mean of what came‖²

Condition and target never share a product. In a log with times, all of the target came after all of the
condition. (Products of one moment, such as a basket, go to either side by chance.) Without times the order is
random.

The vector without noise learns what to expect on average, which no single product is like. Those with noise
learn to be like single products that come, and mode seeking keeps the noise from being ignored. For some
histories, and for some of the judged vectors, real and fake alike, the collaborative factors are 0. So
content learns to predict alone: a product never sold has nothing else.

Served is the neighbourhood, by inner product, of several draws of z, merged by rank. The draws are the same
for every history, so that an answer depends on the history alone.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.constraints import gradient_penalty, normalise_spectrum, zero_centred_penalty
from recgan.adversarial.diagnostics import Means, win_rate
from recgan.adversarial.game import Player
from recgan.adversarial.losses import LOSSES, feature_matching, mode_seeking, smoothed
from recgan.adversarial.networks import ProjectionDiscriminator, VectorGenerator, adam
from recgan.adversarial.schedule import ramp
from recgan.adversarial.settings import NetworkParams
from recgan.adversarial.share import ALONE
from recgan.recommenders.feature_gan.histories import Cut, Histories
from recgan.recommenders.feature_gan.item_vectors import Vectors
from recgan.recommenders.feature_gan.settings import FeatureGANParams


class FeatureGANGame:
    """Generator and critic of product vectors, and what they play for."""

    share, shares_rows = ALONE, False

    def __init__(
        self,
        settings: FeatureGANParams,
        user_items: csr_array,
        vectors: Vectors,
        factors: int,
        times: NDArray[np.float32] | None,
        device: torch.device,
    ) -> None:
        """Build the networks.

        Args:
            settings: the train section.
            user_items: (users, items), confidences.
            vectors: (items, width), the collaborative factors first.
            factors: how many of them.
            times: (entries of user_items,) or None.
            device: where the game will be played.
        """
        self.settings = settings
        smoothing = settings.stability.label_smoothing
        if smoothing and settings.loss in ("non_saturating", "saturating", "least_squares"):
            self.pair = smoothed(settings.loss, smoothing)
        else:
            self.pair = LOSSES[settings.loss]
        self.histories = Histories(user_items, vectors, times, device)
        self.factors = factors
        first = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same start on every device
        width = vectors.shape[1]
        self.generator = make_generator(settings, width, factors, first)
        self.discriminator = ProjectionDiscriminator(width + 1, width, settings.discriminator.hidden, first)
        if settings.stability.constraints.spectral_norm:
            normalise_spectrum(self.discriminator, first)
        self.rng = torch.Generator(device).manual_seed(settings.seed)

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the critic's and the generator's Adam."""
        d, g, steady = self.settings.discriminator, self.settings.generator, self.settings.stability
        return (
            adam(self.discriminator, d.learning_rate, d.l2, steady.discriminator.betas),
            adam(self.generator, g.learning_rate, g.l2, steady.generator.betas),
        )

    def begin_epoch(self, epoch: int) -> None:
        """Forget what the epoch before measured, and let the adversarial terms rise."""
        self._means = Means()
        schedule = self.settings.stability.schedule
        self._rising = ramp(epoch, schedule.warm_up, schedule.ramp)

    def begin_turn(self, player: Player) -> None:
        """Compute nothing: every batch has conditions of its own."""

    def steps(self, player: Player) -> int:
        """Return how many batches a player's turn has."""
        side = self._side(player)
        return side.steps * -(-len(self.histories.users) // side.batch_size)

    def batches(self, player: Player) -> Iterator[Cut]:
        """Yield every history, cut, once in each pass of a turn."""
        users, side = self.histories.users, self._side(player)
        for _ in range(side.steps):
            order = torch.randperm(len(users), generator=self.rng, device=self.rng.device)
            for start in range(0, len(users), side.batch_size):
                yield self.histories.cut(users[order[start : start + side.batch_size]], self.rng)

    def loss(self, player: Player, batch: Cut) -> Tensor:
        """Return a player's loss on some cut histories."""
        if player == "discriminator":
            return self.critic_loss(batch)
        settings, condition = self.settings, self._blinded(batch.condition)
        adversarial, matching, seeking = self.adversarial_losses(condition, batch.real)
        regression = self.regression_loss(condition, batch.came)
        self._means.add("adversarial", adversarial)
        self._means.add("regression", regression)
        heard = settings.adversarial * adversarial + settings.stability.feature_matching * matching
        heard = heard + settings.mode_seeking * seeking
        return self._rising * heard + settings.regression * regression

    def critic_loss(self, cut: Cut) -> Tensor:
        """Return the critic's loss, penalties included."""
        chosen = self.settings.stability.constraints
        condition, mask = self._blinded(cut.condition), self._mask(len(cut.real))
        with torch.no_grad():
            written = self.generator(condition, self._noise(len(condition))) * mask
        real = cut.real * mask
        read = self.discriminator.read(condition)

        def judge(vectors: Tensor) -> Tensor:
            logits: Tensor = self.discriminator(read, vectors * mask)
            return logits

        d_real, d_fake = judge(real), judge(written)
        self._means.add("d_real", d_real.detach().mean())
        self._means.add("d_fake", d_fake.detach().mean())
        self._means.add("win_rate", win_rate(d_real.detach(), d_fake.detach()))
        loss = self.pair.discriminator(d_real, d_fake)
        if chosen.gradient_penalty:
            loss = loss + chosen.gradient_penalty * gradient_penalty(judge, real, written, self.rng)
        if chosen.r1:
            loss = loss + chosen.r1 * zero_centred_penalty(judge, real)
        if chosen.r2:
            loss = loss + chosen.r2 * zero_centred_penalty(judge, written)
        return loss

    def adversarial_losses(self, condition: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the adversarial loss, feature matching and mode seeking of vectors drawn with noise.

        Args:
            condition: (batch, width + 1).
            real: (batch, width), vectors of products that came.
        """
        mask, noise = self._mask(len(real)), self._noise(len(real))
        written = self.generator(condition, noise)
        with torch.no_grad():
            read = self.discriminator.read(condition)
            real_features = self.discriminator.features(real * mask)
            d_real = self.discriminator.logits(real_features, read)
        features = self.discriminator.features(written * mask)
        d_fake = self.discriminator.logits(features, read)
        adversarial = self.pair.generator(d_fake, d_real if self.pair.relativistic else None)
        matching = feature_matching(real_features, features)
        other = self._noise(len(real))
        seeking = mode_seeking(written, self.generator(condition, other), noise, other)
        return adversarial, matching, seeking

    def regression_loss(self, condition: Tensor, came: Tensor) -> Tensor:
        """Return the mean squared difference between the vectors without noise and what came."""
        silence = condition.new_zeros(len(condition), self.settings.noise)
        written: Tensor = self.generator(condition, silence)
        return (written.float() - came).square().mean()

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean D(real), D(fake), win_rate, adversarial loss and regression."""
        return self._means.found()

    def _side(self, player: Player) -> NetworkParams:
        return self.settings.discriminator if player == "discriminator" else self.settings.generator

    def _noise(self, rows: int) -> Tensor:
        return torch.randn(rows, self.settings.noise, generator=self.rng, device=self.rng.device)

    def _mask(self, rows: int) -> Tensor:
        """Return (rows, width): 0 for the collaborative factors of some rows, else 1."""
        mask = torch.ones(rows, self.histories.vectors.shape[1], device=self.rng.device)
        uniform = torch.rand(rows, generator=self.rng, device=self.rng.device)
        mask[uniform < self.settings.factor_dropout, : self.factors] = 0
        return mask

    def _blinded(self, condition: Tensor) -> Tensor:
        """Take the collaborative factors from some of the histories."""
        mask = self._mask(len(condition))
        return torch.cat([condition[:, :-1] * mask, condition[:, -1:]], dim=1)


def standing(queries: Vectors, vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Return mean and standard deviation (queries,) of each query's inner products with all vectors."""
    centre = vectors.mean(axis=0)
    centred = vectors - centre
    covariance = centred.T @ centred / len(vectors)
    squares = ((queries @ covariance) * queries).sum(axis=1)
    return queries @ centre, np.sqrt(np.maximum(squares, 0))


def make_generator(
    settings: FeatureGANParams, width: int, factors: int, rng: torch.Generator
) -> VectorGenerator:
    """Return an untrained generator of vectors of a width."""
    return VectorGenerator(width + 1, settings.noise, settings.generator.hidden, width, factors, rng)
