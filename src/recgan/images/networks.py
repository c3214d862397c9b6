"""Generators and discriminators of images, dense and convolutional, each sized to its images.

Images are flat rows of pixels in [-1, 1], so that losses and constraints need not know that they are images.
A condition is a class; without one the networks are those of the articles, unconditional.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import Dropout
from recgan.core.errors import RecganError
from recgan.images.settings import TrainImagesParams

SLOPE = 0.2
"""Of LeakyReLU below zero (Radford et al. 2016)."""


class Dense(nn.Linear):
    """A dense layer by the core's faster product."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        return dense(rows, self.weight, self.bias)


class Generator(nn.Module):
    """Noise, beside it the class where there is one, through a body that ends in pixels in [-1, 1]."""

    def __init__(self, body: nn.Sequential, classes: int) -> None:
        super().__init__()
        self.body = body
        self.classes = classes

    def forward(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return images (batch, pixels).

        Args:
            noise: (batch, noise).
            labels: (batch,) classes, None where the generator has none.
        """
        if self.classes:
            assert labels is not None
            noise = torch.cat([noise, one_hot(labels, self.classes).to(noise.dtype)], dim=1)
        written: Tensor = self.body(noise).flatten(1)
        return written


class Discriminator(nn.Module):
    """Features, then one logit, to which a class adds ⟨v_class, features⟩ (Miyato & Koyama 2018)."""

    def __init__(self, body: nn.Sequential, features: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.output = nn.Linear(features, 1)
        self.projection = nn.Embedding(classes, features) if classes else None

    def forward(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        """Return logits (batch,) for images (batch, pixels)."""
        features = self.body(rows)
        logits: Tensor = self.output(features).squeeze(1)
        if self.projection is not None:
            assert labels is not None
            logits = logits + (self.projection(labels) * features).sum(dim=1)
        return logits


def networks(
    settings: TrainImagesParams, side: int, classes: int, rng: torch.Generator
) -> tuple[Generator, Discriminator]:
    """Return generator and discriminator; their first weights follow from the seed on every device.

    Args:
        settings: the train section.
        side: pixels of an image in each direction.
        classes: how many there are; used where the settings are conditional.
        rng: what the discriminator's dropout draws from.

    Raises:
        RecganError: a DCGAN, which doubles the size twice, for a side that is no multiple of 4.
    """
    conditions = classes if settings.conditional else 0
    with torch.random.fork_rng(devices=[]):  # PyTorch's layers draw from the global state
        torch.default_generator.manual_seed(settings.seed)
        if settings.network == "dense":
            return _dense_generator(settings, side, conditions), _dense_discriminator(
                settings, side, conditions, rng
            )
        if side % 4:
            raise RecganError(
                f"a dcgan needs a side that is a multiple of 4, not {side}; set network to dense"
            )
        g, d = (
            _dcgan_generator(settings, side, conditions),
            _dcgan_discriminator(settings, side, conditions, rng),
        )
        for network in (g, d):
            for weight in network.parameters():
                if weight.ndim >= 2:
                    nn.init.normal_(weight, std=0.02)  # Radford et al. 2016
        return g, d


def _dense_generator(settings: TrainImagesParams, side: int, classes: int) -> Generator:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([settings.noise + classes, *settings.generator.hidden]):
        layers += [Dense(inputs, outputs), nn.LeakyReLU(SLOPE)]
    layers += [Dense(settings.generator.hidden[-1], side * side), nn.Tanh()]
    return Generator(nn.Sequential(*layers), classes)


def _dense_discriminator(
    settings: TrainImagesParams, side: int, classes: int, rng: torch.Generator
) -> Discriminator:
    player = settings.discriminator
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([side * side, *player.hidden]):
        layers += [Dense(inputs, outputs), nn.LeakyReLU(SLOPE), Dropout(player.dropout, rng)]
    return Discriminator(nn.Sequential(*layers), player.hidden[-1], classes)


def _dcgan_generator(settings: TrainImagesParams, side: int, classes: int) -> Generator:
    """Dense to (side/4)², a convolution there, then twice the size and twice again.

    Kernels of 4 where the size doubles: one that the stride does not divide leaves a checkerboard (Odena et
    al. 2016). A layer before batch normalisation has no bias, which the normalisation would take away.
    """
    first, second, third = settings.generator.hidden
    base = side // 4
    body = nn.Sequential(
        Dense(settings.noise + classes, base * base * first, bias=False),
        nn.Unflatten(1, (first, base, base)),
        nn.BatchNorm2d(first),
        nn.LeakyReLU(SLOPE),
        nn.ConvTranspose2d(first, second, 3, 1, 1, bias=False),
        nn.BatchNorm2d(second),
        nn.LeakyReLU(SLOPE),
        nn.ConvTranspose2d(second, third, 4, 2, 1, bias=False),
        nn.BatchNorm2d(third),
        nn.LeakyReLU(SLOPE),
        nn.ConvTranspose2d(third, 1, 4, 2, 1),
        nn.Tanh(),
    )
    # The layout that oneDNN's transposed convolutions are twice as fast in on a CPU.
    return Generator(body.to(memory_format=torch.channels_last), classes)  # type: ignore[call-overload]


def _dcgan_discriminator(
    settings: TrainImagesParams, side: int, classes: int, rng: torch.Generator
) -> Discriminator:
    player = settings.discriminator
    first, second = player.hidden
    body = nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, first, 4, 2, 1),
        nn.LeakyReLU(SLOPE),
        Dropout(player.dropout, rng),
        nn.Conv2d(first, second, 4, 2, 1),
        nn.LeakyReLU(SLOPE),
        Dropout(player.dropout, rng),
        nn.Flatten(),
    )
    return Discriminator(body, second * (side // 4) ** 2, classes)
