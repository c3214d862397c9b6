"""The test window day by day: a list of before the window loses on what is first sold in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import Features
from recgan.recommenders.ranking import ndcg

DAYS = (
    "The same lists, made before the window, against what came on each of its days. Outside is the share of "
    "that which the vocabulary does not have; a list made before the window cannot show it."
)

MOST = 31
"""Rows of the table: a longer window is told in parts of several days."""


def day_by_day(
    rankings: Mapping[str, NDArray[np.int32]], features: Features, rows: NDArray[np.intp], k: int
) -> list[dict[str, Any]]:
    """Measure the same rankings against what came on each day of the test window, all that came.

    A day's users are those who first came to an item on it; its NDCG is the mean over them.

    Args:
        rankings: name → (rows, places), of lists made before the window.
        features: matrices.
        rows: the test rows that are ranked.
        k: places that count.

    Returns:
        An entry for each day with something in it, the window's first is day 1; of a long window for each
        part of several days. Empty unless the split is in time.
    """
    cuts, times = features.summary.get("cuts"), features.test.came_times()
    if not cuts or times is None:
        return []
    came, n_items = features.test.came(), features.test.held_out.shape[1]
    since = pd.Timestamp(cuts["test_start"]) - pd.Timestamp(features.summary["log"]["start"])
    days = np.floor(times - since / pd.Timedelta(days=1)).astype(np.int64).clip(0)
    step = -(-(int(days.max(initial=0)) + 1) // MOST)
    found = []
    for part in np.unique(days // step):
        own = came.copy()
        own.data = ((came.data != 0) & (days // step == part)).astype(np.float32)
        own.eliminate_zeros()
        own = csr_array(own[rows])
        some = np.diff(own.indptr) > 0
        if some.any():
            found.append(
                {
                    "day": int(part * step) + 1,
                    "last_day": int((part + 1) * step),
                    "users": int(some.sum()),
                    "interactions": int(own.nnz),
                    "outside": int((own.indices >= n_items).sum()),
                    "ndcg": {name: float(ndcg(one, own, k)[some].mean()) for name, one in rankings.items()},
                }
            )
    return found


def came_words(summary: Mapping[str, Any]) -> str:
    """Say what the figures count: all that came, and how much of it the vocabulary does not have."""
    if "outside_share" not in summary:  # of an evaluation before this was counted
        return ""
    return (
        f"All that came counts: {summary['outside_share']:.1%} of it, {summary['outside_items']:,} items, is "
        "outside the vocabulary, a miss for every list. What is called known counts the vocabulary alone, "
        f"over the {summary['known_users']:,} users to whom something of it came. What is called next counts "
        "the item that came first to a user, in the vocabulary or not; of several at one instant each counts."
    )


def day_words(day: Mapping[str, Any]) -> str:
    """Name a row of the table: a day of the window, or several."""
    first, last = day["day"], day["last_day"]
    return f"{first}" if first == last else f"{first}–{last}"


def outside_share(day: Mapping[str, Any]) -> float:
    """Return the share of what came on a day that is outside the vocabulary."""
    return float(day["outside"] / day["interactions"])
