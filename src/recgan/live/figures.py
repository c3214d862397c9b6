"""What a month of the shop came to, as figures."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from recgan.live.days import APART, EXPECTED, ORACLE, POPULARITY, SERVED

CHAMPION = "champion"
_RESAMPLES = 2000
_Z = 1.96
"""Of an interval of 95 %."""


def figures(
    requests: pd.DataFrame, nights: Sequence[Mapping[str, Any]], trial: Mapping[str, Any] | None, days: int
) -> dict[str, Any]:
    """Return all figures of the page, as JSON takes them.

    Args:
        requests: as `live_day` returns them, with the column `arm`: champion, or challenger where the
            version of an experiment answered.
        nights: as `retrain` returns them.
        trial: the story of the broken version; None without one.
        days: that were asked for.
    """
    ours = requests[requests["arm"] == CHAMPION]
    by_day = {day: ours[ours["day"] == day] for day in ours["day"].unique().tolist()}
    ends = [int(night["day"]) for night in nights[1:]] + [int(requests["day"].max()) + 1]
    stretches = [
        stretch(night, requests[requests["day"].between(night["day"], end - 1)])
        for night, end in zip(nights, ends, strict=True)
    ]
    return {
        "days": int(requests["day"].max()) + 1,
        "asked_days": days,
        "requests": len(requests),
        "shoppers": int(requests["user_id"].nunique()),
        "per_100": {
            name: per_100(ours, column)
            for name, column in {CHAMPION: SERVED, POPULARITY: APART, "oracle": ORACLE}.items()
        },
        "lift": lift_with_interval(ours),
        "of_oracle": float(ours[SERVED].sum() / ours[ORACLE].sum()),
        "drawn": {
            "bought": int(ours["bought"].sum()),
            "opened": int(ours["opened"].sum()),
            "requests": len(ours),
            "per_100": per_100(ours, "bought"),
        },
        "same": float(ours[f"same_{CHAMPION}"].mean()),
        "daily": [
            {"day": day}
            | {
                name: per_100(of_day, column)
                for name, column in {CHAMPION: SERVED, POPULARITY: APART, "oracle": ORACLE}.items()
            }
            for day, of_day in sorted(by_day.items())
        ],
        "nights": [dict(night) | of_night for night, of_night in zip(nights, stretches, strict=True)],
        "order": order(stretches),
        "trial": None if trial is None else dict(trial) | exposed(requests),
    }


def per_100(requests: pd.DataFrame, column: str) -> dict[str, float]:
    """Return the mean of a column for 100 requests with its interval: a shopper's requests count together."""
    of_each = requests.groupby("user_id")[column].agg(["sum", "count"])
    total = of_each["count"].sum()
    mean = of_each["sum"].sum() / total
    spread = np.sqrt(((of_each["sum"] - mean * of_each["count"]) ** 2).sum()) / total
    return {
        "mean": float(100 * mean),
        "low": float(100 * (mean - _Z * spread)),
        "high": float(100 * (mean + _Z * spread)),
    }


def lift(requests: pd.DataFrame, column: str, other: str) -> float:
    """Return by which share a column's sum is above another's on the same requests."""
    return float(requests[column].sum() / requests[other].sum() - 1)


def lift_interval(requests: pd.DataFrame, column: str, other: str) -> tuple[float, float]:
    """Return the 95 % interval of the lift, by a bootstrap over shoppers."""
    of_each = requests.groupby("user_id")[[column, other]].sum().to_numpy()
    drawn = np.random.default_rng(0).multinomial(
        len(of_each), np.full(len(of_each), 1 / len(of_each)), _RESAMPLES
    )
    sums: NDArray[np.float64] = drawn @ of_each
    low, high = np.quantile(sums[:, 0] / sums[:, 1] - 1, [0.025, 0.975])
    return float(low), float(high)


def lift_with_interval(requests: pd.DataFrame) -> dict[str, float]:
    """Return the lift over popularity, which has a month of its own, with its interval."""
    low, high = lift_interval(requests, SERVED, APART)
    return {"mean": lift(requests, SERVED, APART), "low": low, "high": high}


def stretch(night: Mapping[str, Any], requests: pd.DataFrame) -> dict[str, Any]:
    """Return what the candidates of a night would have sold until the next one, beside their offline NDCG."""
    ours = requests[requests["arm"] == CHAMPION]
    sold = {
        name: float(100 * requests[EXPECTED + name].mean())
        for name in night["test"]
        if EXPECTED + name in requests
    }
    measured = [name for name in sold if name in night["test"]]
    return {
        "requests": len(requests),
        "sold": sold,
        "champion_sold": per_100(ours, SERVED),
        "lift": lift_with_interval(ours),
        "rank_correlation": correlation(
            [night["test"][name] for name in measured], [sold[name] for name in measured]
        ),
        "pairs": [alike(night[kind], sold) for kind in ("test", "validation")],
    }


def alike(offline: Mapping[str, float], sold: Mapping[str, float]) -> tuple[int, int]:
    """Return how many pairs of candidates stand in the same order by both, and of how many."""
    pairs = list(combinations([name for name in sold if name in offline], 2))
    same = [(offline[one] - offline[other]) * (sold[one] - sold[other]) > 0 for one, other in pairs]
    return sum(same), len(same)


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None where there is none."""
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)


def order(stretches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how well offline NDCG ordered the candidates over all nights."""
    known = [one["rank_correlation"] for one in stretches if one["rank_correlation"] is not None]
    test, validation = (
        [sum(one["pairs"][kind][part] for one in stretches) for part in (0, 1)] for kind in (0, 1)
    )
    return {
        "mean_correlation": float(np.mean(known)) if known else None,
        "test_pairs": test,
        "validation_pairs": validation,
    }


def exposed(requests: pd.DataFrame) -> dict[str, Any]:
    """Return what an experiment's version cost: what the champion would have sold to the same requests."""
    theirs = requests[requests["arm"] != CHAMPION]
    lost = theirs[EXPECTED + CHAMPION].sum() - theirs[SERVED].sum()
    return {
        "exposed": len(theirs),
        "exposed_shoppers": int(theirs["user_id"].nunique()),
        "sold_per_100": float(100 * theirs[SERVED].mean()) if len(theirs) else None,
        "champion_per_100": float(100 * theirs[EXPECTED + CHAMPION].mean()) if len(theirs) else None,
        "lost": float(lost),
    }
