"""Shoppers' histories as the game draws them: what came up to a moment, and what came after."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import embedding_bag

from recgan.recommenders.feature_gan.item_vectors import Vectors

Times = Callable[[csr_array], NDArray[np.float32] | None]
"""A matrix → when each of its entries was, in any unit; None where nobody knows."""


class Cut(NamedTuple):
    """Histories cut at a random moment."""

    condition: Tensor
    """(batch, width + 1) taste and log(1 + products) of what came before; 0 where nothing did."""
    came: Tensor
    """(batch, width) mean vector of what came after, weighted by confidence."""
    real: Tensor
    """(batch, width) vector of one product of it."""
    before: Tensor
    """(entries before,) positions of the entries in their matrix."""
    after: Tensor
    """(entries after,)"""


class Histories:
    """The rows of a matrix, to be cut in time; what they hold becomes vectors."""

    def __init__(
        self,
        user_items: csr_array,
        vectors: Vectors,
        times: NDArray[np.float32] | None,
        device: torch.device | None = None,
    ) -> None:
        some = np.diff(user_items.indptr) > 0
        self.users = torch.as_tensor(np.flatnonzero(some), device=device)
        self.indptr = torch.as_tensor(user_items.indptr.astype(np.int64), device=device)
        self.indices = torch.as_tensor(user_items.indices.astype(np.int64), device=device)
        self.values = torch.as_tensor(user_items.data.astype(np.float32), device=device)
        self.times = None if times is None else torch.as_tensor(times, device=device)
        self.vectors = torch.as_tensor(vectors, device=device)

    def cut(self, rows: Tensor, rng: torch.Generator) -> Cut:
        """Cut each row at a random place of its order in time; ties in time are in random order.

        Args:
            rows: (batch,) positions of rows that hold something.
            rng: what draws.
        """
        device = self.indptr.device
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        starts = lengths.cumsum(0) - lengths
        total = int(lengths.sum())
        places = torch.arange(len(rows), device=device).repeat_interleave(lengths, output_size=total)
        within = torch.arange(total, device=device) - starts[places]
        entries = self.indptr[rows][places] + within
        order = torch.rand(total, generator=rng, device=device).argsort()
        if self.times is not None:
            order = order[self.times[entries[order]].argsort(stable=True)]
        entries = entries[order[places[order].argsort(stable=True)]]
        first = torch.rand(len(rows), generator=rng, device=device)
        n_before = (first * lengths).long().minimum(lengths - 1)
        early = within < n_before[places]
        before, after = entries[early], entries[~early]
        taste, _ = self._mean(before, n_before)
        came, ends = self._mean(after, lengths - n_before)
        # One of those after each cut, in proportion to its confidence.
        reach = self.values[after].double().cumsum(0)
        top = reach[ends - 1]
        bottom = torch.cat([top.new_zeros(1), top[:-1]])
        drawn = torch.rand(len(rows), generator=rng, device=device, dtype=torch.float64)
        chosen = torch.searchsorted(reach, bottom + drawn * (top - bottom), right=True)
        chosen = chosen.minimum(ends - 1).maximum(ends - (lengths - n_before))
        real = self.vectors[self.indices[after[chosen]]]
        condition = torch.cat([taste, n_before.float().log1p()[:, None]], dim=1)
        return Cut(condition, came, real, before, after)

    def _mean(self, entries: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted mean vector of each bag of entries, 0 for an empty one, and the bags' ends."""
        ends = lengths.cumsum(0)
        bags, weights = ends - lengths, self.values[entries]
        sums = embedding_bag(
            self.indices[entries], self.vectors, bags, mode="sum", per_sample_weights=weights
        )
        places = torch.arange(len(lengths), device=ends.device)
        places = places.repeat_interleave(lengths, output_size=len(entries))
        whole = torch.zeros(len(lengths), device=ends.device).index_add_(0, places, weights)
        return sums / whole.clamp(min=torch.finfo(torch.float32).tiny)[:, None], ends
