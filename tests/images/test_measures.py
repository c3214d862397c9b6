"""Measures against values worked out by hand, closed forms and other implementations."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from recgan.images.measures import (
    Gaussian,
    class_coverage,
    class_gaussians,
    frechet_distance,
    gaussian,
    nearest,
    on_manifold,
    permutation_p,
    precision_recall,
)
from tests.images.data import halves


def diagonal(mean, variances):
    return Gaussian(np.array(mean, dtype=float), np.diag(np.array(variances, dtype=float)))


def test_the_frechet_distance_of_one_dimension_by_hand():
    # (μ₁ - μ₂)² + (σ₁ - σ₂)² = 9 + 4
    assert frechet_distance(diagonal([1], [1]), diagonal([4], [9])) == pytest.approx(13)


def test_the_frechet_distance_of_independent_features_adds_up():
    one, other = diagonal([0, 1, 2], [1, 4, 0]), diagonal([1, 1, 0], [9, 4, 16])
    assert frechet_distance(one, other) == pytest.approx(1 + 4 + (1 - 3) ** 2 + (0 - 4) ** 2)


def test_the_frechet_distance_agrees_with_the_matrix_square_root():
    rng = np.random.default_rng(0)
    one, other = (gaussian(rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))) for _ in range(2))
    root = sqrtm(one.covariance @ other.covariance).real
    expected = np.square(one.mean - other.mean).sum() + np.trace(one.covariance + other.covariance - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(other, one) == pytest.approx(expected)


def test_the_frechet_distance_of_a_thing_to_itself_is_zero():
    features = np.random.default_rng(1).normal(size=(20, 30))  # fewer images than features
    assert frechet_distance(gaussian(features), gaussian(features)) == pytest.approx(0, abs=1e-9)


def test_precision_and_recall_by_hand():
    # On a line, k = 1: the real balls are [-1, 1], [0, 2], [1, 5] (radius to the nearest other real one).
    real = np.array([[0.0], [1.0], [3.0]])
    assert on_manifold(np.array([[-0.5], [1.5], [4.9], [5.1], [-1.2]]), real, 1) == pytest.approx(3 / 5)
    # The fakes' balls are [-.4, .6], [.1, 1.1]: they hold 0 and 1, but not 3.
    fake = np.array([[0.1], [0.6]])
    precision, recall = precision_recall(real, fake, 1)
    assert (precision, recall) == (1.0, pytest.approx(2 / 3))


def test_a_collapsed_generator_has_precision_without_recall():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(300, 4))
    fake = rng.normal(scale=0.02, size=(300, 4))
    precision, recall = precision_recall(real, fake, 3)
    assert precision > 0.95
    assert recall < 0.05


def test_precision_and_recall_do_not_depend_on_the_block_size(monkeypatch):
    rng = np.random.default_rng(3)
    real, fake = rng.normal(size=(70, 3)), rng.normal(0.5, size=(70, 3))
    whole = precision_recall(real, fake, 3)
    monkeypatch.setattr("recgan.images.measures._BLOCK", 16)
    assert precision_recall(real, fake, 3) == whole


def test_the_nearest_image_by_hand():
    stored = np.array([[[0, 0], [0, 0]], [[10, 10], [10, 10]]], dtype=np.uint8)
    places, distances = nearest(np.array([[[10, 10], [10, 16]], [[0, 0], [0, 0]]], dtype=np.uint8), stored)
    assert places.tolist() == [1, 0]
    np.testing.assert_allclose(distances, [3, 0])  # √(6² / 4)


def test_coverage_counts_classes_with_a_tenth_of_an_even_share():
    found = np.repeat([0, 1, 2, 3], [597, 200, 1, 202])
    assert class_coverage(found, 4) == 0.75
    assert class_coverage(np.repeat([0, 1, 2, 3], [500, 200, 25, 275]), 4) == 1
    assert class_coverage(np.zeros(100, dtype=np.int64), 4) == 0.25


def test_the_permutation_test_is_exact():
    low, high = np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    assert permutation_p(low, high) == pytest.approx(1 / math.comb(6, 3))
    assert permutation_p(high, low) == 1
    assert permutation_p(low, low) >= 0.5
    # Of the 6 ways to take two of 1, 1, 2 and 2, one sums to 2 and four to 3: ties count.
    assert permutation_p(np.array([1.0, 2]), np.array([2.0, 1])) == pytest.approx(5 / 6)


def test_one_value_is_no_evidence():
    assert permutation_p(np.array([1.0]), np.array([4.0, 5, 6])) == 1


def test_class_gaussians_have_the_classes_mean_and_spread():
    images = halves(400)
    asked = np.repeat([0, 3], 2000)
    written = class_gaussians(images.pixels, images.labels, asked, np.random.default_rng(0))
    assert written.shape == (4000, 8, 8)
    of_zero = images.pixels[images.labels == 0]
    np.testing.assert_allclose(written[:2000].mean(axis=0), of_zero.mean(axis=0), atol=4)
    assert written[:2000, :, :4].std() == pytest.approx(of_zero[:, :, :4].std(), rel=0.1)
