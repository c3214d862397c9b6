"""From events to pairs: one row for each user, item and window, with the confidence and what items need.

This is the one heavy step and all of it is an expression, so it runs wherever Ibis does. Sums must not
depend on the order in which threads meet the rows: they are sums of whole numbers, or of sorted lists.
"""

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recgan.data.codes import encode
from recgan.features.clean import Log, counting_events
from recgan.features.settings import FeaturesParams
from recgan.features.split import WINDOWS, Cuts, event_window

FIXED_POINT = 10_000
"""Prices and ratings are summed in whole ten-thousandths."""
_HUGE = 1e9  # beyond it, nothing is a price or a rating, and whole ten-thousandths may overflow
_DAY = 86_400  # seconds
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
    """user, item, window, confidence, events, view, purchase, recent (events in the last quarter of the train
    window), price_sum, prices, rating_sum, ratings, first, last (microseconds UTC); sorted by user, item and
    window."""


def pair_events(events: ibis.Table, params: FeaturesParams, log: Log, cuts: Cuts | None) -> ibis.Table:
    """Sum up the events that count of each user with each item in each window.

    The confidence is the sum of weight * 0.5 ** (age / half life), the age counted back from the window's
    end. That end is the cut for train and validation. For test, and where no instant cuts, it is the end of
    the log. Where features.binary asks for 1, the plain sum stands in.
    """
    events = counting_events(events, params)
    events = events.mutate(window=event_window(events, params.split, cuts))
    # The statistics of a Parquet file leave NaN out, so DuckDB may fold `between` to true.
    priced = (events.event == "purchase") & ~events.price.isnan() & events.price.between(0, _HUGE)
    rated = (events.event == "rating") & ~events.value.isnan() & events.value.between(-_HUGE, _HUGE)
    return events.group_by("user_id", "item_id", "window").aggregate(
        confidence=_confidence(events, params, log, cuts),
        events=_count(events),
        view=_count(events, events.event == "view"),
        purchase=_count(events, events.event == "purchase"),
        recent=_count(events, _recent(events, log, cuts)),
        price_sum=_fixed(priced.ifelse(events.price, None)),
        prices=_count(events, priced),
        rating_sum=_fixed(rated.ifelse(events.value, None)),
        ratings=_count(events, rated),
        first=events.timestamp.min(),
        last=events.timestamp.max(),
    )


def code_pairs(pairs: pa.Table) -> Pairs:
    """Turn the ids of pairs into codes, and put the rows in the one order that the ids give."""
    user_ids, users = encode(pairs["user_id"])
    item_ids, items = encode(pairs["item_id"])
    windows = pairs["window"].to_numpy()
    # One whole number for each row sorts several times faster than three keys.
    order = np.argsort((users.astype(np.int64) * len(item_ids) + items) * len(WINDOWS) + windows)
    columns: dict[str, Any] = {"user": users[order], "item": items[order]}
    columns |= {name: pairs[name].to_numpy()[order] for name in pairs.column_names[2:-2]}
    for name in ("first", "last"):
        columns[name] = pairs[name].to_numpy().astype("datetime64[us]").astype(np.int64)[order]
    return Pairs(user_ids, item_ids, pd.DataFrame(columns))


def decay_between(params: FeaturesParams, cuts: Cuts | None) -> float:
    """Return what is left of a train confidence when validation has passed as well."""
    if params.binary or params.half_life_days is None or cuts is None:
        return 1.0
    days = (cuts.test_start - cuts.validation_start).total_seconds() / _DAY
    return float(0.5 ** (days / params.half_life_days))


def _confidence(events: ibis.Table, params: FeaturesParams, log: Log, cuts: Cuts | None) -> ibis.Value:
    weights = {kind: weight for kind, weight in params.weights.items() if weight > 0}
    if params.binary or params.half_life_days is None or log.end is None:
        parts = [events.count(where=events.event == kind) * float(weight) for kind, weight in weights.items()]
        return sum(parts[1:], start=parts[0])
    end = ibis.literal(log.end.timestamp())
    if cuts is not None:
        end = ibis.cases(
            (events.window == 0, ibis.literal(cuts.validation_start.timestamp())),
            (events.window == 1, ibis.literal(cuts.test_start.timestamp())),
            else_=end,
        )
    age = ((end - events.timestamp.epoch_seconds()) / _DAY).fill_null(0.0)
    weight = ibis.cases(*((events.event == kind, float(weight)) for kind, weight in weights.items()))
    decayed = weight * ibis.literal(0.5) ** (age / params.half_life_days)
    return decayed.collect().sort().sums()


def _recent(events: ibis.Table, log: Log, cuts: Cuts | None) -> ibis.Value:
    """Tell which events are in the last quarter of the train window; none without timestamps."""
    if log.start is None or log.end is None:
        return events.timestamp.notnull()
    end = log.end if cuts is None else cuts.validation_start
    return events.timestamp >= ibis.literal(end - (end - log.start) / 4)


def _count(events: ibis.Table, where: ibis.Value | None = None) -> ibis.Value:
    return events.count(where=where).cast("int32")  # half the memory, and 10 million pairs have many counts


def _fixed(values: ibis.Value) -> ibis.Value:
    return (values * float(FIXED_POINT)).round().cast("int64").sum().fill_null(0).cast("int64")
