"""From events to pairs: one row for each user, item and window, with the confidence and what items need.

This is the one heavy step and all of it is an expression, so it runs wherever Ibis does. Sums must not
depend on the engine, nor on the order in which its threads meet the rows: they are sums of whole numbers.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recgan.data.codes import code_rows
from recgan.data.engine import batches_of
from recgan.data.sums import count, fixed_sum, known
from recgan.features.clean import Log, counting_events
from recgan.features.settings import FeaturesParams
from recgan.features.split import Cuts, event_window

_DAY = 86_400  # seconds
_PARTS = 2**40
"""Decayed confidences are summed in whole parts of one; eight million of them fit in 64 bits."""
_TERMS = 13
"""Of the series of 0.5 ** x: those left out are below a part for every x of [0, 1)."""
NO_TIME = np.iinfo(np.int64).min
"""What stands in `first` and `last` where no event has a timestamp (numpy's NaT)."""


@dataclass(frozen=True)
class Pairs:
    """The interactions of all windows, coded."""

    user_ids: NDArray[np.object_]
    """All users, sorted; `rows.user` counts into it."""
    item_ids: NDArray[np.object_]
    """All items, sorted; `rows.item` counts into it."""
    rows: pd.DataFrame
    """user, item, window, confidence, first, last (microseconds UTC); sorted by user, item and window. Where
    no instant cuts, the counts and sums of `counts_of` too: the windows of pairs are not known yet."""


def windowed(events: ibis.Table, params: FeaturesParams, cuts: Cuts | None) -> ibis.Table:
    """Return the events that count, each with its window."""
    events = counting_events(events, params)
    return events.mutate(window=event_window(events, params.split, cuts))


def pair_events(events: ibis.Table, params: FeaturesParams, log: Log, cuts: Cuts | None) -> Pairs:
    """Sum up the events that count of each user with each item in each window.

    The confidence is the sum of weight * 0.5 ** (age / half life), the age counted back from the window's
    end. That end is the cut for train and validation. For test, and where no instant cuts, it is the end of
    the log. Where features.binary asks for 1, the number of events stands in.
    """
    events = windowed(events, params, cuts)
    pairs = events.group_by("user_id", "item_id", "window").aggregate(
        confidence=_confidence(events, params, log, cuts),
        first=events.timestamp.min(),
        last=events.timestamp.max(),
        **({} if cuts is not None else counts_of(events, log, cuts)),
    )
    coded = code_rows(batches_of(pairs), then_by="window")
    return Pairs(coded.user_ids, coded.item_ids, pd.DataFrame(coded.columns, copy=False))


def counts_of(events: ibis.Table, log: Log, cuts: Cuts | None) -> dict[str, ibis.Value]:
    """Count and sum up what an item is described by."""
    priced = (events.event == "purchase") & known(events.price, 0)
    rated = (events.event == "rating") & known(events.value)
    return {
        "events": events.count().cast("int32"),
        "view": count(events.event == "view"),
        "purchase": count(events.event == "purchase"),
        "recent": count(_recent(events, log, cuts)),
        "price_sum": fixed_sum(priced.ifelse(events.price, None)),
        "prices": count(priced),
        "rating_sum": fixed_sum(rated.ifelse(events.value, None)),
        "ratings": count(rated),
    }


def decay_between(params: FeaturesParams, cuts: Cuts | None) -> float:
    """Return what is left of a train confidence when validation has passed as well."""
    if params.binary or params.half_life_days is None or cuts is None:
        return 1.0
    days = (cuts.test_start - cuts.validation_start).total_seconds() / _DAY
    return float(0.5 ** (days / params.half_life_days))


def _confidence(events: ibis.Table, params: FeaturesParams, log: Log, cuts: Cuts | None) -> ibis.Value:
    if params.binary:
        return events.count().cast("float64")
    weights = {kind: weight for kind, weight in params.weights.items() if weight > 0}
    if params.half_life_days is None or log.end is None:
        # A number with a point is a decimal on Spark, unless it meets a double.
        parts = [count(events.event == kind).cast("float64") * weight for kind, weight in weights.items()]
        return sum(parts[1:], start=parts[0])
    end: Any = _second(log.end)
    if cuts is not None:
        end = ibis.cases(
            (events.window == 0, _second(cuts.validation_start)),
            (events.window == 1, _second(cuts.test_start)),
            else_=end,
        )
    # Spark's seconds are whole, and DuckDB's are not.
    age = (end - events.timestamp.epoch_seconds().floor().cast("int64")).fill_null(0)
    weight = ibis.cases(*((events.event == kind, weight) for kind, weight in weights.items()))
    decayed = weight * _halved(age.cast("float64") / (params.half_life_days * _DAY))
    return fixed_sum(decayed, _PARTS).cast("float64") / float(_PARTS)


def _halved(times: ibis.Value) -> ibis.Value:
    """Return 0.5 ** times, for 0 and above, to the same bit on every engine.

    Theirs differ in the last one. Whole powers of 2 are exact on all, and so is each sum and product: of the
    fraction, the series of exp(-x) by Horner's rule.
    """
    whole = times.floor()
    x = (times - whole) * math.log(2)
    series: Any = 1.0
    for term in range(_TERMS, 0, -1):
        series = 1.0 - x / float(term) * series
    return series / ibis.literal(2.0) ** whole


def _second(instant: datetime) -> int:
    return math.floor(instant.timestamp())


def _recent(events: ibis.Table, log: Log, cuts: Cuts | None) -> ibis.Value:
    """Tell which events are in the last quarter of the train window; none without timestamps."""
    if log.start is None or log.end is None:
        return events.timestamp.notnull()
    end = log.end if cuts is None else cuts.validation_start
    return events.timestamp >= ibis.literal(end - (end - log.start) / 4)
