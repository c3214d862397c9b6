"""A GAN of images: what trains it, and the generator that remains; its game is in game.py."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from recgan.adversarial.devices import pick_device
from recgan.adversarial.diagnostics import Lines, Row
from recgan.adversarial.schedule import Rules
from recgan.adversarial.settings import with_trainer
from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole, write_json
from recgan.images.game import ImageGame
from recgan.images.labelled import Labelled
from recgan.images.networks import networks
from recgan.images.pictures import Pixels
from recgan.images.settings import TrainImagesParams

BLOCK = 256
"""Images generated at a time."""


class ImageGAN:
    """Write images from noise, of a class where the generator is conditional."""

    def __init__(self, settings: TrainImagesParams, side: int, classes: tuple[str, ...]) -> None:
        """Take the train section; nothing is computed.

        Args:
            settings: the train section.
            side: pixels of an image in each direction.
            classes: their names.
        """
        self.settings = settings
        self.side = side
        self.classes = classes
        self.epochs = 0
        self.best_epoch = 0
        self.frechet: float | None = None
        """Distance to the training images at the look that was kept."""
        self.curves: list[Row] = []
        self.alarms: dict[str, int] = {}

    @property
    def parameters(self) -> int:
        """Number of the generator's weights."""
        return sum(parameter.numel() for parameter in self.generator.parameters())

    def fit(
        self,
        images: Labelled,
        look: Callable[[Self, int], Mapping[str, float]] | None = None,
        checkpoint: Path | None = None,
        label: str = "images",
    ) -> Self:
        """Train both players.

        Args:
            images: what is real.
            look: measures the generator as it stands after so many epochs; the weights with the smallest
                `frechet` are kept. None keeps the last.
            checkpoint: file to resume from and to save all state to; None saves nothing.
            label: what the progress is called.

        Raises:
            RecganError: a loss is not finite, the accelerator is not there, or the images do not fit.
        """
        from recgan.adversarial.play import play  # Lightning takes seconds to import; writing needs none

        settings = self.settings
        game = ImageGame(settings, images, len(self.classes), pick_device(settings.trainer.accelerator))
        self.generator = game.generator
        progress = play(
            game,
            epochs=settings.epochs,
            trainer=settings.trainer.model_dump(),
            look=None if look is None else lambda: look(self, game.epoch + 1),
            monitor=None if look is None else "frechet",
            mode="min",
            evaluate_every=settings.evaluate_every,
            patience=settings.patience,
            checkpoint=checkpoint,
            label=label,
            rules=Rules(
                critic_steps=settings.critic_steps,
                ema=settings.ema,
                clip_discriminator=settings.discriminator.clip_gradient,
                clip_generator=settings.generator.clip_gradient,
                clip_weights=settings.constraints.clip_weights,
            ),
            lines=Lines(
                floors={} if settings.min_classes is None else {"effective_classes": settings.min_classes}
            ),
        )
        self.generator = game.generator.requires_grad_(False)
        self.epochs = len(progress.curves)
        self.best_epoch = progress.best_epoch
        self.frechet = progress.best_score
        self.curves = progress.curves
        self.alarms = progress.alarms
        return self

    def write(self, labels: NDArray[np.int64], rng: torch.Generator) -> Pixels:
        """Write an image for each class, or just as many where the generator has no condition.

        Args:
            labels: (images,) positions in `classes`.
            rng: on the CPU, so that equal seeds write equal images on every device up to rounding.

        Returns:
            (images, side, side).
        """
        generator = self.generator
        device = next(generator.parameters()).device
        training = generator.training
        generator.eval()
        written = []
        with torch.no_grad():
            for block in torch.split(torch.as_tensor(labels), BLOCK):
                noise = torch.randn(len(block), self.settings.noise, generator=rng).to(device)
                condition = block.to(device) if self.settings.conditional else None
                written.append(to_bytes(generator(noise, condition)).cpu())
        generator.train(training)
        pixels: Pixels = torch.cat(written).numpy() if written else np.zeros((0, self.side**2), np.uint8)
        return pixels.reshape(-1, self.side, self.side)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and generator.json into an existing folder; no pickle."""
        tensors = {name: weight.cpu().contiguous() for name, weight in self.generator.state_dict().items()}
        # `save_file` would make the file unreadable for other users.
        (folder / _WEIGHTS).write_bytes(save(tensors))
        write_json(
            folder / _DESCRIPTION,
            {
                "settings": self.settings.model_dump(mode="json"),
                "side": self.side,
                "classes": self.classes,
                "epochs": self.epochs,
                "best_epoch": self.best_epoch,
                "frechet": self.frechet,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
            Unavailable: the folder was replaced again and again meanwhile.
        """
        return read_whole(folder, cls._load)

    @classmethod
    def _load(cls, folder: Path) -> Self:
        try:
            about = read_json(folder / _DESCRIPTION)
            settings = TrainImagesParams.model_validate(with_trainer(about["settings"]))
            gan = cls(settings, int(about["side"]), tuple(about["classes"]))
            generator, _ = networks(settings, gan.side, len(gan.classes), torch.Generator())
            generator.load_state_dict(load_file(folder / _WEIGHTS))
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise RecganError(f"no readable image generator in {folder} ({error}); run make images") from None
        gan.epochs, gan.best_epoch, gan.frechet = about["epochs"], about["best_epoch"], about["frechet"]
        gan.generator = generator.requires_grad_(False)
        return gan


def to_bytes(values: Tensor) -> Tensor:
    """Turn values in [-1, 1] into bytes."""
    return ((values.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def even_labels(n: int, classes: int) -> NDArray[np.int64]:
    """Return n classes, each as often as the others up to one, in turn."""
    return np.arange(n, dtype=np.int64) % classes


_WEIGHTS = "weights.safetensors"
_DESCRIPTION = "generator.json"
