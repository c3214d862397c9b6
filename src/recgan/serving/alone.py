"""The best items of one history, from a recommender that need not score all."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders.protocol import OneAtATime, Recommender


def best_of_one(
    recommender: Recommender,
    user_items: csr_array,
    ages: csr_array | None,
    n: int,
    left_out: NDArray[np.int32] | None,
) -> tuple[list[int], list[float]] | None:
    """Return positions and scores of the n best items; None where all have to be scored for that.

    Args:
        recommender: what ranks.
        user_items: (1, items), the history.
        ages: of its entries; None where nothing is known of time.
        n: how many.
        left_out: positions that are not answered; None for none.

    Raises:
        RecganError: a score is not a number; or whatever the recommender raises.
    """
    if not isinstance(recommender, OneAtATime):
        return None
    more = 0 if left_out is None else len(left_out)
    positions, scores = recommender.best(user_items, ages, n + more)
    if not np.isfinite(scores).all():
        raise RecganError("a score of the best items is not a number")
    if left_out is not None:
        kept = np.isin(positions, left_out, invert=True)
        positions, scores = positions[kept], scores[kept]
    return (positions[:n].tolist(), scores[:n].tolist()) if len(positions) >= n else None
