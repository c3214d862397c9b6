"""Diversity of lists against values computed by hand."""

import numpy as np
import pytest

from recgan.evaluation.diversity import effective_categories, intra_list_distance


def test_categories_by_hand():
    category = np.array(["bags", "hats", "bags", None, "shoes"], dtype=object)
    ranking = np.array([[0, 2, 1, -1], [0, 1, 4, 3], [2, 0, -1, -1], [3, -1, -1, -1]], dtype=np.int32)
    found = effective_categories(ranking, category)
    assert found[:3] == pytest.approx([np.exp(-(2 / 3) * np.log(2 / 3) - np.log(1 / 3) / 3), 3, 1])
    assert np.isnan(found[3])
    assert np.isnan(effective_categories(ranking, np.full(5, np.nan, dtype=object))).all()


def test_distance_is_the_mean_over_pairs_written_out():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((9, 4)).astype(np.float32)
    vectors[8] = 0
    ranking = np.array([[0, 1, 2, 3], [4, 5, -1, -1], [6, 7, 8, -1], [8, 1, -1, -1]], dtype=np.int32)
    found = intra_list_distance(ranking, vectors)
    for row, places in enumerate([[0, 1, 2, 3], [4, 5], [6, 7]]):
        units = vectors[places] / np.linalg.norm(vectors[places], axis=1, keepdims=True)
        distances = (1 - units @ units.T)[np.triu_indices(len(places), 1)]
        assert found[row] == pytest.approx(distances.mean(), abs=1e-5)
    assert np.isnan(found[3])


def test_the_same_thing_again_is_no_diversity():
    vectors = np.tile(np.array([[0.3, 4]], dtype=np.float32), (3, 1))
    assert intra_list_distance(np.array([[0, 1, 2]], dtype=np.int32), vectors) == pytest.approx(0, abs=1e-6)
