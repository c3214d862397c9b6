"""A number for each item of each history of a question."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recgan.core.errors import RecganError


def one_for_each(
    what: str, given: Sequence[Sequence[float] | None] | None, lengths: list[int], otherwise: float
) -> NDArray[np.float64]:
    """Return a number for each item of all histories; `otherwise` where a history has none.

    Raises:
        RecganError: a history has more or fewer numbers than items.
    """
    if given is None:
        return np.full(sum(lengths), otherwise)
    numbers: list[float] = []
    for values, length in zip(given, lengths, strict=True):
        if values is not None and len(values) != length:
            raise RecganError(f"{len(values)} {what} for a history of {length} items; give one for each")
        numbers += [otherwise] * length if values is None else values
    return np.array(numbers, dtype=np.float64)
