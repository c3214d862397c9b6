"""How several processes share the rows of a training; alone, one has them all."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process computes: rows rank, rank + processes and so on."""

    rank: int = 0
    processes: int = 1

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


ALONE = Share()
