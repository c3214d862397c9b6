"""The evaluate stage of images: a generator measured against test images that nothing has seen."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recgan.adversarial.diagnostics import effective_number
from recgan.core.files import replacing, write_json, write_text
from recgan.images.classifier import CLASSIFIER, Classifier
from recgan.images.gan import ImageGAN, even_labels
from recgan.images.labelled import Images, read_images
from recgan.images.measures import (
    class_coverage,
    class_gaussians,
    frechet_distance,
    gaussian,
    nearest,
    precision_recall,
)
from recgan.images.pictures import Pixels, grid, png
from recgan.images.settings import EvaluateImagesParams, load_images_params
from recgan.images.train import GENERATOR

log = logging.getLogger(__name__)

REPORT = Path("images/reports/evaluation.md")
COPIES = Path("images/reports/nearest.png")


@dataclass(frozen=True)
class Measures:
    """What was measured of one set of images."""

    frechet: float
    """Distance to the test images; smaller is better."""
    class_accuracy: float | None
    """Share in which the classifier sees the class that was asked for; None without condition."""
    coverage: float
    """Share of classes with at least a tenth of an even share."""
    effective_classes: float
    """exp(entropy) of the classes seen: 10 of 10 is even, 1 is a collapse."""
    precision: float
    recall: float
    copies: float
    """Share nearer to a training image than all but a few test images are."""


def evaluate(*, root: Path = Path()) -> None:
    """Measure the generator; write images/metrics/evaluation.json and the report with its pictures.

    Raises:
        RecganError: images, classifier or generator are missing.
    """
    settings = load_images_params(root).evaluate
    images, classifier = read_images(root), Classifier.load(root / CLASSIFIER)
    gan = ImageGAN.load(root / GENERATOR)
    labels = even_labels(settings.samples, len(images.classes))
    written = gan.write(labels, torch.Generator().manual_seed(settings.seed))
    asked = labels if gan.settings.conditional else None
    rows = {"generator": measure(written, asked, images, classifier, settings)}
    rng = np.random.default_rng(settings.seed)
    plain = class_gaussians(images.train.pixels, images.train.labels, labels, rng)
    rows["class Gaussians"] = measure(plain, labels, images, classifier, settings)
    some = rng.permutation(len(images.train.labels))[: settings.samples]
    known = images.train.take(some)
    rows["training images"] = measure(known.pixels, known.labels, images, classifier, settings)

    scale = max(1, 56 // images.side)
    places, distances = nearest(written, images.train.pixels)
    closest = np.argsort(distances, kind="stable")[:20]
    pairs = np.concatenate([written[closest], images.train.pixels[places[closest]]])
    write_json(
        root / "images/metrics/evaluation.json",
        {
            **{name: value for name, value in asdict(rows["generator"]).items() if value is not None},
            "frechet_of_class_gaussians": rows["class Gaussians"].frechet,
            "frechet_of_training_images": rows["training images"].frechet,
        },
    )
    with replacing(root / COPIES) as new:
        new.write_bytes(png(grid(pairs, 20, scale)))
    write_text(root / REPORT, report(rows, images, gan, settings))
    found = rows["generator"]
    log.info(
        "Fréchet distance %.2f (class Gaussians %.2f, training images %.2f), coverage %.0f %%, "
        "precision %.2f, recall %.2f, copies %.1f %%",
        found.frechet,
        rows["class Gaussians"].frechet,
        rows["training images"].frechet,
        100 * found.coverage,
        found.precision,
        found.recall,
        100 * found.copies,
    )


def measure(
    written: Pixels,
    asked: NDArray[np.int64] | None,
    images: Images,
    classifier: Classifier,
    settings: EvaluateImagesParams,
) -> Measures:
    """Measure a set of images against the test images.

    Args:
        written: (images, side, side).
        asked: (images,) the class asked for; None where none was.
        images: the source: test images to compare with, training images to find copies of.
        classifier: describes them.
        settings: the evaluate section.
    """
    n_classes = len(images.classes)
    seen, real = classifier.see(written), classifier.see(images.test.pixels)
    n = min(len(written), len(images.test.labels))
    rng = np.random.default_rng(settings.seed)
    some_real, some_fake = (rng.permutation(len(rows))[:n] for rows in (real.features, seen.features))
    precision, recall = precision_recall(
        real.features[some_real], seen.features[some_fake], settings.neighbours
    )
    _, of_test = nearest(images.test.pixels[: settings.samples], images.train.pixels)
    _, distances = nearest(written, images.train.pixels)
    return Measures(
        frechet=frechet_distance(gaussian(seen.features), gaussian(real.features)),
        class_accuracy=None if asked is None else float((seen.classes == asked).mean()),
        coverage=class_coverage(seen.classes, n_classes),
        effective_classes=effective_number(np.bincount(seen.classes, minlength=n_classes)),
        precision=precision,
        recall=recall,
        copies=float((distances < np.quantile(of_test, settings.copy_quantile)).mean()),
    )


def report(rows: dict[str, Measures], images: Images, gan: ImageGAN, settings: EvaluateImagesParams) -> str:
    """Return the table of measures as Markdown, with what its lines are to be read against."""
    lines = [
        f"# Generated images: {images.source}",
        "",
        f"{settings.samples:,} images of each row against {len(images.test.labels):,} test images, in the "
        f"features of a classifier of the {len(images.train.labels):,} training images. The generator is a "
        f"{gan.settings.network} ({gan.settings.loss}), kept from epoch {gan.best_epoch} of {gan.epochs}.",
        "",
        "| | Fréchet | class accuracy | coverage | effective classes | precision | recall | copies |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(table_row(name, found) for name, found in rows.items()),
        "",
        "Class Gaussians are a Gaussian fitted to each class's pixels: what needs no network. Training "
        "images show how near real images come, and that all of them are found to be copies. A copy is "
        f"nearer to a training image than all but {settings.copy_quantile:.0%} of the test images are: as "
        "many copies as images never seen would show.",
        "",
        f"nearest.png: the 20 generated images nearest to a training image, above that image. {SAMPLES_NOTE}",
        "",
    ]
    return "\n".join(lines)


SAMPLES_NOTE = "samples/: a grid for each look, a column for each class, always from the same noise."


def table_row(name: str, found: Measures) -> str:
    """Return one line of the table."""
    accuracy = "–" if found.class_accuracy is None else f"{found.class_accuracy:.1%}"
    return (
        f"| {name} | {found.frechet:.2f} | {accuracy} | {found.coverage:.0%} | {found.effective_classes:.1f} "
        f"| {found.precision:.2f} | {found.recall:.2f} | {found.copies:.1%} |"
    )
