"""The candidates on the test window, user by user, and the challenger against the others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.evaluation.candidates import Candidate, best_of, challenger
from recgan.evaluation.days import day_by_day
from recgan.evaluation.lists import shown_lists
from recgan.evaluation.metrics import (
    item_popularity,
    next_item_metrics,
    popularity_shares,
    system_metrics,
    user_metrics,
)
from recgan.evaluation.rankings import Rankings, rank_all
from recgan.evaluation.segments import FEW_USERS, segments
from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.significance import compare, intervals
from recgan.features.matrices import Features
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.ranking import ndcg

POPULARITY_PARTS = 20
"""Equal parts of the catalogue in which the popularity of what is shown and bought is told."""

_IN_ORDER = ("time", "leave-last-out")
"""Splits in which all of a user's window comes after all of the history."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of the candidates found."""

    summary: dict[str, Any]
    per_user: pd.DataFrame
    """A row for each user with something held out."""
    rankings: Rankings
    """Of all test users, the challenger's first."""
    lists: dict[str, Any]
    """As `shown_lists` returns them."""


def evaluate(
    params: EvaluateParams,
    features: Features,
    candidates: Sequence[Candidate],
    load: Callable[[str], Recommender],
) -> Evaluation:
    """Rank the test users with every candidate, measure them, compare the challenger with the others.

    The challenger is chosen by validation alone. Users with nothing held out are left out, and counted in
    the summary.

    Args:
        params: the evaluate section.
        features: matrices.
        candidates: as training left them.
        load: name → the fitted recommender.

    Raises:
        RecganError: every candidate was skipped, or no user has anything held out.
    """
    came = features.test.came()
    held = np.flatnonzero(np.diff(came.indptr))
    left_out = came.shape[0] - held.size
    _log.info("%s test users, %s left out because nothing is held out", f"{held.size:,}", f"{left_out:,}")
    if held.size == 0:
        raise RecganError(
            "no test user has anything held out: every test event is of an unknown or already seen item; "
            "lengthen features.split.test_days or lower features.min_item_users"
        )
    candidates, rankings, first_lists = rank_all(features, candidates, load, max(params.k))
    chosen = challenger(candidates)
    rankings = {chosen: rankings.pop(chosen), **rankings}
    of_test = {name: one[held] for name, one in rankings.items()}
    measured, per_user = measure(of_test, features, held, params)
    lists = shown_lists(of_test, first_lists, features, held, params.primary_k, params.seed)
    summary = {
        "challenger": chosen,
        "recommender": next(one.kind for one in candidates if one.name == chosen),
        "candidates": [asdict(one) for one in candidates],
        "users": int(held.size),
        "users_left_out": int(left_out),
        "items": len(features.items),
        "features_md5": features.summary.get("md5"),
        "cuts": features.summary.get("cuts"),
        **measured,
        "adversarial": _adversarial(candidates, of_test, csr_array(came[held]), params),
    }
    return Evaluation(summary, per_user, rankings, lists)


def _adversarial(
    candidates: Sequence[Candidate], rankings: Rankings, held_out: csr_array, params: EvaluateParams
) -> dict[str, Any] | None:
    """Compare the best GAN with each classical candidate, the two bests by validation; None without both."""
    gan = best_of([one for one in candidates if one.adversarial])
    classical = best_of([one for one in candidates if one.classical])
    if gan is None or classical is None:
        return None
    others = [one.name for one in candidates if one.classical and one.skipped is None]
    primary = {name: ndcg(rankings[name], held_out, params.primary_k) for name in (gan, *others)}
    comparisons = compare(
        primary[gan],
        {name: primary[name] for name in others},
        params.bootstrap_samples,
        params.confidence,
        params.seed,
    )
    return {"gan": gan, "classical": classical, "comparisons": [asdict(one) for one in comparisons]}


def measure(
    rankings: Mapping[str, NDArray[np.int32]],
    features: Features,
    rows: NDArray[np.intp],
    params: EvaluateParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure rankings of the same users: metrics, intervals, comparisons, segments, days.

    All that came counts, also the items outside the vocabulary. `known_ndcg` is of the vocabulary alone, over
    the users to whom something of it came. `next_ndcg` and `next_hr` are of each user's next item alone
    (`HeldOut.next_items`), wherever it lies; a split that mixes before and after has none.

    Args:
        rankings: name → (rows, places); the first is the one that the others are compared with.
        features: matrices.
        rows: the test rows that are ranked, all with something held out.
        params: the evaluate section.

    Returns:
        What the summary says of them, and a table with one row for each user.
    """
    history, held_out = csr_array(features.test.history[rows]), csr_array(features.test.held_out[rows])
    came = csr_array(features.test.came()[rows])
    knows = np.diff(held_out.indptr) > 0
    popularity = item_popularity(features.train_validation)
    n_users = features.train_validation.shape[0]
    k = params.primary_k
    shown = (f"hr_at_{k}", f"ndcg_at_{k}")
    of_users = {name: user_metrics(ranking, came, params.k) for name, ranking in rankings.items()}
    of_known = {
        name: {f"known_ndcg_at_{cut}": ndcg(ranking, held_out, cut)[knows] for cut in params.k}
        for name, ranking in rankings.items()
    }
    following = features.test.next_items() if features.summary.get("split") in _IN_ORDER else None
    of_next = {
        name: {} if following is None else next_item_metrics(ranking, csr_array(following[rows]), params.k)
        for name, ranking in rankings.items()
    }
    per_user = pd.DataFrame(
        {
            "user_id": features.test.user_ids[rows].astype(str),
            "history_items": np.diff(history.indptr),
            "held_out_items": np.diff(held_out.indptr),
            "outside_items": np.diff(came.indptr) - np.diff(held_out.indptr),
        }
        | {f"{name}.{metric}": of_users[name][metric] for name in rankings for metric in shown}
    )
    ranged = [f"{metric}_at_{cut}" for cut in params.k for metric in ("hr", "ndcg", "recall")]
    ranges = _ranges(
        {name: {one: of_users[name][one] for one in ranged} | of_next[name] for name in rankings}, params
    )
    of_known_ranges = _ranges(of_known, params)
    recommenders = {
        name: {
            "metrics": {
                metric: float(values.mean())
                for metric, values in (of_users[name] | of_known[name] | of_next[name]).items()
            }
            | system_metrics(ranking, history, popularity, n_users, params.k),
            "intervals": ranges[name] | of_known_ranges[name],
        }
        for name, ranking in rankings.items()
    }
    primary = {name: of_users[name][f"ndcg_at_{k}"] for name in rankings}
    first = next(iter(rankings))
    comparisons = compare(
        primary[first],
        {name: values for name, values in primary.items() if name != first},
        params.bootstrap_samples,
        params.confidence,
        params.seed,
    )
    parts = segments(history, came, popularity, params.head_share, new_items(features, params))
    measured = {
        "primary_k": k,
        "known_users": int(knows.sum()),
        "outside_items": came.shape[1] - held_out.shape[1],
        "outside_share": 1 - held_out.nnz / came.nnz,
        "days": day_by_day(rankings, features, rows, k),
        "bootstrap_samples": params.bootstrap_samples,
        "confidence": params.confidence,
        "recommenders": recommenders,
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "segments": {name: _segment(part, rankings, params) for name, part in parts.items()},
        "popularity": {
            "catalogue": [part / POPULARITY_PARTS for part in range(1, POPULARITY_PARTS + 1)],
            "bought": popularity_shares(item_popularity(held_out), popularity, POPULARITY_PARTS),
            "shown": {
                name: popularity_shares(
                    _times_shown(ranking[:, :k], popularity.size), popularity, POPULARITY_PARTS
                )
                for name, ranking in rankings.items()
            },
        },
    }
    return measured, per_user


def new_items(features: Features, params: EvaluateParams) -> NDArray[np.bool_] | None:
    """Tell which items were first seen at most new_item_days before the test window; None without times."""
    cuts = features.summary.get("cuts")
    if not cuts:
        return None
    since = pd.Timestamp(cuts["test_start"]) - pd.Timedelta(days=params.new_item_days)
    first_seen = pd.to_datetime(features.items["first_seen"], utc=True)
    return (first_seen >= since.tz_convert("UTC")).to_numpy(dtype=np.bool_)


def flat_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """Flatten a summary to names such as `ease.ndcg_at_10` and `ease.tail_items.ndcg_at_10`.

    MLflow allows letters, digits, dots and underscores in a name, no `@`.
    """
    k = summary["primary_k"]
    counts = ("users", "users_left_out", "known_users", "outside_share")
    flat: dict[str, float] = {name: summary[name] for name in counts}
    for name, measured in summary["recommenders"].items():
        flat |= {f"{name}.{metric}": value for metric, value in measured["metrics"].items()}
        for metric, interval in measured["intervals"].items():
            flat |= {f"{name}.{metric}_{end}": interval[end] for end in ("low", "high")}
    for segment, part in summary["segments"].items():
        ours = summary["challenger"]
        flat[f"{ours}.{segment}.ndcg_at_{k}"] = part["ndcg"][ours]
    return flat


def _ranges(
    of_users: Mapping[str, Mapping[str, NDArray[np.float64]]], params: EvaluateParams
) -> dict[str, dict[str, Any]]:
    """Return the interval of each metric of each recommender, all of the same users."""
    columns = np.stack([values for metrics in of_users.values() for values in metrics.values()], axis=1)
    ranges = iter(intervals(columns, params.bootstrap_samples, params.confidence, params.seed))
    return {name: {metric: asdict(next(ranges)) for metric in one} for name, one in of_users.items()}


def _segment(
    held_out: csr_array, rankings: Mapping[str, NDArray[np.int32]], params: EvaluateParams
) -> dict[str, Any]:
    rows = np.flatnonzero(np.diff(held_out.indptr))
    held_out = csr_array(held_out[rows])
    columns = [ndcg(ranking[rows], held_out, params.primary_k) for ranking in rankings.values()]
    ranges = intervals(np.stack(columns, axis=1), params.bootstrap_samples, params.confidence, params.seed)
    return {
        "users": len(rows),
        "too_few": len(rows) < FEW_USERS,
        "ndcg": {name: found.mean for name, found in zip(rankings, ranges, strict=True)},
        "intervals": {name: asdict(found) for name, found in zip(rankings, ranges, strict=True)},
    }


def _times_shown(ranking: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    return np.bincount(ranking[ranking >= 0], minlength=n_items)
