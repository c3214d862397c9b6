"""What suits a log of this length: windows, limits, and how small a difference it can show."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

_WINDOWS = (7, 14, 28, 56)  # days
_ENOUGH = 500  # shoppers in a window, from which a longer one is not worth what it takes from train
_SHARE = 0.4  # of the log that both windows may take
_SPREAD = (0.1, 0.21)
"""Standard deviation over shoppers of the difference in NDCG@10: of two good recommenders, and of one and
best sellers (docs/experiments/how-much-data.md)."""
_WINS = (0.02, 0.17)
"""The smallest and the largest difference in NDCG@10 to best sellers there."""


@dataclass(frozen=True)
class Sizes:
    """Parameters that follow from the kept events."""

    days: float
    """From the first event to the last."""
    window: int
    """Days of validation, and of test."""
    shoppers: int
    """With something new in the test window."""
    min_user_items: int
    min_item_users: int
    min_events: int
    monitor_events: int
    max_user_share: float
    few: bool
    """Too few shoppers for a network to learn from."""


def suited(kept: pd.DataFrame, monitor_days: float) -> Sizes:
    """Choose windows and limits.

    Windows are the shortest of 7, 14, 28 and 56 days with 500 shoppers in the test window. Without such a one
    they are the longest that leave 60 % of the log for train.

    Args:
        kept: (events,) user_id, item_id and timestamp of what validation keeps.
        monitor_days: the days that the monitor looks at.
    """
    end = kept["timestamp"].max()
    days = (end - kept["timestamp"].min()) / pd.Timedelta(days=1)
    allowed = [window for window in _WINDOWS if 2 * window <= _SHARE * days]
    allowed = allowed or [max(1, math.floor(days * _SHARE / 2))]
    first = kept.groupby(["user_id", "item_id"], observed=True)["timestamp"].min().reset_index()
    counts = {w: _shoppers_after(first, end - pd.Timedelta(days=w)) for w in allowed}
    window = next((w for w in allowed if counts[w] >= _ENOUGH), allowed[-1])
    train = first[first["timestamp"] < end - pd.Timedelta(days=2 * window)]
    per_user, per_item = train["user_id"].value_counts(), train["item_id"].value_counts()
    recent = int((kept["timestamp"] > end - pd.Timedelta(days=monitor_days)).sum())
    users = kept["user_id"].nunique()
    largest = kept["user_id"].value_counts(normalize=True).max()
    return Sizes(
        days=days,
        window=window,
        shoppers=counts[window],
        min_user_items=3 if (per_user >= 3).mean() >= 0.3 else 2,
        min_item_users=3 if per_item[per_item >= 3].sum() >= 0.8 * per_item.sum() else 2,
        min_events=_two_digits(len(kept) / 2),
        monitor_events=_two_digits(recent / 2),
        # Of 100 shoppers one may well have 5 % of the events; of 10,000 only a robot has.
        max_user_share=0.02 if largest <= 0.02 or users >= 500 else min(1, math.ceil(150 * largest) / 100),
        few=users < 300,
    )


def _shoppers_after(first: pd.DataFrame, start: pd.Timestamp) -> int:
    return int(first.loc[first["timestamp"] >= start, "user_id"].nunique())


def _two_digits(number: float) -> int:
    if number < 1:
        return 1
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(number // unit * unit)


def detectable(shoppers: int, spread: float, level: float, power: float = 0.8) -> float:
    """Return the smallest true difference in mean NDCG that so many shoppers show in four of five tests.

    (z of 1 - level/2 + z of power) · spread / √shoppers, as evaluation/significance.py has it for measured
    differences (the minimum detectable effect of Bloom 1995).

    Args:
        shoppers: of the test window.
        spread: standard deviation of the difference over shoppers.
        level: of the two-sided test.
        power: share of tests in which it shows.
    """
    normal = NormalDist()
    return float((normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * spread / np.sqrt(shoppers))


def enough(shoppers: int, min_users: int, level: float) -> str:
    """Say in words what the gate could tell apart with this many shoppers in the test window."""
    if shoppers < min_users:
        return (
            f"HOPELESS as it is: {shoppers:,} shoppers met something new in the test window, and the "
            f"gate judges nothing on fewer than {min_users}. Export a longer period, or lengthen "
            "features.split.test_days."
        )
    close, far = (detectable(shoppers, spread, level) for spread in _SPREAD)
    least, most = _WINS
    show = (
        "every one of them would show"
        if far <= least
        else "a small one may not show"
        if far <= math.sqrt(least * most)
        else "only a large one will show"
    )
    return (
        f"With {shoppers:,} shoppers in the test window, four of five tests find a difference in NDCG@10 of "
        f"{far:.3f} between a recommender and best sellers, and of {close:.3f} between two good recommenders "
        f"(2.8 standard errors). Wins over best sellers that were measured are {least} to {most}: {show}."
    )
