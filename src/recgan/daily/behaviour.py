"""Foretell what each shopper does in the next days: comes back, puts into the cart, buys.

Gradient boosting on recency, frequency and value, beside logistic regression on the same. Every forecast is
made alike, whether validation, test or tomorrow asks: it knows the events before its cut and no others.
It learns from earlier cuts, a window apart, whose outcomes lie before its own cut. The newest of these
calibrates it (Platt 1999), the others train it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import unchanged, write_json
from recgan.daily.foretold import md5_of_events, write_foretold
from recgan.data.events import read_tables
from recgan.data.screened import read_quarantined, without

_log = logging.getLogger(__name__)

OUTCOMES = {"p_return": None, "p_cart": "cart", "p_purchase": "purchase"}
"""Each column, and the kind of event that it foretells; None is any."""

_SPANS = (7, 30, 90)  # days
MOST_CUTS = 12  # to learn from; older windows tell of another season
_LEAST_CUTS = 4  # before the test window's: two to learn from, one to calibrate, one to choose on

_ROUNDS = 100
_WORTH_THREADS = 100_000  # rows

Kind = Literal["boosting", "logistic"]


@dataclass(frozen=True)
class Events:
    """A log in time; arrays (events,), ascending in time."""

    user: NDArray[np.int64]
    kind: NDArray[np.object_]
    time: NDArray[np.float64]
    """Days from the log's first event."""
    spent: NDArray[np.float64]
    """Price times quantity of a purchase, 0 of anything else."""
    user_ids: NDArray[np.object_]
    """(users,) sorted."""

    @property
    def outcomes(self) -> list[str]:
        """The columns whose kind of event the log has."""
        there = set(self.kind)
        return [column for column, kind in OUTCOMES.items() if kind is None or kind in there]


def events_of(table: pa.Table) -> Events:
    """Take what is needed of the kept events.

    Raises:
        RecganError: an event has no timestamp.
    """
    if missing := table["timestamp"].null_count:
        raise RecganError(
            f"{missing:,} of {table.num_rows:,} events have no timestamp, so nobody knows what comes within "
            "days of what; let validate drop those without (null_timestamp)"
        )
    frame = table.select(["user_id", "event", "timestamp", "value", "price"]).to_pandas()
    frame = frame[frame["user_id"].notna()].sort_values("timestamp", kind="stable")
    user_ids, user = np.unique(frame["user_id"].to_numpy(str), return_inverse=True)
    since = frame["timestamp"] - frame["timestamp"].min()
    bought = frame["event"] == "purchase"
    spent = (frame["price"].fillna(0) * frame["value"].fillna(1)).where(bought, 0.0)
    return Events(
        user.astype(np.int64),
        frame["event"].to_numpy(object),
        (since / pd.Timedelta(days=1)).to_numpy(np.float64),
        spent.to_numpy(np.float64),
        user_ids.astype(object),
    )


def inputs(events: Events, cut: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return who had come by a cut, and what is known of each of them then.

    Returns:
        (shoppers,) positions of `user_ids`, and (shoppers, inputs): of each kind of event and of all the days
        since the last one and since the first (NaN without one), the events of the last 7, 30, 90 days and
        of all time, and the days with one; the same sums of what was spent; the mean days between days with a
        purchase, and the days since the last over it.
    """
    known = events.time <= cut
    user, kind = events.user[known], events.kind[known]
    time, spent = events.time[known], events.spent[known]
    n_users = len(events.user_ids)
    columns: list[NDArray[np.float64]] = []

    def sums(which: NDArray[np.bool_], weight: NDArray[np.float64]) -> None:
        for span in (*_SPANS, np.inf):
            late = which & (time > cut - span)
            columns.append(np.bincount(user[late], weight[late], n_users).astype(np.float64))

    for one in (None, *sorted(set(events.kind))):
        which = np.ones(len(user), dtype=bool) if one is None else kind == one
        last, first = np.full(n_users, np.nan), np.full(n_users, np.nan)
        last[user[which]] = time[which]  # ascending: the last one stays
        first[user[which][::-1]] = time[which][::-1]
        days = np.unique(user[which] * 2**32 + np.floor(time[which]).astype(np.int64)) // 2**32
        active = np.bincount(days, minlength=n_users)
        columns += [cut - last, cut - first, active.astype(np.float64)]
        sums(which, np.ones(len(user)))
        gap = np.where(active > 1, (last - first) / np.maximum(active - 1, 1), np.nan)
        columns += [gap, (cut - last) / np.maximum(gap, 0.5)]
    sums(np.ones(len(user), dtype=bool), spent)
    there = np.flatnonzero(np.bincount(user, minlength=n_users))
    return there, np.column_stack(columns)[there]


Known = Callable[[Events, float], tuple[NDArray[np.int64], NDArray[np.float64]]]
"""As `inputs`."""


def outcome(
    events: Events, shoppers: NDArray[np.int64], cut: float, days: float, column: str
) -> NDArray[np.bool_]:
    """Tell of which shoppers the days after a cut have an event of a column's kind."""
    window = (events.time > cut) & (events.time <= cut + days)
    if (kind := OUTCOMES[column]) is not None:
        window &= events.kind == kind
    return np.isin(shoppers, events.user[window])


def forecast(
    events: Events, cut: float, days: float, kind: Kind, known_at: Known = inputs
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Foretell the days after a cut from the events before it alone.

    Args:
        events: may go on after the cut; nothing of that is read.
        cut: in days from the log's first event.
        days: how far to look ahead.
        kind: of model.
        known_at: says, as `inputs` does, who had come by a cut and what is known of each.

    Returns:
        Who had come by the cut, positions of `user_ids`, and for each outcome a probability for each.
    """
    n_cuts = min(MOST_CUTS, int(cut // days) - 1)
    earlier = [cut - step * days for step in range(1, n_cuts + 1)]
    shoppers, asked = known_at(events, cut)
    known = [known_at(events, one) for one in earlier]
    learnt = np.concatenate([matrix for _, matrix in known[1:]])
    found = {}
    for column in events.outcomes:
        came = [outcome(events, who, one, days, column) for (who, _), one in zip(known, earlier, strict=True)]
        model = _fitted(kind, learnt, np.concatenate(came[1:]))
        found[column] = _calibrated(_logit(model, known[0][1]), came[0], _logit(model, asked))
    return shoppers, found


def _fitted(kind: Kind, matrix: NDArray[np.float64], came: NDArray[np.bool_]) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from threadpoolctl import threadpool_limits

    if came.all() or not came.any():  # nothing to tell apart
        return DummyClassifier(strategy="prior").fit(matrix, came)
    if kind == "boosting":
        # Threads wait for one another longer than they compute where there is little to do.
        with threadpool_limits(1 if len(matrix) < _WORTH_THREADS else None):
            return HistGradientBoostingClassifier(
                learning_rate=0.05, max_iter=_ROUNDS, max_leaf_nodes=15, min_samples_leaf=40, random_state=0
            ).fit(matrix, came)
    return make_pipeline(
        FunctionTransformer(_compressed), StandardScaler(), LogisticRegression(max_iter=1000)
    ).fit(matrix, came)


def _compressed(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logarithms; what never happened was longer ago than anything."""
    logs: NDArray[np.float64] = np.log1p(np.clip(np.nan_to_num(matrix, nan=1000.0), 0, 1e6))
    return logs


def _logit(model: Any, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.asarray(model.predict_proba(matrix), dtype=np.float64)[:, -1]
    if len(model.classes_) == 1:
        p = np.full(len(matrix), float(model.classes_[0]))
    p = np.clip(p, 1e-6, 1 - 1e-6)
    logit: NDArray[np.float64] = np.log(p / (1 - p))
    return logit


def _calibrated(
    known: NDArray[np.float64], came: NDArray[np.bool_], asked: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return probabilities whose logits are a line of the given ones, fitted where the outcome is known."""
    from sklearn.linear_model import LogisticRegression

    if came.all() or not came.any():
        p = 1 / (1 + np.exp(-asked))
    else:
        line = LogisticRegression(C=np.inf).fit(known[:, None], came)
        p = np.asarray(line.predict_proba(asked[:, None]), dtype=np.float64)[:, 1]
    return p


def quality(p: NDArray[np.float64], came: NDArray[np.bool_]) -> dict[str, float | None]:
    """Measure probabilities against what came; AUC and average precision are None where all are alike.

    The expected calibration error is the mean distance of probability and share over ten bins of equally
    many shoppers (Naeini et al. 2015).
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    mixed = bool(came.any() and not came.all())
    bins = np.array_split(np.argsort(p, kind="stable"), 10)
    distance = [len(rows) * abs(p[rows].mean() - came[rows].mean()) for rows in bins if len(rows)]
    return {
        "share": float(came.mean()),
        "auc": float(roc_auc_score(came, p)) if mixed else None,
        "average_precision": float(average_precision_score(came, p)) if mixed else None,
        "brier": float(((p - came) ** 2).mean()),
        "calibration_error": float(sum(distance) / len(p)),
    }


def behaviour(root: Path, days: float) -> dict[str, Any]:
    """Foretell the next days of every shopper, after measuring on the last ones how far that can be trusted.

    The kind of model is chosen on the last window but one, by the Brier score summed over the outcomes; the
    last window is read once, for the measures of both. Writes metrics/behaviour.json and
    recommendations/behaviour.parquet, one row a shopper.

    Args:
        root: the project.
        days: how far to look ahead.

    Returns:
        The measures.

    Raises:
        RecganError: the kept or screened tables are missing, an event has no timestamp, or the log is too
            short.
        Unavailable: another run replaced the kept tables meanwhile.
    """
    if not days > 0:
        raise RecganError(f"days is {days:g}; look ahead by more than 0 days")
    with unchanged(root / layout.KEPT):
        left_out = read_quarantined(root / layout.SCREENED)
        events = events_of(without(read_tables(root / layout.KEPT).events, left_out))
        md5 = md5_of_events(root)
    end = float(events.time.max(initial=0))
    if end < (_LEAST_CUTS + 2) * days:
        raise RecganError(
            f"the log has {end:.1f} days; to look {days:g} days ahead takes {(_LEAST_CUTS + 2) * days:g}, "
            "so ask for fewer --days"
        )
    kinds: tuple[Kind, ...] = ("boosting", "logistic")
    measured = {
        name: {kind: _measured(events, end - back * days, days, kind) for kind in kinds}
        for name, back in (("validation", 2), ("test", 1))
    }
    chosen = min(kinds, key=lambda kind: sum(one["brier"] for one in measured["validation"][kind].values()))
    shoppers, found = forecast(events, end, days, chosen)
    table = pa.table({"user_id": pa.array(events.user_ids[shoppers], pa.string()), **found})
    write_foretold(table, root, days, md5)
    metrics = {"days": days, "shoppers": len(shoppers), "chosen": chosen, **measured}
    write_json(root / layout.BEHAVIOUR_METRICS, metrics)
    return metrics


def _measured(events: Events, cut: float, days: float, kind: Kind) -> dict[str, Any]:
    shoppers, found = forecast(events, cut, days, kind)
    return {column: quality(p, outcome(events, shoppers, cut, days, column)) for column, p in found.items()}


def sentence(metrics: dict[str, Any]) -> str:
    """Say what was written and how good it is."""
    of_test = metrics["test"][metrics["chosen"]]
    parts = ", ".join(
        f"{column} AUC {'unknown' if one['auc'] is None else format(one['auc'], '.3f')}, "
        f"calibration error {one['calibration_error']:.3f}"
        for column, one in of_test.items()
    )
    return (
        f"{layout.BEHAVIOUR} holds the next {metrics['days']:g} days of {metrics['shoppers']:,} shoppers by "
        f"{metrics['chosen']}; on the last {metrics['days']:g} days of the log: {parts}"
    )
