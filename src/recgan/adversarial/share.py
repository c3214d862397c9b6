"""How several processes share the rows of a training; alone, one has them all."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recgan.core.errors import RecganError


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process computes: rows rank, rank + processes and so on."""

    rank: int = 0
    processes: int = 1

    def check(self, batch_size: int) -> None:
        """Refuse batches that leave a process without rows.

        Raises:
            RecganError: there are more processes than rows in a batch.
        """
        if batch_size < self.processes:
            raise RecganError(
                f"a batch of {batch_size} rows is too small for {self.processes} processes; raise batch_size"
            )

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """Return what all processes computed (rows, …), in order.

        Args:
            own: (own rows, …), of the rows rank, rank + processes, …
            rows: how many there are of all processes.
        """
        if self.processes == 1:
            return own
        padded = own.new_zeros(-(-rows // self.processes), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(self.processes)]
        torch.distributed.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:rows]

    def add_up(self, *parts: Tensor) -> None:
        """Put into each tensor the sum of what all processes hold there, in one exchange."""
        if self.processes == 1:
            return
        together = torch.cat([part.reshape(-1) for part in parts])
        torch.distributed.all_reduce(together)
        for part, summed in zip(parts, torch.split(together, [part.numel() for part in parts]), strict=True):
            part.copy_(summed.view_as(part))

    def slice_of(self, n: int) -> slice:
        """Return this process's part of n columns; all parts together are the columns."""
        if self.processes == 1:
            return slice(None)
        return slice(n * self.rank // self.processes, n * (self.rank + 1) // self.processes)


ALONE = Share()
