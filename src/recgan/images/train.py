"""The train stage of images: play the game, look at samples on the way, write the generator."""

import csv
import hashlib
import io
import logging
import shutil
from pathlib import Path

import numpy as np
import torch

from recgan.adversarial.diagnostics import effective_number
from recgan.core import closure
from recgan.core.files import replacing, write_json, write_text
from recgan.images.classifier import CLASSIFIER, Classifier
from recgan.images.gan import ImageGAN, even_labels
from recgan.images.labelled import DATA, Images, read_images
from recgan.images.measures import frechet_distance, gaussian
from recgan.images.pictures import grid, png
from recgan.images.settings import TrainImagesParams, load_images_params

log = logging.getLogger(__name__)

GENERATOR = Path("images/models/generator")
SAMPLES = Path("images/reports/samples")
CURVES = Path("images/reports/curves.csv")

_REAL_AT_MOST = 10_000
"""Training images that a look compares with."""
_GRID = 10
"""Rows of a grid: each row has all classes, in their order."""


def train(*, root: Path = Path()) -> None:
    """Train the image generator of images/params.yaml.

    Writes images/models/generator, images/reports/curves.csv, a grid of samples for each look under
    images/reports/samples, and images/metrics/train.json. A training that was stopped goes on from
    checkpoints/ when the same training is asked for again.

    Raises:
        RecganError: images or classifier are missing, or training diverged.
    """
    settings = load_images_params(root).train
    images = read_images(root)
    classifier = Classifier.load(root / CLASSIFIER)
    work = root / "checkpoints" / f"images-{fingerprint(settings, root)}"
    log.info(
        "training a %s%s generator with the %s loss on %s images of %d x %d",
        "conditional " if settings.conditional else "",
        settings.network,
        settings.loss,
        f"{len(images.train.labels):,}",
        images.side,
        images.side,
    )
    gan = fit(settings, images, classifier, work / "grids", work / "train.ckpt")
    with replacing(root / GENERATOR) as folder:
        folder.mkdir()
        gan.save(folder)
    with replacing(root / SAMPLES) as folder:
        shutil.copytree(work / "grids", folder)
    write_text(root / CURVES, curves_csv(gan))
    write_json(
        root / "images/metrics/train.json",
        {
            "best_epoch": gan.best_epoch,
            "epochs": gan.epochs,
            "frechet_to_train": gan.frechet,
            "parameters": gan.parameters,
        },
    )
    shutil.rmtree(work, ignore_errors=True)


def fit(
    settings: TrainImagesParams,
    images: Images,
    classifier: Classifier,
    grids: Path | None = None,
    checkpoint: Path | None = None,
) -> ImageGAN:
    """Train on the training images, keeping the look with the smallest Fréchet distance to them.

    Args:
        settings: the train section.
        images: the source; its test images are not touched.
        classifier: in whose features the distance is taken.
        grids: folder for a grid of samples at each look, always from the same noise; None draws none.
        checkpoint: file to resume from and to save all state to.
    """
    n_classes = len(images.classes)
    at_most = np.linspace(0, len(images.train.labels) - 1, _REAL_AT_MOST).astype(np.int64)
    real = gaussian(classifier.see(images.train.pixels[np.unique(at_most)]).features)
    labels = even_labels(settings.samples, n_classes)

    def look(gan: ImageGAN, epoch: int) -> dict[str, float]:
        written = gan.write(labels, torch.Generator().manual_seed(settings.seed))
        seen = classifier.see(written)
        if grids is not None:
            grids.mkdir(parents=True, exist_ok=True)
            sheet = grid(written[: _GRID * n_classes], n_classes, scale=max(1, 32 // images.side))
            (grids / f"epoch-{epoch:04}.png").write_bytes(png(sheet))
        found = {
            "frechet": frechet_distance(gaussian(seen.features), real),
            "effective_classes": effective_number(np.bincount(seen.classes, minlength=n_classes)),
        }
        if settings.conditional:
            found["class_accuracy"] = float((seen.classes == labels).mean())
        log.info(
            "epoch %d: Fréchet distance %.2f, %.1f effective classes%s",
            epoch,
            found["frechet"],
            found["effective_classes"],
            f", class accuracy {found['class_accuracy']:.1%}" if settings.conditional else "",
        )
        return found

    return ImageGAN(settings, images.side, images.classes).fit(images.train, look, checkpoint)


def fingerprint(settings: TrainImagesParams, root: Path) -> str:
    """Name a training by all that decides its result: settings, images, classifier, code, torch's version."""
    code = closure.digest("recgan.images.train")
    digest = hashlib.sha256(f"{settings.model_dump_json()}\0{torch.__version__}\0{code}".encode())
    for path in [root / DATA / "images.npz", *sorted((root / CLASSIFIER).iterdir())]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def curves_csv(gan: ImageGAN) -> str:
    """Return the epochs' losses and measures as CSV; what nobody looked at in an epoch is blank."""
    columns = list(dict.fromkeys(name for row in gan.curves for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_number(row.get(name)) for name in columns] for row in gan.curves)
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.6g}"
