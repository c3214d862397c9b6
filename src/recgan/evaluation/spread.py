"""What more windows, more seeds and the ablation say of the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recgan.evaluation.replications import Replication
from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.significance import (
    Comparison,
    detectable_difference,
    holm,
    p_two_sided,
    resampled_means,
)
from recgan.features.matrices import Features
from recgan.recommenders.ranking import ndcg


@dataclass(frozen=True)
class Repeated:
    """A metric of two recommenders over user-windows: a user of several windows has several rows."""

    user_ids: NDArray[np.object_]
    """(rows,) in any order."""
    challenger: NDArray[np.float64]
    """(rows,)"""
    other: NDArray[np.float64]
    """(rows,)"""


def spread(
    rankings: Mapping[str, NDArray[np.int32]],
    features: Features,
    seeds: Mapping[str, int | None],
    replications: Sequence[Replication],
    params: EvaluateParams,
) -> dict[str, Any] | None:
    """Return what the summary says of the replications; None where there are none.

    Of several seeds a user's figure is their mean, so that seeds make no user count more than once.

    Args:
        rankings: name → of all users of today's window by what the stage `train` left, the challenger first.
        features: of today's window.
        seeds: name → the candidate's own seed; None of what draws nothing.
        replications: the rest.
        params: the evaluate section.
    """
    if not replications:
        return None
    came = features.test.came()
    some = np.diff(came.indptr) > 0
    today = {name: ndcg(one, came, params.primary_k)[some] for name, one in rankings.items()}
    table = _table(today, features.test.user_ids[some], seeds, replications)
    starts = {0: (features.summary.get("cuts") or {}).get("test_start", "today's")} | {
        one.window: one.test_start for one in replications
    }
    means = table.groupby(["candidate", "ablated", "window", "seed"])["ndcg"].mean()
    windows = sorted(starts)
    challenger = next(iter(today))
    whole = {name: _of(table, name, ablated=False) for name in today}
    ablated = {name: _of(table, name, ablated=True) for name in today if (name, True) in means.index}
    several = len(windows) > 1
    return {
        "windows": [
            {"window": window, "test_start": starts[window], "users": _users_of(table, window)}
            for window in windows
        ],
        "seeds": params.seeds,
        "candidates": [
            {
                "name": name,
                "ablated": kind,
                "figures": [
                    {"window": int(window), "seed": int(seed) if seed >= 0 else None, "ndcg": float(ndcg)}
                    for (window, seed), ndcg in means[name, kind].items()
                ],
                **_spread_of(means[name, kind]),
            }
            for name in today
            for kind in (False, True)
            if (name, kind) in means.index
        ],
        "skipped": [one.entry() for one in replications if one.skipped is not None],
        "pooled": _compared({n: (whole[challenger], whole[n]) for n in today if n != challenger}, params)
        if several
        else [],
        "ablation": {
            "today": _compared(
                {name: (_first(whole[name]), _first(without)) for name, without in ablated.items()}, params
            ),
            "pooled": _compared({name: (whole[name], without) for name, without in ablated.items()}, params)
            if several
            else [],
        },
    }


def _table(
    today: Mapping[str, NDArray[np.float64]],
    user_ids: NDArray[np.object_],
    seeds: Mapping[str, int | None],
    replications: Sequence[Replication],
) -> pd.DataFrame:
    """Return a row for each user of each training; the seed of what draws nothing is -1."""
    columns = ("candidate", "ablated", "window", "seed", "user_id", "ndcg")
    parts = [(name, False, 0, seeds[name], user_ids, ndcg) for name, ndcg in today.items()]
    parts += [
        (one.candidate, one.ablated, one.window, one.seed, one.user_ids, one.ndcg)
        for one in replications
        if one.skipped is None and one.candidate in today
    ]
    frames = [pd.DataFrame(dict(zip(columns, part, strict=True))) for part in parts]
    table = pd.concat([frame.assign(seed=frame["seed"].astype(object)) for frame in frames])
    table["seed"] = [-1 if seed is None else int(seed) for seed in table["seed"]]
    table["user_id"] = table["user_id"].astype(str)
    return table


def _of(table: pd.DataFrame, name: str, *, ablated: bool) -> "pd.Series[float]":
    """Return NDCG by window and user, the mean over seeds."""
    rows = table[(table["candidate"] == name) & (table["ablated"] == ablated)]
    return rows.groupby(["window", "user_id"])["ndcg"].mean()


def _first(of_users: "pd.Series[float]") -> "pd.Series[float]":
    """Return those of today's window alone."""
    return of_users[of_users.index.get_level_values("window") == 0]


def _users_of(table: pd.DataFrame, window: int) -> int:
    return int(table.loc[table["window"] == window, "user_id"].nunique())


def _spread_of(means: "pd.Series[float]") -> dict[str, float | None]:
    """Return the mean over windows, and the standard deviations over windows and over seeds.

    Over windows: of the means over seeds. Over seeds: within a window, the root of the variances' mean.
    """
    by_window = means.groupby("window")
    variances = by_window.var().dropna()
    return {
        "mean": float(by_window.mean().mean()),
        "sd_windows": float(by_window.mean().std()) if len(by_window) > 1 else None,
        "sd_seeds": float(np.sqrt(variances.mean())) if len(variances) else None,
    }


def _compared(
    pairs: Mapping[str, tuple["pd.Series[float]", "pd.Series[float]"]], params: EvaluateParams
) -> list[dict[str, Any]]:
    """Compare two by two over the users and windows that both have."""
    rows = {}
    for name, two in pairs.items():
        both = pd.concat(two, axis=1, join="inner", keys=("ours", "other"))
        if len(both):
            ids = both.index.get_level_values("user_id").to_numpy(dtype=object)
            rows[name] = Repeated(ids, both["ours"].to_numpy(), both["other"].to_numpy())
    found = compare_repeated(rows, params.bootstrap_samples, params.confidence, params.seed)
    return [asdict(one) for one in found]


def compare_repeated(
    pairs: Mapping[str, Repeated], samples: int, confidence: float, seed: int
) -> list[Comparison]:
    """Compare a challenger with others over several windows, Holm over the comparisons.

    Users are drawn with all their rows, since those of one user are not independent (a cluster bootstrap;
    Davison & Hinkley 1997, §3.8). Every row counts alike, so a sample's mean difference is the sum of the
    drawn users' differences by the number of their rows. With one row a user this is `compare`.

    Args:
        pairs: name of the other → the rows.
        samples: number of bootstrap samples.
        confidence: of the interval of the difference.
        seed: of the draws.

    Raises:
        RecganError: there is no user.
    """
    drawn = []
    for one in pairs.values():
        _, codes = np.unique(one.user_ids.astype(str), return_inverse=True)
        sums = np.stack(
            [np.bincount(codes, one.challenger - one.other), np.bincount(codes).astype(float)], axis=1
        )
        means = resampled_means(sums, samples, seed)  # (samples, 2)
        drawn.append(means[:, 0] / means[:, 1])
    p_values = [p_two_sided(differences) for differences in drawn]
    ends = [np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2]) for differences in drawn]
    return [
        Comparison(
            name=name,
            mean_challenger=float(one.challenger.mean()),
            mean_other=float(one.other.mean()),
            difference=float((one.challenger - one.other).mean()),
            low=float(low),
            high=float(high),
            p_value=p_value,
            p_holm=p_holm,
            detectable=detectable_difference(differences, confidence),
        )
        for (name, one), differences, (low, high), p_value, p_holm in zip(
            pairs.items(), drawn, ends, p_values, holm(p_values), strict=True
        )
    ]
