"""The game of a GAN of images: real ones against what the generator writes from noise, class by class."""

from collections.abc import Iterator

import torch
from torch import Tensor

from recgan.adversarial.constraints import gradient_penalty, normalise_spectrum, zero_centred_penalty
from recgan.adversarial.diagnostics import Means, win_rate
from recgan.adversarial.game import Player
from recgan.adversarial.losses import LOSSES, LossPair, smoothed
from recgan.adversarial.networks import adam
from recgan.adversarial.share import ALONE
from recgan.core.errors import RecganError
from recgan.images.labelled import Labelled
from recgan.images.networks import networks
from recgan.images.settings import TrainImagesParams

LabelledBatch = tuple[Tensor, Tensor | None]
"""(batch, pixels) images and (batch,) their classes."""


class ImageGame:
    """Two players over images: real ones against what the generator writes from noise, class by class."""

    share, shares_rows = ALONE, False

    def __init__(
        self, settings: TrainImagesParams, images: Labelled, classes: int, device: torch.device
    ) -> None:
        """Build the networks.

        Args:
            settings: the train section.
            images: what is real.
            classes: how many classes there are.
            device: where the game will be played.

        Raises:
            RecganError: fewer images than one batch, or a side that the network cannot write.
        """
        n_images, side, _ = images.pixels.shape
        if n_images < settings.batch_size:
            raise RecganError(
                f"{n_images} training images are fewer than train.batch_size {settings.batch_size}; lower it"
            )
        self.settings = settings
        self.pair = _pair(settings)
        self.rng = torch.Generator(device).manual_seed(settings.seed)
        self.generator, self.discriminator = networks(settings, side, classes, self.rng)
        if settings.constraints.spectral_norm:
            normalise_spectrum(self.discriminator, torch.Generator().manual_seed(settings.seed))
        rows = torch.as_tensor(images.pixels.reshape(n_images, -1))
        self.pixels = rows.to(device)  # (images, pixels) bytes
        self.labels = torch.as_tensor(images.labels, device=device)

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the discriminator's and the generator's Adam."""
        d, g = self.settings.discriminator, self.settings.generator
        return (
            adam(self.discriminator, d.learning_rate, 0, d.betas),
            adam(self.generator, g.learning_rate, 0, g.betas),
        )

    def begin_epoch(self, epoch: int) -> None:
        """Forget what the epoch before measured."""
        self.epoch = epoch
        self._means = Means()

    def begin_turn(self, player: Player) -> None:
        """Compute nothing: every step draws noise of its own."""

    def steps(self, player: Player) -> int:
        """Return how many batches a player's turn has: those of one pass over the images."""
        return len(self.pixels) // self.settings.batch_size

    def batches(self, player: Player) -> Iterator[LabelledBatch]:
        """Yield whole batches of images and, with condition, their classes; what is left over is left out."""
        size = self.settings.batch_size
        order = torch.randperm(len(self.pixels), generator=self.rng, device=self.rng.device)
        for rows in torch.split(order[: len(order) // size * size], size):
            labels = self.labels[rows] if self.settings.conditional else None
            yield to_unit(self.pixels[rows]), labels

    def loss(self, player: Player, batch: LabelledBatch) -> Tensor:
        """Return a player's loss on some images."""
        real, labels = batch
        if player == "generator":
            return self.generator_loss(real, labels)
        with torch.no_grad():
            fake = self.generator(self._noise(len(real)), labels)  # (batch, pixels)
        on_real, on_fake = self.discriminator(real, labels), self.discriminator(fake, labels)
        self._means.add("d_real", torch.sigmoid(on_real.detach().float()).mean())
        self._means.add("d_fake", torch.sigmoid(on_fake.detach().float()).mean())
        self._means.add("win_rate", win_rate(on_real.detach(), on_fake.detach()))
        loss = self.pair.discriminator(on_real, on_fake)
        for penalty in self._penalties(real, fake, labels):
            loss = loss + penalty
        return loss

    def generator_loss(self, real: Tensor, labels: Tensor | None) -> Tensor:
        """Return the adversarial loss of fresh images.

        Args:
            real: (batch, pixels), what a relativistic loss compares with.
            labels: (batch,) the classes to write; None without condition.
        """
        fake = self.discriminator(self.generator(self._noise(len(real)), labels), labels)
        if not self.pair.relativistic:
            return self.pair.generator(fake)
        with torch.no_grad():
            on_real = self.discriminator(real, labels)
        return self.pair.generator(fake, on_real)

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean d_real, d_fake (as probabilities) and win_rate."""
        return self._means.found()

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.settings.noise, generator=self.rng, device=self.rng.device)

    def _penalties(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        chosen = self.settings.constraints

        def judge(rows: Tensor) -> Tensor:
            logits: Tensor = self.discriminator(rows, labels)
            return logits

        if chosen.gradient_penalty:
            yield chosen.gradient_penalty * gradient_penalty(judge, real, fake, self.rng)
        if chosen.r1:
            yield chosen.r1 * zero_centred_penalty(judge, real)
        if chosen.r2:
            yield chosen.r2 * zero_centred_penalty(judge, fake)


def to_unit(pixels: Tensor) -> Tensor:
    """Turn bytes into float32 in [-1, 1], where tanh writes."""
    return pixels.float() / 127.5 - 1


def _pair(settings: TrainImagesParams) -> LossPair:
    if settings.label_smoothing and settings.loss in ("non_saturating", "saturating", "least_squares"):
        return smoothed(settings.loss, settings.label_smoothing)
    return LOSSES[settings.loss]
