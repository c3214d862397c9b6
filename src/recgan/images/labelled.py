"""Labelled images: what the ingest stage writes and every later one reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole, write_json
from recgan.images.pictures import Pixels
from recgan.images.settings import SourceName

DATA = Path("images/data")


@dataclass(frozen=True)
class Labelled:
    """Images with their classes."""

    pixels: Pixels
    """(images, side, side), 0 is black."""
    labels: NDArray[np.int64]
    """(images,) positions in the classes."""

    def take(self, rows: NDArray[np.int64]) -> "Labelled":
        """Return some of them."""
        return Labelled(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Images:
    """A source: what to learn from, what to measure against, and the names of its classes."""

    source: SourceName
    classes: tuple[str, ...]
    train: Labelled
    test: Labelled

    @property
    def side(self) -> int:
        """Pixels in each direction."""
        return int(self.train.pixels.shape[1])


def write_images(images: Images, folder: Path) -> None:
    """Write images.npz and source.json into an existing folder."""
    np.savez_compressed(
        folder / "images.npz",
        train_pixels=images.train.pixels,
        train_labels=images.train.labels,
        test_pixels=images.test.pixels,
        test_labels=images.test.labels,
    )
    write_json(folder / "source.json", {"source": images.source, "classes": images.classes})


def read_images(root: Path) -> Images:
    """Read what the ingest stage wrote.

    Raises:
        RecganError: there is nothing readable.
    """
    return read_whole(root / DATA, _read)


def _read(folder: Path) -> Images:
    try:
        about = read_json(folder / "source.json")
        with np.load(folder / "images.npz") as arrays:
            train = Labelled(arrays["train_pixels"], arrays["train_labels"])
            test = Labelled(arrays["test_pixels"], arrays["test_labels"])
    except (OSError, ValueError, KeyError) as error:
        raise RecganError(f"no readable images in {folder} ({error}); run make images") from None
    return Images(about["source"], tuple(about["classes"]), train, test)
