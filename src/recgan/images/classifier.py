"""The small classifier of real images: its features and its opinion measure every generator. A stage."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole, replacing, write_json
from recgan.images.labelled import Labelled, read_images
from recgan.images.pictures import Pixels
from recgan.images.settings import ClassifyParams, load_images_params

log = logging.getLogger(__name__)

CLASSIFIER = Path("images/models/classifier")
_BLOCK = 512


@dataclass(frozen=True)
class Seen:
    """What the classifier makes of images."""

    features: NDArray[np.float64]
    """(images, features)."""
    classes: NDArray[np.int64]
    """(images,) the likeliest class of each."""
    certainty: NDArray[np.float64]
    """(images,) the probability that it gives to that class."""


class Network(nn.Module):
    """Two convolutions with pooling, a layer of features, one logit for each class."""

    def __init__(self, settings: ClassifyParams, side: int, classes: int) -> None:
        super().__init__()
        first, second = settings.channels
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * (side // 4) ** 2, settings.features),
            nn.ReLU(),
        )
        self.output = nn.Linear(settings.features, classes)


class Classifier:
    """Tell the class of images, and describe them by features."""

    def __init__(self, settings: ClassifyParams, side: int, classes: int) -> None:
        """Build the network; its first weights follow from the seed.

        Args:
            settings: the classify section.
            side: pixels of an image in each direction, at least 4.
            classes: how many there are.
        """
        self.settings = settings
        self.side = side
        self.n_classes = classes
        with torch.random.fork_rng(devices=[]):  # PyTorch's layers draw from the global state
            torch.default_generator.manual_seed(settings.seed)
            self.network = Network(settings, side, classes)

    def fit(self, images: Labelled) -> Self:
        """Learn the classes of real images: cross-entropy, Adam with a rate that falls to 0."""
        settings = self.settings
        rng = torch.Generator().manual_seed(settings.seed)
        pixels, labels = _unit(images.pixels), torch.as_tensor(images.labels)
        optimizer = torch.optim.Adam(self.network.parameters(), settings.learning_rate, fused=True)
        steps = settings.epochs * -(-len(labels) // settings.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(settings.epochs):
            for rows in torch.split(torch.randperm(len(labels), generator=rng), settings.batch_size):
                loss = cross_entropy(self.network.output(self.network.body(pixels[rows])), labels[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        self.network.requires_grad_(False)
        return self

    def see(self, pixels: Pixels) -> Seen:
        """Return features and classes of images (images, side, side).

        Raises:
            RecganError: the images have another size.
        """
        if pixels.shape[1:] != (self.side, self.side):
            raise RecganError(
                f"the classifier sees images of {self.side} x {self.side}, not {pixels.shape[1]} x "
                f"{pixels.shape[2]}; give register.name in images/params.yaml a name for each source"
            )
        features, classes, certainty = [], [], []
        with torch.no_grad():
            for block in torch.split(torch.as_tensor(pixels), _BLOCK):
                described: Tensor = self.network.body(_unit(block.numpy()))
                features.append(described)
                likeliest = self.network.output(described).softmax(dim=1).max(dim=1)
                classes.append(likeliest.indices)
                certainty.append(likeliest.values)
        if not features:
            none = np.zeros(0)
            return Seen(np.zeros((0, self.settings.features)), none.astype(np.int64), none)
        return Seen(
            torch.cat(features).double().numpy(),
            torch.cat(classes).numpy(),
            torch.cat(certainty).double().numpy(),
        )

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and classifier.json into an existing folder; no pickle."""
        (folder / "weights.safetensors").write_bytes(save(dict(self.network.state_dict())))
        write_json(
            folder / "classifier.json",
            {
                "settings": self.settings.model_dump(mode="json"),
                "side": self.side,
                "classes": self.n_classes,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RecganError: a file is missing or damaged.
            Unavailable: the folder was replaced again and again meanwhile.
        """
        return read_whole(folder, cls._load)

    @classmethod
    def _load(cls, folder: Path) -> Self:
        try:
            about = read_json(folder / "classifier.json")
            settings = ClassifyParams.model_validate(about["settings"])
            classifier = cls(settings, int(about["side"]), int(about["classes"]))
            classifier.network.load_state_dict(load_file(folder / "weights.safetensors"))
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise RecganError(f"no readable classifier in {folder} ({error}); run make images") from None
        classifier.network.requires_grad_(False)
        return classifier


def classify(*, root: Path = Path()) -> None:
    """Train the classifier on images/data; write it and its accuracy on the test images.

    Raises:
        RecganError: there are no images.
    """
    settings = load_images_params(root).classify
    images = read_images(root)
    classifier = Classifier(settings, images.side, len(images.classes)).fit(images.train)
    accuracy = float((classifier.see(images.test.pixels).classes == images.test.labels).mean())
    with replacing(root / CLASSIFIER) as folder:
        folder.mkdir()
        classifier.save(folder)
    write_json(root / "images/metrics/classify.json", {"test_accuracy": accuracy})
    log.info("the classifier knows %.1f %% of the test images", 100 * accuracy)


def _unit(pixels: Pixels) -> Tensor:
    """Return (images, 1, side, side) float32 in [-1, 1]."""
    return torch.as_tensor(pixels).float().div(127.5).sub(1).unsqueeze(1)
