"""Half lives to try: of a grid as far as anything is known of time, and of what validation judges."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from recgan.recommenders.validation import Validation


class Weighing(Protocol):
    """A recommender that weighs histories by age when it scores them."""

    half_life_days: float | None


R = TypeVar("R", bound=Weighing)
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


def best_half_life(
    recommender: R, listed: Sequence[float | None], validate: Callable[[R], float]
) -> tuple[float | None, float]:
    """Return the half life with which a fitted recommender has the best score, and that score.

    The recommender keeps it. Of equal ones the first is taken, as where the histories have no ages.

    Args:
        recommender: fitted.
        listed: days, or None, which weighs nothing.
        validate: a score of the recommender as it stands, higher is better.
    """
    if isinstance(validate, Validation) and validate.window.ages is None:
        listed = listed[:1]  # the others would give the same
    scores: dict[float | None, float] = {}
    for days in listed:
        recommender.half_life_days = days
        scores[days] = validate(recommender)
    recommender.half_life_days = max(scores, key=lambda days: scores[days])
    return recommender.half_life_days, scores[recommender.half_life_days]
