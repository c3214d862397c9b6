"""What a version is asked before anyone asks it: whether it answers, and how fast."""

import time
from typing import TYPE_CHECKING

import numpy as np

from recgan.core.errors import RecganError
from recgan.serving.histories import History
from recgan.serving.schema import MAX_HISTORY, Event

if TYPE_CHECKING:  # which asks these questions itself
    from recgan.serving.model import ServedModel


def check(served: "ServedModel", k: int) -> None:
    """Ask what a shop will ask.

    Raises:
        RecganError: an answer is wrong; or whatever the recommender raises.
    """
    history = _popular(served, 3)
    known, version = history.seen, served.model.version
    best = [item.item_id for item in served.rank(history, k).items]
    seen = set(served.packaged.item_ids[known])
    if (
        len(set(best)) != len(best)
        or len(best) != min(k, len(served.item_ids) - len(known))
        or seen & set(best)
    ):
        raise RecganError(f"version {version} answers {best} to {sorted(seen)}, k = {k}")
    nothing = [served.rank(served.history(events), k) for events in ([], [Event(item_id="\n no item")])]
    if nothing[0] != nothing[1] or len(nothing[0].items) != min(k, len(served.item_ids)):
        raise RecganError(
            f"version {version} answers an empty history and an unknown item differently, or "
            f"with fewer than {min(k, len(served.item_ids))} items"
        )


def measured(served: "ServedModel") -> tuple[float, float]:
    """Time a short history and the longest that a request may hold; between them a straight line.

    Returns:
        The seconds of an answer to an empty history, and of each item of one.

    Raises:
        RecganError: a score is not a number; or whatever the recommender raises.
    """
    lengths, taken = (3, min(MAX_HISTORY, len(served.packaged.item_ids))), []
    for length in lengths:
        history, times = _popular(served, length), []
        served.score(history)
        for _ in range(3):
            began = time.perf_counter()
            served.rank(history, 10)
            times.append(time.perf_counter() - began)
        taken.append(min(times))
    each = max(0.0, taken[1] - taken[0]) / max(1, lengths[1] - lengths[0])
    return max(0.0, taken[0] - each * lengths[0]), each


def _popular(served: "ServedModel", length: int) -> History:
    popularity = served.packaged.popularity
    known = np.sort(np.argsort(-popularity, kind="stable")[:length].astype(np.int32))
    return History(known, np.ones(len(known), dtype=np.float32), known)
