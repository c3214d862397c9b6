"""The half lives that a grid lists, as far as anything is known of time."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)


def half_lives_to_try(
    of: str, listed: Sequence[float | None], times: NDArray[np.float32] | None
) -> Sequence[float | None]:
    """Return the listed half lives; only None, which weighs nothing, where nothing is known of time.

    Args:
        of: the recommender's name, for the log.
        listed: days, or None.
        times: days from the log's start to each entry of the matrix to be fitted on, or None.
    """
    if times is not None or not any(listed):
        return listed
    _log.info("%s: half_life_days counts for nothing, for not every event has a timestamp", of)
    return (None,)
