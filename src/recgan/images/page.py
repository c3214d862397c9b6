"""What a generator draws, class by class beside real images, and the gate's decision, on one page.

The images are drawn one after the other from one seed, and none is picked. Those of a generator without
classes are put where the classifier sees them.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recgan.core.files import read_json, write_text
from recgan.evaluation.plain_words import Verdict, day_of
from recgan.images.classifier import CLASSIFIER, Classifier
from recgan.images.gan import ImageGAN, even_labels
from recgan.images.labelled import Images, read_images
from recgan.images.pictures import Pixels, png
from recgan.images.settings import ImagesParams
from recgan.images.train import GENERATOR
from recgan.registry.promotion import Promotion

PAGE = Path("images/reports/images.html")
EACH = 6
"""Images of a class on either side."""
_DRAWN = 30
"""Images drawn for each class where none can be asked for."""


@dataclass(frozen=True)
class Picture:
    """An image and what the classifier says of it."""

    png: str
    """Base64."""
    seen: str
    """The class that the classifier sees."""
    sure: float
    """The probability that it gives to that class."""
    right: bool


@dataclass(frozen=True)
class Row:
    """A class."""

    name: str
    real: list[Picture]
    """Of the test images."""
    drawn: list[Picture]

    @property
    def agreed(self) -> int:
        """How many of the drawn ones the classifier takes for the class."""
        return sum(one.right for one in self.drawn)


def write_page(root: Path, params: ImagesParams, promotion: Promotion, day: date) -> None:
    """Write images/reports/images.html for the generator that was trained last.

    Args:
        root: the project.
        params: of the images.
        promotion: what became of that generator's version.
        day: of the gate's decision.

    Raises:
        RecganError: images, classifier or generator are missing.
    """
    images, gan = read_images(root), ImageGAN.load(root / GENERATOR)
    rows = rows_of(images, Classifier.load(root / CLASSIFIER), gan, params.evaluate.seed)
    name = f"{params.register_.name} version {promotion.version}"
    verdict = Verdict(
        model=params.register_.name,
        version=promotion.version,
        candidate=name,
        day=day,
        promoted=promotion.promoted,
        reasons=promotion.decision.reasons,
        live=promotion.champion,
        previous=promotion.previous,
    )
    metrics = root / "images/metrics"
    measured = read_json(metrics / "evaluation.json") | read_json(metrics / "classify.json")
    write_text(root / PAGE, page(rows, images, gan, verdict, measured))


def rows_of(images: Images, classifier: Classifier, gan: ImageGAN, seed: int) -> list[Row]:
    """Return each class with real and drawn images.

    Args:
        images: the source.
        classifier: of its classes.
        gan: a generator of such images.
        seed: of the noise, and of which real images are taken.
    """
    n = len(images.classes)
    conditional = gan.settings.conditional
    asked = even_labels(n * (EACH if conditional else _DRAWN), n)
    drawn = gan.write(asked, torch.Generator().manual_seed(seed))
    placed = asked if conditional else classifier.see(drawn).classes
    order = np.random.default_rng(seed).permutation(len(images.test.labels))
    test = images.test.take(order)

    def pictures(pixels: Pixels, labels: NDArray[np.int64], label: int) -> list[Picture]:
        chosen = pixels[np.flatnonzero(labels == label)[:EACH]]
        seen = classifier.see(chosen)
        return [
            Picture(base64.b64encode(png(image)).decode(), images.classes[of], float(sure), bool(of == label))
            for image, of, sure in zip(chosen, seen.classes, seen.certainty, strict=True)
        ]

    return [
        Row(name, pictures(test.pixels, test.labels, label), pictures(drawn, placed, label))
        for label, name in enumerate(images.classes)
    ]


def page(
    rows: Sequence[Row], images: Images, gan: ImageGAN, verdict: Verdict, measured: dict[str, Any]
) -> str:
    """Return the page.

    Args:
        rows: of all classes.
        images: the source.
        gan: the generator.
        verdict: of the gate.
        measured: the figures of the stages `classify` and `evaluate`.
    """
    import jinja2  # the page alone needs it; a package that draws images does not

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("recgan.images").joinpath("page.html.jinja").read_text(encoding="utf-8")
    )
    return template.render(
        title=f"{verdict.state}: {verdict.candidate}, {day_of(verdict.day)}",
        verdict=verdict,
        against=[one for one in verdict.reasons if not one.startswith("✓")],
        in_favour=[one for one in verdict.reasons if one.startswith("✓")],
        rows=rows,
        images=images,
        gan=gan,
        measured=measured,
    )
