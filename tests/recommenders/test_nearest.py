"""Nearest products: exact in any blocks, nearly exact by faiss, and rankings merged by hand."""

import numpy as np
import pytest

from recgan.recommenders.feature_gan import nearest as module
from recgan.recommenders.feature_gan.nearest import (
    ApproximateIndex,
    faiss_is_there,
    merged,
    nearest,
)


def clustered(n=20_000, width=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((60, width)) * 3
    return (centres[rng.integers(60, size=n)] + rng.standard_normal((n, width))).astype(np.float32)


@pytest.mark.parametrize(("items", "cells"), [(7, 50), (100, 10), (10_000, 10**9)])
def test_blocks_change_nothing(items, cells, monkeypatch):
    vectors, queries = clustered(500).round(), clustered(33, seed=1).round()  # whole: float32 is exact
    vectors[100:130] = vectors[7]  # of equals, the lower positions
    expected = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :20]
    monkeypatch.setattr(module, "_ITEMS", items)
    monkeypatch.setattr(module, "_CELLS", cells)
    found = nearest(queries, vectors, 20)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)


def test_all_of_them_are_found_where_all_are_wanted():
    assert sorted(nearest(clustered(1), clustered(9), 9)[0]) == list(range(9))


@pytest.mark.skipif(not faiss_is_there(), reason="faiss is not installed: pip install 'recgan[faiss]'")
def test_faiss_finds_nearly_all_of_what_is_nearest():
    vectors, queries = clustered(), clustered(50, seed=1)
    exact = nearest(queries, vectors, 100)
    found = ApproximateIndex(vectors).nearest(queries, 100)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True)]
    assert np.mean(shared) > 95
    assert (found[:, 0] == exact[:, 0]).mean() > 0.95


def test_rankings_are_merged_by_reciprocal_ranks():
    """Two rankings of one row: 3 first and 0 second, then 0 first and 1 second."""
    rankings = np.array([[[3, 0]], [[0, 1]]], dtype=np.int32)
    rest = np.array([-0.5, -0.5, -0.2, -0.5, -0.9], dtype=np.float32)
    both = merged(rankings, rest, best=False)
    assert both[0] == pytest.approx([1 / 62 + 1 / 61, 1 / 62, -0.2, 1 / 61, -0.9])
    best = merged(rankings, rest, best=True)[0]
    assert np.argsort(-best).tolist() == [0, 3, 1, 2, 4]  # 0 and 3 are first once each, 0 has more beside
    assert best == pytest.approx([1 / 61, 1 / 62, -0.2, 1 / 61, -0.9], abs=1e-4)


def test_a_place_that_nothing_fills_counts_for_nothing():
    rankings = np.array([[[1, -1]]], dtype=np.int32)
    scores = merged(rankings, np.array([-0.3, -0.1], dtype=np.float32), best=False)
    assert scores[0] == pytest.approx([-0.3, 1 / 61])
