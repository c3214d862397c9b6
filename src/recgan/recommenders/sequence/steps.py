"""Histories in their order, as padded batches."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.share import Share

GAPS = 18
"""Buckets of the time since the step before: up to an hour, then twice as long each; the last is of none."""
STRENGTHS = 17
"""Buckets of the confidence: a factor of √2 each, 1 in the middle."""


class Steps(NamedTuple):
    """Some histories, oldest first; what stands behind a history's end is not to be read."""

    items: Tensor
    """(batch, longest) positions in the catalogue."""
    gaps: Tensor
    """(batch, longest) bucket of the time since the step before."""
    strengths: Tensor
    """(batch, longest) bucket of the confidence."""
    lengths: Tensor
    """(batch,)"""

    def before_last(self) -> "Steps":
        """Return all steps but the last column."""
        return Steps(self.items[:, :-1], self.gaps[:, :-1], self.strengths[:, :-1], self.lengths - 1)

    def of(self, share: Share) -> "Steps":
        """Return the histories that are a process's own, as long as the longest of all."""
        return Steps(*(part[share.rank :: share.processes] for part in self))

    def there(self) -> Tensor:
        """Tell (batch, longest) which steps are of a history."""
        return torch.arange(self.items.shape[1], device=self.lengths.device) < self.lengths[:, None]


class Sequences:
    """The rows of a matrix in the order of their entries' times."""

    def __init__(
        self, user_items: csr_array, times: NDArray[np.floating[Any]], longest: int, device: torch.device
    ) -> None:
        """Take the rows; of those at one time the lower position is the earlier.

        Args:
            user_items: (rows, items), confidences.
            times: (entries,) days, the later the higher, from any start.
            longest: steps to read of each, the newest.
            device: where the batches are made.
        """
        self.longest = longest
        self.lengths = torch.as_tensor(np.diff(user_items.indptr).astype(np.int64), device=device)
        self._starts = torch.as_tensor(user_items.indptr[:-1].astype(np.int64), device=device)
        self._items = torch.as_tensor(user_items.indices.astype(np.int64), device=device)
        self._times = torch.as_tensor(times.astype(np.float32), device=device)
        steps = np.clip(np.rint(2 * np.log2(np.maximum(user_items.data, 1e-30))), -8, 8) + 8
        self._strengths = torch.as_tensor(steps.astype(np.int64), device=device)
        rows = torch.arange(len(self.lengths), device=device)
        self._rows = rows.repeat_interleave(self.lengths, output_size=user_items.nnz)
        self._sort(torch.arange(user_items.nnz, device=device))

    def shuffle_ties(self, rng: torch.Generator) -> None:
        """Put the entries of one time into a new random order."""
        self._sort(torch.rand(len(self._items), generator=rng, device=rng.device).argsort())

    def batch(self, rows: Tensor) -> Steps:
        """Return the newest steps of some rows."""
        lengths = self.lengths[rows].clamp(max=self.longest)
        first = (self._starts + self.lengths)[rows] - lengths
        place = torch.arange(int(lengths.max()) if len(rows) else 0, device=rows.device)
        # Behind the end stands the last step again, so that every place can be read.
        place = torch.minimum(place, (lengths - 1).clamp(min=0)[:, None])
        entries = self._order[first[:, None] + place]
        times = self._times[entries]
        gaps = _gap_buckets(torch.diff(times, dim=1, prepend=times[:, :1]))
        gaps[:, :1] = GAPS - 1
        return Steps(self._items[entries], gaps, self._strengths[entries], lengths)

    def _sort(self, order: Tensor) -> None:
        """Sort entries by row, then time, then the order given."""
        order = order[self._times[order].argsort(stable=True)]
        self._order = order[self._rows[order].argsort(stable=True)]


def _gap_buckets(days: Tensor) -> Tensor:
    return (days.clamp(min=0) * 24 + 1).log2().floor().long().clamp(max=GAPS - 2)
