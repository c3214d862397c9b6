"""The nearest items of each item, found in blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_BLOCK_CELLS = 20_000_000  # pairs of items looked at at a time, of which those count that occur together


@dataclass(frozen=True)
class Neighbours:
    """For each item (the target) the items that speak most for it (its sources), best first."""

    positions: NDArray[np.int32]
    """(items, n)"""
    strengths: NDArray[np.float32]
    """(items, n), 0 where there are fewer than n."""

    def weights(self, n: int) -> csr_array:
        """Return the n best of each item as a matrix W (items, items): scores = history @ W."""
        n_items = self.positions.shape[0]
        positions, strengths = self.positions[:, :n], self.strengths[:, :n]
        targets = np.repeat(np.arange(n_items, dtype=np.int32), positions.shape[1])
        known = strengths.ravel() != 0
        entries = (strengths.ravel()[known], (positions.ravel()[known], targets[known]))
        return csr_array(entries, shape=(n_items, n_items))


def find_nearest(similarities: Callable[[int, int], csr_array], n_items: int, n: int) -> Neighbours:
    """Find each target's n best sources; ties go to the lower position.

    Args:
        similarities: (start, stop) → similarities of those targets to all sources, (block, items), none
            below 0. It is worked in.
        n_items: number of targets and of sources.
        n: sources to keep; at most all other items.
    """
    n = min(n, max(n_items - 1, 1))
    positions = np.zeros((n_items, n), dtype=np.int32)
    strengths = np.zeros((n_items, n), dtype=np.float32)
    block = max(1, _BLOCK_CELLS // n_items)
    for start in range(0, n_items, block):
        found = similarities(start, min(start + block, n_items))
        for row in range(found.shape[0]):
            there = slice(found.indptr[row], found.indptr[row + 1])
            sources, values = found.indices[there], found.data[there]
            values[sources == start + row] = 0  # no item speaks for itself
            if len(values) > n:
                border = np.partition(values, len(values) - n)[len(values) - n]
                above, level = np.flatnonzero(values > border), np.flatnonzero(values == border)
                level = level[np.argsort(sources[level])[: n - len(above)]]
                best = np.concatenate([above, level])
                sources, values = sources[best], values[best]
            order = np.lexsort((sources, -values))
            positions[start + row, : len(order)] = sources[order]
            strengths[start + row, : len(order)] = values[order]
    return Neighbours(positions, strengths)


def nearest_by_cosine(user_items: csr_array, n: int, shrink: float = 0, asymmetry: float = 0.5) -> Neighbours:
    """Find each item's n best sources by cosine, shrunk and asymmetric.

    w(i, j) = ⟨x_i, x_j⟩ / (‖x_i‖^2a ‖x_j‖^(2 − 2a) + shrink) from source i to target j; an asymmetry a of
    0.5 is the plain cosine.
    """
    columns = user_items.tocsc()
    squares = np.asarray(columns.power(2).sum(axis=0), dtype=np.float32)  # (items,)
    of_sources, of_targets = squares**asymmetry, squares ** (1 - asymmetry)

    def similarities(start: int, stop: int) -> csr_array:
        found = csr_array(columns[:, start:stop].T @ user_items)  # (block, items)
        targets = np.repeat(of_targets[start:stop], np.diff(found.indptr))
        # The addend keeps a stored confidence of 0 at 0 / tiny, not at 0 / 0.
        found.data /= targets * of_sources[found.indices] + np.float32(shrink + 1e-9)
        return found

    return find_nearest(similarities, user_items.shape[1], n)
