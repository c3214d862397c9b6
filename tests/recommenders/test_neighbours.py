"""The nearest items of each item against a full sort."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.recommenders import neighbours
from recgan.recommenders.neighbours import find_nearest, nearest_by_cosine
from tests.recommenders.data import histories


@pytest.mark.parametrize("cells", [1, 50, 10_000])
@pytest.mark.parametrize("n", [1, 4, 11, 40])
def test_the_best_of_a_row_come_first_and_ties_go_to_the_lower_position(n, cells, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK_CELLS", cells)
    rng = np.random.default_rng(n)
    dense = rng.integers(0, 4, (12, 12)).astype(np.float32)  # many ties, and pairs that never occur
    shuffled = csr_array(dense)
    for start, stop in zip(
        shuffled.indptr, shuffled.indptr[1:], strict=False
    ):  # a product's rows have no order
        order = rng.permutation(stop - start) + start
        shuffled.indices[start:stop], shuffled.data[start:stop] = (
            shuffled.indices[order],
            shuffled.data[order],
        )
    found = find_nearest(lambda start, stop: csr_array(shuffled[start:stop]), 12, n)
    np.fill_diagonal(dense, 0)
    kept = min(n, 11)
    assert found.positions.shape == (12, kept)
    for row in range(12):
        best = np.argsort(-dense[row], kind="stable")[:kept]
        np.testing.assert_array_equal(found.strengths[row], dense[row, best])
        some = dense[row, best] > 0
        np.testing.assert_array_equal(found.positions[row][some], best[some])


def test_fewer_neighbours_are_the_first_of_more():
    user_items = histories(50, 30)
    few, many = (nearest_by_cosine(user_items, n, shrink=2, asymmetry=0.7) for n in (3, 20))
    np.testing.assert_array_equal(few.positions, many.positions[:, :3])
    assert (few.weights(3) != many.weights(3)).nnz == 0
