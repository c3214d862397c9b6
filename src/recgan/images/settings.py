"""Every number of images/params.yaml, typed and frozen like those of params.yaml.

A file of its own: the examples are params files of one log each, and images belong to none of them.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from recgan.adversarial.settings import (
    AdamParams,
    ConstraintParams,
    TrainerParams,
    TrainSection,
    one_device,
)
from recgan.core.sections import Count, Positive, Section, Seed, Share, load_section

PARAMS = Path("images/params.yaml")

SourceName = Literal["digits", "mnist", "fashion-mnist"]


class IngestImagesParams(Section):
    """Where the images come from."""

    source: SourceName
    """digits is embedded (scikit-learn's, 8x8); the others are 28x28."""
    path: Path | None
    """Folder of the four idx files, gzip or not; null downloads them. Digits need none."""
    limit: Annotated[int, Field(ge=100)] | None
    """The most training images to keep, an even sample of the classes; null keeps all."""
    test_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of each class held out for the test where the source has no test images of its own (digits)."""
    seed: Seed
    """Of what is kept by `limit` and held out by `test_share`."""


class ClassifyParams(Section):
    """The small classifier in whose features everything generated is measured."""

    seed: Seed
    """Of the first weights and of everything that training draws."""
    channels: tuple[Count, Count]
    """Of its two convolutions."""
    features: Count
    """Width of the layer before the last: the space of the Fréchet distance, precision and recall."""
    learning_rate: Positive
    """Step of the optimiser."""
    batch_size: Count
    """Images in a batch."""
    epochs: Count
    """Passes over the training images."""


class PlayerParams(AdamParams):
    """One side of the game: network and Adam."""

    hidden: tuple[Count, ...]
    """Dense: width of each hidden layer. DCGAN: channels (generator 3, discriminator 2 of them)."""
    learning_rate: Positive
    """Step of the optimiser."""


class DiscriminatorParams(PlayerParams):
    """The discriminator."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of its activations that a training step does not see."""


class TrainImagesParams(TrainSection):
    """The adversarial training."""

    network: Literal["dense", "dcgan"]
    """dense: layers of all pixels; dcgan: convolutions (Radford et al. 2016)."""
    conditional: bool
    """True conditions both players on the class."""
    seed: Seed
    """Of the first weights and of everything that training draws."""
    trainer: TrainerParams
    loss: Literal["non_saturating", "saturating", "least_squares", "wasserstein", "hinge", "relativistic"]
    """The adversarial loss."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    """How far below 1 the discriminator's target for real images is."""
    noise: Count
    """Width of the noise that the generator reads."""
    generator: PlayerParams
    discriminator: DiscriminatorParams
    constraints: ConstraintParams
    critic_steps: Count
    """Discriminator steps for each generator step."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay per step of the average of the generator's weights, which is then what is looked at and kept."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images in a batch."""
    epochs: Count
    """One epoch is a generator step for each batch of the training images."""
    evaluate_every: Count
    """Epochs between two looks: Fréchet distance to the training images, and a grid of samples."""
    patience: Count | None
    """Looks without a smaller distance before training stops; null never stops early."""
    samples: Annotated[int, Field(ge=100)]
    """Images generated at each look."""
    min_classes: Positive | None
    """Line of the alarm on the effective number of generated classes; null draws none."""

    @model_validator(mode="after")
    def _fits(self) -> "TrainImagesParams":
        faults = []
        if self.label_smoothing and self.loss in ("wasserstein", "hinge", "relativistic"):
            faults.append(
                f"label_smoothing is {self.label_smoothing:g}, but loss {self.loss} has no target for real "
                "images to smooth; set it to 0, or loss to non_saturating, saturating or least_squares"
            )
        layers = (len(self.generator.hidden), len(self.discriminator.hidden))
        if self.network == "dcgan" and layers != (3, 2):
            faults.append(
                f"a dcgan has 3 channel counts in generator.hidden and 2 in discriminator.hidden, not "
                f"{layers}; write [256, 128, 64] and [64, 128], or set network to dense"
            )
        one_device("an image generator", self.trainer)
        if not all(layers):
            faults.append("hidden names no layer; give each player at least one")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class EvaluateImagesParams(Section):
    """What is measured of the trained generator, against images that neither it nor its choice has seen."""

    samples: Annotated[int, Field(ge=100)]
    """Images to generate, and at most as many real ones to compare with."""
    neighbours: Count
    """k of the manifolds of precision and recall (Kynkäänniemi et al. 2019: 3)."""
    copy_quantile: Annotated[float, Field(gt=0, lt=1)]
    """An image nearer to a training image than all but this share of the test images is called a copy."""
    seed: Seed
    """Of the noise, and of which real images are taken."""


class TasteParams(Section):
    """How a shopper's recommended categories become classes of images."""

    source: SourceName
    """The source whose classes the table names; with another one there are no pictures of a taste."""
    classes: dict[str, str]
    """Product category → class. A category that is not named has no counterpart and is left out."""
    shoppers: Count
    """Shoppers on the page."""
    k: Count
    """Recommendations of each."""
    seed: Seed
    """Of which shoppers are taken, and of the images' noise."""


class ImagesGateParams(Section):
    """What a new generator must show before it becomes the champion."""

    draws: Annotated[int, Field(ge=3, le=8)]
    """Independent sets of images, on each of which the Fréchet distance of both is measured. Equal sets of
    one generator count once."""
    samples: Annotated[int, Field(ge=100, le=1000)]
    """Images in each."""
    alpha: Annotated[float, Field(gt=0, lt=1)]
    """Level of the exact permutation test over the draws."""
    min_coverage: Share
    """Floor of the share of classes that the generator writes."""
    max_copies: Share
    """Ceiling of the share of generated images that are copies of training images."""

    @model_validator(mode="after")
    def _a_challenger_can_pass(self) -> "ImagesGateParams":
        smallest = 1 / math.comb(2 * self.draws, self.draws)  # all of one's values below all of the other's
        if smallest >= self.alpha:
            enough = [n for n in range(self.draws, 9) if 1 / math.comb(2 * n, n) < self.alpha]
            remedy = f"raise draws to {enough[0]} or more" if enough else "raise alpha"
            raise ValueError(
                f"with draws {self.draws} the smallest p is {smallest:.2g}, never below alpha "
                f"{self.alpha:g}: no challenger could replace a champion; {remedy}"
            )
        return self


class RegisterImagesParams(Section):
    """The registered model and its gate; read by flow tasks, by no DVC stage."""

    name: str
    """Name in the MLflow registry, and of the experiment."""
    gate: ImagesGateParams


class ImagesParams(Section):
    """All of images/params.yaml."""

    ingest: IngestImagesParams
    classify: ClassifyParams
    train: TrainImagesParams
    evaluate: EvaluateImagesParams
    taste: TasteParams
    register_: RegisterImagesParams = Field(alias="register")


def load_images_params(root: Path = Path()) -> ImagesParams:
    """Read and check images/params.yaml, naming every fault at once.

    Raises:
        RecganError: the file is missing, is no YAML, or has unknown, missing or impossible values.
    """
    return load_section(root / PARAMS, ImagesParams)
