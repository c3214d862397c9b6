"""Fashion-MNIST's images as the pictures of the simulated shop's clothes, shoes and bags.

A product gets an image of the class that is what its brand makes, and no two products the same one. Which one
comes from the product's number: as with the drawn pictures, that says nothing of taste.
"""

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recgan.data.idx import IDX_CLASSES, check_idx_part, read_idx_part
from recgan.data.sources.shop_names import kind_names
from recgan.data.sources.shop_world import CATEGORIES, Catalogue

_CLASSES = {
    "shoes": "Sneaker", "bags": "Bag", "shirts": "Shirt", "dresses": "Dress", "trousers": "Trouser",
    "jackets": "Coat",
}  # fmt: skip
"""Category → class, where the kind of product has none of its own."""
_OF_KIND = {
    "ankle boots": "Ankle boot", "sandals": "Sandal", "T-shirt": "T-shirt/top", "polo": "T-shirt/top",
    "vest top": "T-shirt/top", "henley": "Pullover", "fleece": "Pullover", "pacer shoes": "Sneaker",
    "running vest": "T-shirt/top", "singlet": "T-shirt/top",
}  # fmt: skip
PUT = "give ingest.pictures the folder with the four idx files of Fashion-MNIST, or null to have all drawn"


def class_of(category: str, kind: str) -> str | None:
    """Return the class that pictures a product; None where Fashion-MNIST has nothing like it."""
    return _OF_KIND.get(kind, _CLASSES.get(category))


def check_fashion(folder: Path) -> None:
    """Raise a RecganError where an idx file that is needed is missing; nothing is read."""
    check_idx_part("fashion-mnist", "train", folder, PUT)


def fashion_pictures(catalogue: Catalogue, folder: Path) -> dict[int, str]:
    """Return the place of a product in the catalogue → the `data:` URL of its picture.

    Args:
        catalogue: of the shop.
        folder: of Fashion-MNIST's idx files.

    Raises:
        RecganError: they are missing or damaged.
    """
    pixels, labels = read_idx_part("fashion-mnist", "train", folder, PUT)
    images = [np.flatnonzero(labels == label) for label in range(len(IDX_CLASSES["fashion-mnist"]))]
    found, taken = {}, [0] * len(images)
    kinds = kind_names(catalogue)
    for place in np.argsort(catalogue.number, kind="stable"):
        name = class_of(CATEGORIES[catalogue.category[place]], kinds[place])
        if name is None:
            continue
        label = IDX_CLASSES["fashion-mnist"].index(name)
        turn = taken[label]
        taken[label] += 1
        found[int(place)] = _address(pixels[images[label][turn % len(images[label])]])
    return found


def _address(image: NDArray[np.uint8]) -> str:
    """Return an image dark on light, as a product lies on a white ground."""
    from PIL import Image  # only where there are such pictures

    written = io.BytesIO()
    Image.fromarray(255 - image).save(written, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
