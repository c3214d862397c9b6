"""The evaluate stage: the recommender against the tuned baselines on the test window, user by user."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.errors import RecganError
from recgan.evaluation.metrics import item_popularity, popularity_shares, system_metrics, user_metrics
from recgan.evaluation.page import OURS, page
from recgan.evaluation.segments import FEW_USERS, segments
from recgan.evaluation.significance import compare, intervals
from recgan.features.matrices import Features, read_features
from recgan.files import read_json, replacing, write_json, write_text
from recgan.params import EvaluateParams, load_params
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg, once

POPULARITY_PARTS = 20
"""Equal parts of the catalogue in which the popularity of what is shown and bought is told."""

_log = logging.getLogger(__name__)

Rankings = dict[str, NDArray[np.int32]]


def evaluate(root: Path = Path()) -> None:
    """Rank the test users, measure every recommender, compare ours with each baseline, write the report.

    Users with nothing held out are left out, and counted in the summary. Writes metrics/evaluation.json,
    data/evaluation (per_user.parquet, rankings.npz, summary.json), reports/evaluation.md and
    reports/evaluation.html.

    Raises:
        RecganError: an input is missing or does not fit the features, or no user has anything held out.
    """
    params = load_params(root / "params.yaml").evaluate
    features = read_features(root / "data" / "features")
    longest = max(params.k)
    exclude_seen = not features.summary["repeat_purchases"]
    recommender = load_recommender(root / "models" / "recommender")
    ours, _ = recommend(recommender, features.test.history, longest, exclude_seen)
    rankings: Rankings = {OURS: ours, **read_rankings(root, features, longest)}
    held = np.flatnonzero(np.diff(features.test.held_out.indptr))
    left_out = features.test.held_out.shape[0] - held.size
    _log.info("%d test users, %d left out because nothing is held out", held.size, left_out)
    if held.size == 0:
        raise RecganError(
            "no test user has anything held out: every test event is of an unknown or already seen item; "
            "lengthen features.split.test_days or lower features.min_item_users"
        )
    measured, per_user = measure({name: one[held] for name, one in rankings.items()}, features, held, params)
    summary = {
        "recommender": read_json(root / "models" / "recommender" / "recommender.json")["name"],
        "users": int(held.size),
        "users_left_out": int(left_out),
        "items": len(features.items),
        "features_md5": features.summary.get("md5"),
        "cuts": features.summary.get("cuts"),
        **measured,
    }
    with replacing(root / "data" / "evaluation") as folder:
        folder.mkdir()
        per_user.to_parquet(folder / "per_user.parquet", index=False)
        arrays: dict[str, Any] = rankings
        np.savez_compressed(folder / "rankings.npz", **arrays)
        write_json(folder / "summary.json", summary)
    write_json(root / "metrics" / "evaluation.json", flat_metrics(summary))
    write_text(root / "reports" / "evaluation.md", report(summary))
    write_text(root / "reports" / "evaluation.html", page(root))
    _log.info("\n%s", evaluation_table(root))


def read_rankings(root: Path, features: Features, longest: int) -> Rankings:
    """Read the baselines' rankings, cut to the longest k; an item repeated in a list counts once.

    Raises:
        RecganError: they are missing, not readable, too short, or of other features.
    """
    path = root / "data" / "baselines" / "rankings.npz"
    try:
        with np.load(path) as stored:
            rankings = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise RecganError(f"no readable rankings in {path} ({error}); run dvc repro baselines") from None
    n_users, n_items = features.test.history.shape
    for name, ranking in rankings.items():
        if ranking.shape[0] != n_users or ranking.max(initial=-1) >= n_items:
            raise RecganError(
                f"{path} ranks {ranking.shape[0]} users with {name}, but the features have {n_users} "
                f"test users and {n_items} items; run dvc repro baselines"
            )
        if ranking.shape[1] < min(longest, n_items):
            raise RecganError(
                f"evaluate.k has {longest}, but the baselines' rankings are {ranking.shape[1]} long; "
                f"choose no k above {ranking.shape[1]}"
            )
    return {name: once(ranking[:, :longest]) for name, ranking in rankings.items()}


def measure(
    rankings: Mapping[str, NDArray[np.int32]],
    features: Features,
    rows: NDArray[np.intp],
    params: EvaluateParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure rankings of the same users: metrics, intervals, comparisons with ours, segments.

    Args:
        rankings: name → (rows, places); `OURS` is the one that the others are compared with.
        features: matrices.
        rows: the test rows that are ranked, all with something held out.
        params: the evaluate section.

    Returns:
        What the summary says of them, and a table with one row for each user.
    """
    history, held_out = csr_array(features.test.history[rows]), csr_array(features.test.held_out[rows])
    popularity = item_popularity(features.train_validation)
    n_users = features.train_validation.shape[0]
    k = params.primary_k
    shown = (f"hr_at_{k}", f"ndcg_at_{k}")
    of_users = {name: user_metrics(ranking, held_out, params.k) for name, ranking in rankings.items()}
    per_user = pd.DataFrame(
        {
            "user_id": features.test.user_ids[rows].astype(str),
            "history_items": np.diff(history.indptr),
            "held_out_items": np.diff(held_out.indptr),
        }
        | {f"{name}.{metric}": of_users[name][metric] for name in rankings for metric in shown}
    )
    ranged = [f"{metric}_at_{cut}" for cut in params.k for metric in ("hr", "ndcg", "recall")]
    columns = np.stack([of_users[name][metric] for name in rankings for metric in ranged], axis=1)
    ranges = iter(intervals(columns, params.bootstrap_samples, params.confidence, params.seed))
    recommenders = {
        name: {
            "metrics": {metric: float(values.mean()) for metric, values in of_users[name].items()}
            | system_metrics(ranking, history, popularity, n_users, params.k),
            "intervals": {metric: asdict(next(ranges)) for metric in ranged},
        }
        for name, ranking in rankings.items()
    }
    primary = {name: of_users[name][f"ndcg_at_{k}"] for name in rankings}
    comparisons = compare(
        primary[OURS],
        {name: values for name, values in primary.items() if name != OURS},
        params.bootstrap_samples,
        params.confidence,
        params.seed,
    )
    parts = segments(history, held_out, popularity, params.head_share, new_items(features, params))
    measured = {
        "primary_k": k,
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
    """Flatten a summary to names such as `ease.ndcg_at_10` and `recommender.tail_items.ndcg_at_10`.

    MLflow allows letters, digits, dots and underscores in a name, no `@`.
    """
    k = summary["primary_k"]
    flat: dict[str, float] = {"users": summary["users"], "users_left_out": summary["users_left_out"]}
    for name, measured in summary["recommenders"].items():
        flat |= {f"{name}.{metric}": value for metric, value in measured["metrics"].items()}
        for metric, interval in measured["intervals"].items():
            flat |= {f"{name}.{metric}_{end}": interval[end] for end in ("low", "high")}
    for segment, part in summary["segments"].items():
        flat[f"{OURS}.{segment}.ndcg_at_{k}"] = part["ndcg"][OURS]
    return flat


def evaluation_table(root: Path = Path()) -> str:
    """Return the table of the last evaluation: one line for each recommender, the best NDCG first.

    Raises:
        RecganError: there is no readable evaluation.
    """
    path = root / "data" / "evaluation" / "summary.json"
    try:
        return comparison_table(read_json(path))
    except (OSError, ValueError, KeyError) as error:
        raise RecganError(f"no readable evaluation in {path} ({error}); run dvc repro evaluate") from None


def comparison_table(summary: Mapping[str, Any]) -> str:
    """Return HR and NDCG with intervals, coverage and p against ours, as an aligned Markdown table."""
    k = summary["primary_k"]
    p_values = {comparison["name"]: comparison["p_holm"] for comparison in summary["comparisons"]}
    head = [
        "recommender",
        f"HR@{k} [{summary['confidence']:.0%} CI]",
        f"NDCG@{k} [{summary['confidence']:.0%} CI]",
        f"coverage@{k}",
        "p vs ours",
    ]
    by_ndcg = sorted(summary["recommenders"].items(), key=lambda item: -item[1]["metrics"][f"ndcg_at_{k}"])
    rows = [
        [
            _label(name, summary),
            _with_interval(measured, f"hr_at_{k}"),
            _with_interval(measured, f"ndcg_at_{k}"),
            f"{measured['metrics'].get(f'coverage_at_{k}', 0):.1%}",
            "" if name == OURS else _p(p_values[name]),
        ]
        for name, measured in by_ndcg
    ]
    return _table(head, rows)


def report(summary: Mapping[str, Any]) -> str:
    """Write an evaluation as a Markdown page: every metric, the comparisons, the segments."""
    k = summary["primary_k"]
    names = list(summary["recommenders"])
    metrics = {name: measured["metrics"] for name, measured in summary["recommenders"].items()}
    comparisons = [
        [
            comparison["name"],
            f"{comparison['difference']:+.4f} [{comparison['low']:+.4f}, {comparison['high']:+.4f}]",
            _relative(comparison),
            _p(comparison["p_value"]),
            _p(comparison["p_holm"]),
        ]
        for comparison in summary["comparisons"]
    ]
    parts = [
        [
            segment.replace("_", " "),
            f"{part['users']:,}" + (" (too few)" if part["too_few"] else ""),
            *(_mean_and_range(part["intervals"][name]) for name in names),
        ]
        for segment, part in summary["segments"].items()
    ]
    every_metric = [
        [metric.replace("_at_", "@"), *(_number(metrics[name].get(metric)) for name in names)]
        for metric in metrics[OURS]
    ]
    return "\n".join(
        [
            "# Evaluation on the test window",
            "",
            f"{summary['users']:,} users with something held out ({summary['users_left_out']:,} without, "
            f"left out), {summary['items']:,} items, the full catalogue ranked. Intervals and p by bootstrap "
            f"over users ({summary['bootstrap_samples']:,} samples); p is two-sided, in the first table "
            "after Holm over all baselines.",
            "",
            comparison_table(summary),
            "",
            f"## {_label(OURS, summary)} against each baseline, NDCG@{k}",
            "",
            _table(["baseline", "difference [CI]", "relative", "p", "p after Holm"], comparisons),
            "",
            f"## Segments, NDCG@{k}",
            "",
            "A segment of items is measured on its held-out items alone, over the users who have any. "
            f"Intervals by bootstrap over these users; fewer than {FEW_USERS} are too few to tell anything.",
            "",
            _table(["segment", "users", *(_label(name, summary) for name in names)], parts),
            "",
            "## Every metric",
            "",
            _table(["metric", *(_label(name, summary) for name in names)], every_metric),
            "",
        ]
    )


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


def _label(name: str, summary: Mapping[str, Any]) -> str:
    return f"{summary['recommender']} (ours)" if name == OURS else name


def _with_interval(measured: Mapping[str, Any], metric: str) -> str:
    return _mean_and_range(measured["intervals"][metric])


def _mean_and_range(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:.4f} [{interval['low']:.4f}, {interval['high']:.4f}]"


def _relative(comparison: Mapping[str, Any]) -> str:
    if comparison["mean_other"] == 0:
        return "–"
    return f"{comparison['difference'] / comparison['mean_other']:+.1%}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out as Markdown: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
    ]
    return "\n".join([line(head), f"|{'|'.join(rule)}|", *(line(row) for row in rows)])
