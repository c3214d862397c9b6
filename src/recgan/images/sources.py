"""Labelled greyscale images: scikit-learn's digits, MNIST and Fashion-MNIST; and the ingest stage."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recgan.core.files import replacing
from recgan.data.idx import IDX_CLASSES, PARTS, read_idx_part
from recgan.images.labelled import DATA, Images, Labelled, write_images
from recgan.images.settings import IngestImagesParams, SourceName, load_images_params

log = logging.getLogger(__name__)

CLASSES: dict[SourceName, tuple[str, ...]] = {
    "digits": tuple("0123456789"),
    "mnist": IDX_CLASSES["mnist"],
    "fashion-mnist": IDX_CLASSES["fashion-mnist"],
}


# --- the stage ------------------------------------------------------------------------------------------


def ingest(*, root: Path = Path()) -> None:
    """Read the source of images/params.yaml into images/data.

    Raises:
        RecganError: the files are missing, damaged or cannot be downloaded.
    """
    settings = load_images_params(root).ingest
    images = read_source(settings, root)
    with replacing(root / DATA) as folder:
        folder.mkdir()
        write_images(images, folder)
    log.info(
        "%s: %s training and %s test images of %d x %d",
        images.source,
        f"{len(images.train.labels):,}",
        f"{len(images.test.labels):,}",
        images.side,
        images.side,
    )


def read_source(settings: IngestImagesParams, root: Path = Path()) -> Images:
    """Read a source, keeping at most `limit` training images.

    Raises:
        RecganError: the files are missing, damaged or cannot be downloaded.
    """
    rng = np.random.default_rng(settings.seed)
    if settings.source == "digits":
        train, test = _digits(settings.test_share, rng)
    else:
        folder = None if settings.path is None else root / settings.path
        put = (
            f"set ingest.path in images/params.yaml to a folder with the four idx files of {settings.source}"
        )
        train, test = (Labelled(*read_idx_part(settings.source, part, folder, put)) for part in PARTS)
    if settings.limit is not None and settings.limit < len(train.labels):
        drawn = stratified(train.labels, settings.limit / len(train.labels), rng)
        train = train.take(drawn[: settings.limit])  # rounded class by class, it may be a few more
    return Images(settings.source, CLASSES[settings.source], train, test)


def stratified(labels: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the same share of each class, at least one image: positions in order."""
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[: max(1, round(share * (labels == label).sum()))]
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(drawn))


def _digits(test_share: float, rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    from sklearn.datasets import load_digits  # a second to import, for this source alone

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    everything = Labelled(pixels, bunch.target.astype(np.int64))
    held_out = stratified(everything.labels, test_share, rng)
    rest = np.setdiff1d(np.arange(len(pixels)), held_out)
    return everything.take(rest), everything.take(held_out)
