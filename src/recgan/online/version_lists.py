"""What a registered version would have answered to logged requests.

The log has of a request its shopper, the items of its history, filters and length. What it has not is the
shopper's stored history of then: that is in the package that answered. An event of a request counts as a
purchase of that moment, since the log has neither its kind nor its time. New products outside the version's
vocabulary are not in its lists.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recgan.evaluation.exploration_settings import ExploreParams
from recgan.newcomers.assortment import Assortment
from recgan.online import plackett_luce
from recgan.online.policies import Target
from recgan.package.packaged import PackagedRecommender
from recgan.recommenders.protocol import top_k

Way = Literal["best", "drawn"]
"""How a version answers: its best items in their order, or drawn as `serve.explore` says."""

_BLOCK, _DRAWS = 256, 32

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """The history that a request was answered by."""

    items: list[str]
    confidences: list[float]
    ages: list[float] | None
    """Days; None where they are not known."""


def asked(request: Mapping[str, Any], answered: PackagedRecommender | None, worth: float) -> Asked:
    """Return the history of a request.

    Args:
        request: a row of SHOWN.
        answered: the package that answered; None where the request names nobody.
        worth: confidence of an event of the request.
    """
    events = request["history"] or []
    items, confidences, ages = list(events), [worth] * len(events), [0.0] * len(events)
    shoppers = None if answered is None else answered.shoppers
    stored = None if shoppers is None else shoppers.history(request["user_id"], request["time"])
    if answered is None or stored is None:
        return Asked(items, confidences, ages)
    items += answered.item_ids[stored.positions].tolist()
    confidences += stored.confidences.tolist()
    return Asked(items, confidences, None if stored.ages is None else ages + stored.ages.tolist())


def lists_of(
    version: PackagedRecommender,
    requests: pa.Table,
    answered: Mapping[str, PackagedRecommender],
    way: Way,
    explore: ExploreParams,
    items: pd.Index,
    seed: int,
) -> Target:
    """Return what a version would have answered.

    Args:
        version: its package.
        requests: of SHOWN.
        answered: the packages that answered, by version: those of requests that name a shopper.
        way: how it answers.
        explore: how lists are drawn.
        items: every id that may be named; its place is its number.
        seed: of its draws.
    """
    lengths = requests["k"].to_numpy().astype(np.int64)
    longest = int(lengths.max(initial=0))
    width = min(longest if way == "best" else max(longest, explore.candidates), len(version.item_ids))
    number = items.get_indexer(pd.Index(version.item_ids, dtype=object)).astype(np.int64)
    among = np.full((len(lengths), width), -1, dtype=np.int64)
    logs = np.full((len(lengths), width), -np.inf)
    for rows, scores in _scored(version, requests, answered):
        best, values = top_k(scores, width)
        among[rows] = np.where(best >= 0, number[best], -1)
        if way == "drawn":
            for row, found in zip(range(rows.start, rows.stop), values, strict=True):
                there = np.isfinite(found)
                logs[row, there] = plackett_luce.log_weights(found[there], explore.temperature)
    if way == "drawn":
        return Target.drawn(among, logs, lengths, _DRAWS, seed)
    lists = np.where(np.arange(min(longest, width)) < lengths[:, None], among[:, :longest], -1)
    return Target(lists[:, None])


def _scored(
    version: PackagedRecommender, requests: pa.Table, answered: Mapping[str, PackagedRecommender]
) -> Iterator[tuple[slice, Scores]]:
    """Yield rows and their scores, -inf for what a request leaves out."""
    settings, assortment = version.confidence, Assortment(version)
    binary = settings is None or settings.binary
    worth = 1.0 if settings is None or binary else settings.weights.get("purchase", 0.0)
    worth = worth or float(np.finfo(np.float32).tiny)  # what counts nothing is seen all the same
    columns = [
        *("user_id", "history", "time", "version", "exclude_seen", "categories", "min_price", "max_price")
    ]
    for start in range(0, len(requests), _BLOCK):
        rows = requests.slice(start, _BLOCK).select(columns).to_pylist()
        histories = [
            asked(one, None if one["user_id"] is None else answered[one["version"]], worth) for one in rows
        ]
        ages = None if any(one.ages is None for one in histories) else [one.ages for one in histories]
        user_items, since = version.matrices(
            [one.items for one in histories], [one.confidences for one in histories], ages
        )
        seen = user_items.nonzero()
        if binary:
            user_items.data[:] = np.minimum(user_items.data, 1)
        scores = np.array(version.recommender.score(user_items, since), dtype=np.float32)
        leaves = np.array([one["exclude_seen"] for one in rows])[seen[0]]
        scores[seen[0][leaves], seen[1][leaves]] = -np.inf
        for place, one in enumerate(rows):
            allowed = assortment.within(one["categories"], one["min_price"], one["max_price"])
            if allowed is not None:
                scores[place][~allowed] = -np.inf
        yield slice(start, start + len(rows)), scores
