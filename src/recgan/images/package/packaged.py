"""The packaged generator: a class or a shopper's history in, images out. Knows nothing of MLflow."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.images.gan import ImageGAN
from recgan.images.pictures import png
from recgan.images.taste import classes_of
from recgan.package.packaged import PackagedRecommender
from recgan.registry.manifest import check_artifacts


@dataclass(frozen=True)
class Taste:
    """What turns a history into classes."""

    recommender: PackagedRecommender
    categories: Mapping[str, str | None]
    """Item id → category."""
    classes: Mapping[str, str]
    """Category → class."""


@dataclass(frozen=True)
class Wish:
    """What a row asks for: a class, or pictures for a shopper; neither is any class."""

    of: str | None = None
    history: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """Images for one wish."""

    classes: list[str]
    """Of each image; empty text where the generator has no classes."""
    images: list[str]
    """PNG in base64."""


class PackagedImages:
    """Answers wishes with images; equal seeds give equal images, whatever else was asked in the same call."""

    def __init__(self, gan: ImageGAN, taste: Taste | None):
        """Bind a generator to what it needs for shoppers.

        Args:
            gan: writes images.
            taste: None where the package answers classes alone.
        """
        self.gan = gan
        self.taste = taste

    @classmethod
    def load(cls, generator: Path, taste: Path | None) -> "PackagedImages":
        """Load from the generator's folder and, where there is one, the folder that `write_taste` wrote.

        Raises:
            DamagedPackageError: a file beside a manifest is not the one that was packaged.
        """
        check_artifacts(generator.parent)
        gan = ImageGAN.load(generator)
        if taste is None or not (taste / "taste.json").exists():
            return cls(gan, None)
        content = read_json(taste / "taste.json")
        recommender = PackagedRecommender.load(taste / "recommender", taste / "items.json")
        return cls(gan, Taste(recommender, content["categories"], content["classes"]))

    def answer(self, wishes: Sequence[Wish], n: int = 1, seed: int = 0) -> list[Answer]:
        """Write n images for each wish.

        A shopper gets pictures of the first n recommendations whose category has a counterpart among the
        classes, fewer where fewer have one.

        Args:
            wishes: classes by name, or histories of item ids.
            n: images for each.
            seed: of the noise.

        Raises:
            RecganError: n is not 1 to 1,000, a class is unknown, or the package cannot answer such a wish.
        """
        if not 1 <= n <= 1000:
            raise RecganError(f"n is {n}; ask for 1 to 1000 images")
        return [self._answer(wish, n, seed) for wish in wishes]

    def _answer(self, wish: Wish, n: int, seed: int) -> Answer:
        gan = self.gan
        if wish.of is not None and wish.history is not None:
            raise RecganError("a row names a class and a history; give one of them")
        if not gan.settings.conditional and (wish.of is not None or wish.history is not None):
            raise RecganError("this generator has no classes; leave class and history empty")
        if wish.of is not None:
            if wish.of not in gan.classes:
                raise RecganError(f"no class {wish.of!r}; choose one of {', '.join(gan.classes)}")
            names = [wish.of] * n
        elif wish.history is not None:
            names = self._classes(wish.history)[:n]
        else:
            names = [gan.classes[number % len(gan.classes)] for number in range(n)]
        labels = np.array([gan.classes.index(name) for name in names], dtype=np.int64)
        pixels = gan.write(labels, torch.Generator().manual_seed(seed))
        return Answer(
            names if gan.settings.conditional else [""] * n,
            [base64.b64encode(png(image)).decode() for image in pixels],
        )

    def _classes(self, history: Sequence[str]) -> list[str]:
        if self.taste is None:
            raise RecganError("this package answers classes alone: no recommender was packaged with it")
        every = len(self.taste.recommender.item_ids)
        (found,) = self.taste.recommender.recommend([history], k=every)
        return classes_of([self.taste.categories.get(item) for item in found.item_ids], self.taste.classes)


def write_taste(items: pd.DataFrame, classes: Mapping[str, str], path: Path) -> None:
    """Write the categories of the items and the table of classes as JSON.

    Args:
        items: with item_id and category.
        classes: category → class.
        path: the file to write.
    """
    categories = {
        str(item): category if isinstance(category, str) else None
        for item, category in zip(items["item_id"], items["category"], strict=True)
    }
    write_json(path, {"categories": categories, "classes": dict(classes)})
