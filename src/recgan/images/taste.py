"""Taste to picture: a shopper's recommended categories condition the generator.

After DVBPR (Kang et al., ICDM 2017), which generates the image that its own visual preference model scores
highest. Here preference and pictures are two trained models, joined by a table of names. What is recommended
chooses the class. Nothing of a product's looks is known or claimed.
"""

import base64
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import write_text
from recgan.core.redact import shown
from recgan.features.matrices import Features, read_features
from recgan.images.gan import ImageGAN
from recgan.images.pictures import png
from recgan.images.settings import ImagesParams, TasteParams, load_images_params
from recgan.images.train import GENERATOR
from recgan.recommenders.loading import challenger_of, load_recommender
from recgan.recommenders.protocol import Recommender, recommend

log = logging.getLogger(__name__)

PAGE = Path("images/reports/taste.html")
FEATURES = Path("data/features")


@dataclass(frozen=True)
class Product:
    """An item on the page."""

    title: str
    category: str
    picture: str | None
    """Class that pictures its category; None where it has no counterpart."""


@dataclass(frozen=True)
class Picture:
    """A generated image."""

    of: str
    """Its class."""
    png: str
    """Base64."""


@dataclass(frozen=True)
class Shopper:
    """A shopper on the page."""

    user_id: str
    """As people may see it."""
    history_length: int
    history_categories: list[tuple[str, int]]
    """Categories of the history, the most frequent first."""
    recommended: list[Product]
    pictures: list[Picture]
    """One for each recommendation that has a counterpart, in their order."""


def classes_of(categories: Sequence[str | None], table: Mapping[str, str]) -> list[str]:
    """Return the classes that picture some categories, in order; one without counterpart is left out."""
    return [table[category] for category in categories if category is not None and category in table]


def check_table(taste: TasteParams, classes: Sequence[str]) -> None:
    """Refuse a table that names a class which the generator does not have.

    Raises:
        RecganError: with the unknown names.
    """
    unknown = sorted(set(taste.classes.values()) - set(classes))
    if unknown:
        raise RecganError(
            f"taste.classes in images/params.yaml names {unknown}, but the classes are {list(classes)}; "
            "mend the table"
        )


def why_not(params: ImagesParams, root: Path) -> str | None:
    """Say why there can be no pictures of a taste here, or None."""
    if params.ingest.source != params.taste.source:
        return (
            f"the generator writes {params.ingest.source}, and the table of taste.classes is for "
            f"{params.taste.source}"
        )
    if not params.train.conditional:
        return "the generator has no classes (train.conditional is false)"
    for path in (layout.EVALUATION, FEATURES):
        if not (root / path).is_dir():
            return f"no {path}: no recommender has been trained here (make run)"
    return None


def taste(*, root: Path = Path()) -> None:
    """Write images/reports/taste.html: histories, recommendations and generated pictures side by side.

    Raises:
        RecganError: the generator is of another source or unconditional, or a model is missing.
    """
    params = load_images_params(root)
    reason = why_not(params, root)
    if reason is not None:
        raise RecganError(f"no pictures of a taste: {reason}")
    gan = ImageGAN.load(root / GENERATOR)
    check_table(params.taste, gan.classes)
    features = read_features(root / FEATURES)
    if not set(features.items["category"].dropna()) & set(params.taste.classes):
        raise RecganError(
            "no category of the catalogue is in taste.classes of images/params.yaml; name some of "
            f"{sorted(set(features.items['category'].dropna()))[:10]} there"
        )
    shoppers = ask(params.taste, features, load_recommender(root / layout.MODELS / challenger_of(root)), gan)
    write_text(root / PAGE, page(params.taste, features, shoppers, gan))
    log.info("%d shoppers in %s", len(shoppers), PAGE)


def ask(settings: TasteParams, features: Features, recommender: Recommender, gan: ImageGAN) -> list[Shopper]:
    """Recommend to some shoppers of the test window and picture what is recommended.

    Args:
        settings: the taste section; its seed chooses among shoppers with at least three items.
        features: of the shop.
        recommender: trained on them.
        gan: a conditional generator.
    """
    rng = np.random.default_rng(settings.seed)
    history, ages = features.test.history, features.test.ages
    lengths = np.diff(history.indptr)
    rows = np.sort(rng.permutation(np.flatnonzero(lengths >= 3))[: settings.shoppers])
    ranking, _ = recommend(
        recommender,
        history[rows],
        settings.k,
        exclude_seen=not features.summary["repeat_purchases"],
        ages=None if ages is None else ages[rows],
    )
    products = [_product(row, settings.classes) for _, row in features.items.iterrows()]
    noise = torch.Generator().manual_seed(settings.seed)
    shoppers = []
    for row, best in zip(rows, ranking, strict=True):
        seen = [products[item] for item in history[[row]].indices]
        recommended = [products[item] for item in best if item >= 0]
        wanted = [product.picture for product in recommended if product.picture is not None]
        labels = np.array([gan.classes.index(name) for name in wanted], dtype=np.int64)
        pictures = [
            Picture(name, base64.b64encode(png(image)).decode())
            for name, image in zip(wanted, gan.write(labels, noise), strict=True)
        ]
        shoppers.append(
            Shopper(
                shown(features.test.user_ids[row]),
                len(seen),
                Counter(product.category for product in seen).most_common(),
                recommended,
                pictures,
            )
        )
    return shoppers


def page(settings: TasteParams, features: Features, shoppers: list[Shopper], gan: ImageGAN) -> str:
    """Return the page as one HTML file that needs no other."""
    import jinja2  # the page alone needs it; a package that pictures tastes does not

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("recgan.images").joinpath("taste.html.jinja").read_text(encoding="utf-8")
    )
    categories = sorted(set(features.items["category"].dropna()))
    return template.render(
        shoppers=shoppers,
        table={name: of for name, of in settings.classes.items() if name in categories},
        left_out=[name for name in categories if name not in settings.classes],
        source=settings.source,
        k=settings.k,
        network=gan.settings.network,
        epoch=gan.best_epoch,
    )


def _product(row: pd.Series, table: Mapping[str, str]) -> Product:
    category = row["category"] if isinstance(row["category"], str) else "–"
    title = row["title"] if isinstance(row["title"], str) else str(row["item_id"])
    return Product(title, category, table.get(category))
