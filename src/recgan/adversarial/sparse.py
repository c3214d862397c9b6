"""Sparse matrices on a device, read in batches of rows."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from scipy.sparse import csr_array
from torch import Tensor

from recgan.adversarial.share import ALONE, Share


class Bags(NamedTuple):
    """Entries in bags, as `embedding_bag` reads them."""

    indices: Tensor
    """(entries,) what each entry points at, bag after bag."""
    offsets: Tensor
    """(bags,) where each bag begins."""
    values: Tensor | None
    """(entries,) or None where every entry is 1."""


class SparseBatch(NamedTuple):
    """Some rows of a sparse matrix."""

    rows: Tensor
    """(batch,) positions of the rows in their matrix."""
    by_row: Bags
    """A bag of columns for each row."""
    by_column: Bags | None
    """A bag of places in the batch for each column: what a gradient needs, absent where none is wanted."""
    entries: Tensor
    """(entries,) positions of the entries of `by_row` in their matrix."""
    mean_over: float
    """What a sum over these rows is divided by to be a mean: the rows, and where several processes share a
    batch the whole batch's rows over the processes, so that the mean of the processes is the batch's."""
    entries_over: float
    """The same for a sum over the entries."""
    among: tuple[Tensor, int] | None = None
    """(entries,) places of the entries among those of the whole batch, and how many these are; None where
    the batch is whole."""

    def cells(self, width: int) -> Tensor:
        """Return (entries,) positions of the entries in a flat (batch, width) array."""
        return self.places() * width + self.by_row.indices

    def places(self) -> Tensor:
        """Return (entries,) the row of each entry, counted within the batch."""
        ends = torch.cat([self.by_row.offsets[1:], self.entries.new_tensor([len(self.entries)])])
        places = torch.arange(len(self.rows), device=self.rows.device)
        return places.repeat_interleave(ends - self.by_row.offsets, output_size=len(self.entries))

    def uniform(self, each: int, rng: torch.Generator) -> Tensor:
        """Return (entries * each,) float64 within 0 and 1, those of an entry beside each other.

        Processes that share a batch draw for all of it, so that each entry has what it would have alone.
        """
        places, whole = (None, len(self.entries)) if self.among is None else self.among
        drawn = torch.rand(whole * each, generator=rng, device=rng.device, dtype=torch.float64)
        return drawn if places is None else drawn.view(whole, each)[places].flatten()


class SparseRows:
    """A sparse matrix on a device, read in batches of rows."""

    def __init__(self, matrix: csr_array) -> None:
        self.shape: tuple[int, int] = matrix.shape
        self.binary = bool((matrix.data == 1).all())
        self.indptr = torch.as_tensor(matrix.indptr, dtype=torch.long)
        self.indices = torch.as_tensor(matrix.indices, dtype=torch.long)
        self.values = torch.as_tensor(matrix.data, dtype=torch.float32)

    def to(self, device: torch.device) -> Self:
        """Move to a device."""
        self.indptr, self.indices = self.indptr.to(device), self.indices.to(device)
        self.values = self.values.to(device)
        return self

    def all(self) -> SparseBatch:
        """Return every row, in order, for use without gradient."""
        rows = torch.arange(self.shape[0], device=self.indptr.device)
        values = None if self.binary else self.values
        entries = torch.arange(len(self.indices), device=self.indptr.device)
        return SparseBatch(
            rows, Bags(self.indices, self.indptr[:-1], values), None, entries, len(rows), len(entries)
        )

    def batches(
        self,
        order: Tensor,
        size: int,
        dropout: float = 0,
        rng: torch.Generator | None = None,
        share: Share = ALONE,
    ) -> Iterator[SparseBatch]:
        """Yield the rows of `order` in batches; the last one takes what is left.

        The entries are sorted once for the whole pass, by row and by column, so that a batch is a slice.

        Args:
            order: (any number,) positions of rows.
            size: rows in a batch.
            dropout: share of the entries whose value becomes 0; the others grow so that the mean stays.
            rng: what draws them.
            share: this process's part of every batch; all processes draw alike.

        Raises:
            RecganError: a batch has fewer rows than there are processes.
        """
        share.check(size)
        n_rows, width = len(order), self.shape[1]
        n_batches = -(-n_rows // size)
        rows_over = [min(size, n_rows - size * number) / share.processes for number in range(n_batches)]
        lengths = (self.indptr[1:] - self.indptr[:-1])[order]
        places = repeated(lengths)  # (entries,)
        starts = lengths.cumsum(0) - lengths
        entries = (self.indptr[order] - starts)[places] + torch.arange(len(places), device=order.device)
        values = None if self.binary else self.values[entries]
        if dropout:
            kept = torch.rand(len(entries), generator=rng, device=order.device) >= dropout
            scale = kept / (1 - dropout)
            values = scale if values is None else values * scale
        wholes = [*starts[::size].tolist(), len(entries)]  # where each batch begins
        own_of_whole: Tensor | None = None
        if share.processes > 1:
            own = torch.arange(n_rows, device=order.device) % size % share.processes == share.rank
            size = len(range(share.rank, size, share.processes))
            taken = own[places]
            own_of_whole = taken.nonzero().squeeze(1)
            order, lengths, entries = order[own], lengths[own], entries[taken]
            values = None if values is None else values[taken]
            places, starts = repeated(lengths), lengths.cumsum(0) - lengths
        columns = self.indices[entries]
        borders = [*starts[::size].tolist(), len(entries)]
        if len(borders) == n_batches:  # the last batch has rows for other processes alone
            borders.append(len(entries))
        keys = places // size * width + columns
        by_column = keys.argsort(stable=True)
        counts = torch.bincount(keys, minlength=n_batches * width)
        column_starts = (counts.cumsum(0) - counts).view(n_batches, width)
        places, sorted_values = (places % size)[by_column], None if values is None else values[by_column]
        for number, (low, high) in enumerate(pairwise(borders)):
            part = slice(number * size, (number + 1) * size)
            first, n_entries = wholes[number], wholes[number + 1] - wholes[number]
            yield SparseBatch(
                order[part],
                Bags(columns[low:high], starts[part] - low, None if values is None else values[low:high]),
                Bags(
                    places[low:high],
                    column_starts[number] - low,
                    None if sorted_values is None else sorted_values[low:high],
                ),
                entries[low:high],
                rows_over[number],
                n_entries / share.processes,
                None if own_of_whole is None else (own_of_whole[low:high] - first, n_entries),
            )

    def cells(self) -> tuple[Tensor, Tensor]:
        """Return the row and the column of each entry, (entries,) each."""
        return repeated(self.indptr[1:] - self.indptr[:-1]), self.indices

    def dense(self) -> Tensor:
        """Return (rows, columns) float32: the matrix."""
        dense = torch.zeros(self.shape, device=self.indptr.device)
        dense[self.cells()] = self.values
        return dense


def repeated(lengths: Tensor) -> Tensor:
    """Return each position as often as its length says: the bag that each entry is in."""
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
