"""The nearest items of each item, found in blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_BLOCK_CELLS = 20_000_000  # similarities held in memory at a time


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
        targets = np.repeat(np.arange(n_items), positions.shape[1])
        weights = csr_array((strengths.ravel(), (positions.ravel(), targets)), shape=(n_items, n_items))
        weights.eliminate_zeros()
        return weights


def find_nearest(similarities: Callable[[int, int], NDArray[np.float32]], n_items: int, n: int) -> Neighbours:
    """Find each target's n best sources.

    Args:
        similarities: (start, stop) → similarities of those targets to all sources, (block, items).
        n_items: number of targets and of sources.
        n: sources to keep; at most all other items.
    """
    n = min(n, max(n_items - 1, 1))
    positions = np.empty((n_items, n), dtype=np.int32)
    strengths = np.empty((n_items, n), dtype=np.float32)
    block = max(1, _BLOCK_CELLS // n_items)
    for start in range(0, n_items, block):
        stop = min(start + block, n_items)
        rows = np.arange(stop - start)[:, None]
        found = similarities(start, stop)  # (block, items)
        found[rows[:, 0], np.arange(start, stop)] = 0  # no item speaks for itself
        best = np.argpartition(found, -n, axis=1)[:, -n:]
        best = best[rows, np.argsort(-found[rows, best], axis=1, kind="stable")]
        positions[start:stop] = best
        strengths[start:stop] = found[rows, best]
    return Neighbours(positions, strengths)
