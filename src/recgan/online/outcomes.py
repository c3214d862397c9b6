"""What came of an experiment's answers: the log of answers and feedback, counted by shopper and by arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recgan.data.impressions import scan_feedback, scan_shown
from recgan.online.arms import BOTH, CHALLENGER, CHAMPION
from recgan.registry.experiments import Experiment

METRICS = {"click": "view", "cart": "cart", "purchase": "purchase"}
"""What an answer can lead to, and the event that says so."""

_COLUMNS = [
    "request_id",
    "time",
    "user_id",
    "version",
    "item_ids",
    "arm",
    "teams",
    "fallback",
    "milliseconds",
]


@dataclass(frozen=True)
class Outcomes:
    """An experiment's answers."""

    shoppers: pd.DataFrame
    """One row for each shopper of an arm, over the answers whose time for attribution is over: `arm`,
    `answers`, each metric (answers with such an event), `value`; where lists were interleaved, for each
    metric `METRIC_wins` and `METRIC_decided`."""
    answers: pd.DataFrame
    """One row for each answer: `arm`, `failed` (another stood in for the challenger, or for the champion),
    `milliseconds`."""
    items: dict[str, int]
    """Distinct items by arm, in as many answers of each; of interleaved lists by whose they are."""


def read_outcomes(folder: Path, experiment: Experiment, now: datetime, attribution_days: float) -> Outcomes:
    """Count what came of an experiment so far.

    Args:
        folder: of the registered model, where its servers log.
        experiment: whose answers are counted.
        now: the time of the look.
        attribution_days: an event counts for an answer within so many days.

    Raises:
        RecganError: a finished file of the log is damaged.
    """
    first = experiment.began.date()
    batches = scan_shown(folder, first, columns=[*_COLUMNS, "experiment"])
    shown = pa.Table.from_batches(
        (batch.filter(pc.equal(batch["experiment"], experiment.id)) for batch in batches), batches.schema
    )
    return count(shown, scan_feedback(folder, first).read_all(), experiment, now, attribution_days)


def count(
    shown: pa.Table, feedback: pa.Table, experiment: Experiment, now: datetime, attribution_days: float
) -> Outcomes:
    """Count what came of an experiment's answers; arguments: `read_outcomes`, and the two tables."""
    shown = shown.filter(pc.equal(shown["experiment"], experiment.id)).select(_COLUMNS).combine_chunks()
    answers = shown.drop_columns(["item_ids", "teams"]).to_pandas()
    window = timedelta(days=attribution_days)
    answers["failed"] = answers["fallback"] | (
        (answers["arm"] == CHALLENGER) & (answers["version"] != experiment.challenger)
    )
    if experiment.design == "interleave":
        answers["failed"] |= (answers["arm"] == BOTH) & shown["teams"].is_null().to_pandas()
    came = _events(shown, feedback, window)
    return Outcomes(
        shoppers=_by_shopper(answers[answers["time"] + window <= now], came, experiment.design),
        answers=answers[["arm", "failed", "milliseconds"]],
        items=_items(shown, answers, experiment.design),
    )


def _events(shown: pa.Table, feedback: pa.Table, window: timedelta) -> pd.DataFrame:
    """Return what came of items that were shown, in time: one row for each distinct event."""
    ids = shown["request_id"]
    events = feedback.filter(pc.is_in(feedback["request_id"], value_set=ids)).to_pandas()
    events = events.drop_duplicates(["request_id", "item_id", "event", "time", "value", "price"])
    told = shown.filter(pc.is_in(ids, value_set=pa.array(events["request_id"].unique(), pa.string())))
    lists = told.select(["request_id", "time", "item_ids", "teams"]).rename_columns(
        ["request_id", "shown", "item_ids", "teams"]
    )
    events = events.merge(lists.to_pandas(), on="request_id")
    places = [_place(row, item) for row, item in zip(events["item_ids"], events["item_id"], strict=True)]
    events["team"] = [
        None if teams is None or place is None else teams[place]
        for teams, place in zip(events["teams"], places, strict=True)
    ]
    in_time = (events["time"] <= events["shown"] + window).to_numpy(dtype=bool)
    found: pd.DataFrame = events[in_time & np.array([place is not None for place in places], dtype=bool)]
    return found


def _place(items: Sequence[str], item: str) -> int | None:
    found = np.flatnonzero(np.asarray(items, dtype=object) == item)
    return int(found[0]) if len(found) else None


def _by_shopper(answers: pd.DataFrame, came: pd.DataFrame, design: str) -> pd.DataFrame:
    counted = answers.set_index("request_id")[["arm", "user_id"]].assign(answers=1)
    for metric, event in METRICS.items():
        rows = came[came["event"] == event]
        counted[metric] = counted.index.isin(rows["request_id"]).astype(int)
        if design == "interleave":
            each = rows.drop_duplicates(["request_id", "item_id"])
            sides = (each["team"] == CHALLENGER).astype(float) - (each["team"] == CHAMPION).astype(float)
            signs = sides.groupby(each["request_id"]).sum()
            won = np.sign(signs.reindex(counted.index).fillna(0.0).to_numpy(dtype=np.float64))
            counted[f"{metric}_wins"], counted[f"{metric}_decided"] = won, np.abs(won)
    bought = came[came["event"] == "purchase"]
    paid = (bought["price"] * bought["value"].fillna(1.0)).groupby(bought["request_id"]).sum()
    counted["value"] = paid.reindex(counted.index).fillna(0.0)
    return counted.groupby(["arm", "user_id"], as_index=False, sort=False).sum()


def _items(shown: pa.Table, answers: pd.DataFrame, design: str) -> dict[str, int]:
    if design == "interleave":
        drawn = shown.filter(shown["teams"].is_valid())
        items, teams = (pc.list_flatten(drawn[name]) for name in ("item_ids", "teams"))
        return {team: len(items.filter(pc.equal(teams, team)).unique()) for team in (CHAMPION, CHALLENGER)}
    order = np.argsort(
        answers["request_id"].to_numpy(dtype=object), kind="stable"
    )  # by chance: ids are random
    arms = answers["arm"].to_numpy(dtype=object)[order]
    rows = {arm: order[arms == arm] for arm in (CHAMPION, CHALLENGER)}
    many = min(len(found) for found in rows.values())
    return {
        arm: len(pc.list_flatten(shown["item_ids"].take(pa.array(found[:many]))).unique())
        for arm, found in rows.items()
    }
