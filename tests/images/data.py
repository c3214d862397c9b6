"""A source of four kinds of tiny images, and settings small enough to train in a test."""

import copy

import numpy as np
import yaml

from recgan.images.labelled import Images, Labelled
from recgan.images.settings import ClassifyParams, EvaluateImagesParams, ImagesParams, TrainImagesParams
from tests.adversarial.laws import TRAINER
from tests.conftest import ROOT

CLASSES = ("left", "right", "top", "bottom")
CONTENT = yaml.safe_load((ROOT / "images/params.yaml").read_text())

WIDTHS = {"dense": ([16, 24], [24, 16]), "dcgan": ([12, 8, 6], [6, 8])}
"""Network → hidden of generator and discriminator."""


def halves(n, seed=0, side=8):
    """Return images of which one half is bright, with noise; the class says which half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(CLASSES)
    pixels = rng.integers(0, 60, (n, side, side))
    middle = side // 2
    for part, rows in (
        ((slice(None), slice(None, middle)), labels == 0),
        ((slice(None), slice(middle, None)), labels == 1),
        ((slice(None, middle), slice(None)), labels == 2),
        ((slice(middle, None), slice(None)), labels == 3),
    ):
        pixels[np.ix_(np.flatnonzero(rows), np.arange(side)[part[0]], np.arange(side)[part[1]])] += 180
    return Labelled(pixels.astype(np.uint8), labels.astype(np.int64))


def source(n=160, side=8):
    return Images("digits", CLASSES, halves(n, 0, side), halves(80, 1, side))


def train_settings(network="dcgan", **changes):
    content = copy.deepcopy(CONTENT["train"])
    g, d = WIDTHS[network]
    content |= {"network": network, "trainer": TRAINER, "noise": 8, "batch_size": 16, "samples": 100}
    content |= {"epochs": 2, "evaluate_every": 1, "ema": None}
    content["generator"]["hidden"], content["discriminator"]["hidden"] = g, d
    for name, value in changes.items():
        if isinstance(value, dict):
            content[name] |= value
        else:
            content[name] = value
    return TrainImagesParams.model_validate(content)


def classify_settings(**changes):
    small = {"channels": [4, 8], "features": 8, "epochs": 6, "batch_size": 16, "learning_rate": 5e-3}
    return ClassifyParams.model_validate({**CONTENT["classify"], **small, **changes})


def evaluate_settings(**changes):
    return EvaluateImagesParams.model_validate({**CONTENT["evaluate"], "samples": 100, **changes})


def images_params(**changes):
    """Return images/params.yaml with everything small; a change is a section with what differs in it."""
    content = copy.deepcopy(CONTENT)
    content["classify"] = classify_settings().model_dump(mode="json")
    content["train"] = train_settings().model_dump(mode="json")
    content["evaluate"] = evaluate_settings().model_dump(mode="json")
    content["register"]["gate"] |= {"draws": 4, "samples": 100}
    for name, value in changes.items():
        content[name] |= value
    return ImagesParams.model_validate(content)
