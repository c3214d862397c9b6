"""Measures of generated images, by what a classifier of real ones makes of them; without torch.

Features are its layer before the last; shapes are (images, features).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test

from recgan.images.pictures import Pixels

Features = NDArray[np.float64]

_BLOCK = 1024
"""Rows whose distances to all others are held at a time."""


class Gaussian(NamedTuple):
    """Mean (features,) and covariance (features, features)."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def gaussian(features: Features) -> Gaussian:
    """Fit a Gaussian; at least two images."""
    return Gaussian(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Return ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁^½ Σ₂ Σ₁^½)^½) (Dowson & Landau 1982; Heusel et al. 2017).

    By eigenvalues of symmetric matrices, which stay real where a feature never varies.
    """
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ other.covariance @ root).clip(min=0)).sum()
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return max(0.0, float(np.square(one.mean - other.mean).sum() + traces - 2 * cross))


def precision_recall(real: Features, fake: Features, neighbours: int) -> tuple[float, float]:
    """Return the share of fakes on the real manifold, and of real images on the fakes' manifold.

    A manifold is the union of balls about each image that reach to its k-th nearest other one (Kynkäänniemi
    et al. 2019, equations 1 and 2). Give equally many of both.

    Args:
        real: (images, features).
        fake: (images, features).
        neighbours: k, below the number of either.
    """
    return on_manifold(fake, real, neighbours), on_manifold(real, fake, neighbours)


def on_manifold(asked: Features, support: Features, neighbours: int) -> float:
    """Return the share of `asked` within the k-NN ball of any image of `support`."""
    radii = np.concatenate(
        [
            np.partition(_squared_distances(block, support), neighbours, axis=1)[:, neighbours]
            for block in _blocks(support)  # place 0 is the image itself
        ]
    )
    inside = [(_squared_distances(block, support) <= radii).any(axis=1) for block in _blocks(asked)]
    return float(np.concatenate(inside).mean())


def nearest(asked: Pixels, stored: Pixels) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return position and distance of each image's nearest stored one, in root mean squared grey levels.

    Args:
        asked: (images, side, side).
        stored: (stored images, side, side).
    """
    rows, others = (images.reshape(len(images), -1).astype(np.float32) for images in (asked, stored))
    places, distances = [], []
    for block in _blocks(rows):
        squared = _squared_distances(block, others)
        best = squared.argmin(axis=1)
        places.append(best)
        distances.append(np.sqrt(squared[np.arange(len(block)), best] / rows.shape[1]))
    return np.concatenate(places).astype(np.int64), np.concatenate(distances).astype(np.float64)


def class_coverage(found: NDArray[np.int64], classes: int, share: float = 0.1) -> float:
    """Return the share of classes that get at least a tenth of an even share of the images.

    Args:
        found: (images,) the class that the classifier sees in each.
        classes: how many there are.
        share: the part of an even share that counts.
    """
    counts = np.bincount(found, minlength=classes)
    return float((counts >= share * len(found) / classes).mean())


def permutation_p(challenger: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the one-sided p that the challenger's values are smaller, over all ways to deal the values out.

    Exact: the share of splits whose difference of means is at most the one that was seen. With 8 values on
    either side there are 12,870. A single value on a side shows nothing: 1.
    """
    if min(len(challenger), len(other)) < 2:
        return 1.0
    found = permutation_test(
        (challenger, other),
        # Falls and rises with the difference of means, and ties are found where that difference is 0.
        lambda chosen, _, axis: chosen.sum(axis=axis),
        alternative="less",
        n_resamples=math.comb(len(challenger) + len(other), len(other)),  # all there are
        vectorized=True,
    )
    return float(found.pvalue)


def class_gaussians(
    pixels: Pixels, labels: NDArray[np.int64], asked: NDArray[np.int64], rng: np.random.Generator
) -> Pixels:
    """Write images from a Gaussian fitted to each class's pixels: the generator that a GAN has to beat.

    Args:
        pixels: (images, side, side), the training images.
        labels: (images,).
        asked: (wanted,) the class of each image to write.
        rng: what draws them.
    """
    rows = pixels.reshape(len(pixels), -1).astype(np.float64)
    written = np.zeros((len(asked), rows.shape[1]))
    for label in np.unique(asked):
        of_class = asked == label
        # By eigenvalues: a pixel that never varies leaves no Cholesky factor.
        written[of_class] = rng.multivariate_normal(
            *gaussian(rows[labels == label]), size=int(of_class.sum()), method="eigh"
        )
    return written.round().clip(0, 255).astype(np.uint8).reshape(len(asked), *pixels.shape[1:])


def standard_error(share: float, n: int) -> float:
    """Return the standard error of a share among n."""
    return math.sqrt(share * (1 - share) / n)


def _blocks(rows: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _squared_distances(rows: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return (rows, others) squared Euclidean distances."""
    products = rows @ others.T
    squared = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1) - 2 * products
    clipped: NDArray[np.floating] = squared.clip(min=0)
    return clipped
