"""The log of answers as arrays: what was drawn, what was shown best first, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recgan.data.impressions import BEST, DRAWN, SHOWN, scan_feedback, scan_shown
from recgan.online.judging import KINDS, Seen
from recgan.online.plackett_luce import Floats
from recgan.online.policies import Items, Logged

_WANTED = [one for one in SHOWN.names if one not in ("scores", "teams", "milliseconds")]
_TOLD = ["request_id", "item_id", "event"]


@dataclass(frozen=True)
class Answers:
    """Answers of a time, and what came of them."""

    drawn: pa.Table
    """Columns of SHOWN: those whose chances are known."""
    best: pa.Table
    """The same: the best in their order, but for a challenger's in an experiment."""
    feedback: pa.Table
    moved: int
    """Drawn answers that something changed after the draw: their chances are not known."""


def read_answers(folder: Path, since: datetime) -> Answers:
    """Read the answers of a registered model from an instant on; those of popularity are left out.

    Args:
        folder: of the model's log.
        since: with a time zone.

    Raises:
        RecganError: a finished file is damaged.
    """
    shown = scan_shown(folder, since.astimezone(UTC).date(), columns=_WANTED).read_all()
    shown = shown.filter(
        pc.and_kleene(
            pc.greater_equal(shown["time"], pa.scalar(since, shown["time"].type)),
            pc.invert(shown["fallback"]),
        )
    )
    drawn = shown.filter(pc.equal(shown["policy"], DRAWN))
    best = shown.filter(pc.equal(shown["policy"], BEST))
    best = best.filter(pc.not_equal(pc.fill_null(best["arm"], ""), "challenger"))
    feedback = scan_feedback(folder, since.astimezone(UTC).date(), columns=_TOLD).read_all()
    known = pc.and_(pc.is_valid(drawn["propensities"]), pc.is_valid(drawn["candidates"]))
    kept = drawn.filter(known)
    return Answers(kept, best, feedback, len(drawn) - len(kept))


def seen_of(answers: Answers, items: pd.Index) -> Seen:
    """Return the answers with items as numbers.

    An event counts once for an answer and item, and only with an item of that answer.

    Args:
        answers: at least one drawn.
        items: every id that may be named; its place is its number.
    """
    drawn, best = answers.drawn, answers.best
    shown = padded(drawn["item_ids"], items)
    logged = Logged(
        shown,
        np.where(shown >= 0, np.log(_padded(drawn["propensities"], 1.0)), 0.0),
        padded(drawn["candidates"], items),
        _padded(drawn["log_weights"], -np.inf),
    )
    users = pd.concat([drawn["user_id"].to_pandas(), best["user_id"].to_pandas()], ignore_index=True)
    shopper = pd.factorize(users)[0].astype(np.int64)
    nobody = shopper < 0
    shopper[nobody] = shopper.max(initial=-1) + 1 + np.arange(nobody.sum())
    told = answers.feedback.to_pandas().drop_duplicates()
    events, compared = {}, {}
    for kind in KINDS:
        some = told[told["event"] == kind]
        events[kind] = _events(some, drawn, shown, items)
        compared[kind] = _events(some, best, padded(best["item_ids"], items), items).sum(axis=1)
    return Seen(logged, shopper[: len(drawn)], events, shopper[len(drawn) :], compared, len(items))


def items_of(answers: Answers, more: Sequence[str]) -> pd.Index:
    """Return every id that the answers name, and some more."""
    named = [
        pc.unique(pc.list_flatten(column)).to_pylist()
        for column in (answers.drawn["candidates"], answers.drawn["item_ids"], answers.best["item_ids"])
    ]
    return pd.Index(dict.fromkeys([*(item for some in named for item in some), *more]), dtype=object)


def padded(column: pa.ChunkedArray, items: pd.Index) -> Items:
    """Return lists of ids as numbers (rows, longest), -1 behind a shorter one and for an unknown id."""
    flat = pc.list_flatten(column).to_pandas()
    return _filled(column, items.get_indexer(flat).astype(np.int64), -1)


def _padded(column: pa.ChunkedArray, empty: float) -> Floats:
    return _filled(column, pc.list_flatten(column).to_numpy().astype(np.float64), empty)


def _filled(column: pa.ChunkedArray, flat: NDArray[Any], empty: float) -> NDArray[Any]:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    whole = np.full((len(lengths), int(lengths.max(initial=0))), empty, dtype=flat.dtype)
    whole[np.arange(whole.shape[1]) < lengths[:, None]] = flat
    return whole


def _events(told: pd.DataFrame, shown: pa.Table, lists: Items, items: pd.Index) -> Floats:
    """Return where an event came, (answers, places)."""
    answer = pd.Index(shown["request_id"].to_pandas()).get_indexer(pd.Index(told["request_id"]))
    item = items.get_indexer(pd.Index(told["item_id"]))
    known = (answer >= 0) & (item >= 0)
    answer, item = answer[known], item[known]
    rows, places = np.nonzero(lists[answer] == item[:, None])
    found = np.zeros(lists.shape)
    found[answer[rows], places] = 1
    return found
