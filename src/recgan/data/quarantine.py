"""Row rules: which event breaks which rule, and what goes into quarantine.

Pure functions of tables, params and `now`; expectations.py checks the same rules with Great Expectations.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recgan.data.events import EVENTS, Tables
from recgan.params import EVENT_KINDS, Reason, ValidateParams

REASONS: tuple[Reason, ...] = get_args(Reason)

_EASTERNMOST = timedelta(hours=14)  # Kiribati's clock before UTC

QUARANTINE = EVENTS.append(pa.field("reason", pa.string()))
"""A raw row and the first reason, in the order of `REASONS`, for which it is not kept."""


@dataclass(frozen=True)
class Partition:
    """Every raw event exactly once: kept, or quarantined with its reason."""

    kept: pa.Table
    quarantined: pa.Table


def joined(tables: Tables) -> pd.DataFrame:
    """Return the events beside what other rows and tables say of them.

    Args:
        tables: the events in any order of columns, the items and the users.

    Returns:
        (events,) the columns of EVENTS; `known_item` and `known_user`: the id is in its table (or is null);
        `fake`: the user is a labelled fake account; `copy`: every column equals an earlier row.
    """
    frame: pd.DataFrame = tables.events.select(EVENTS.names).to_pandas()
    copy = frame.duplicated()
    fakes = pc.filter(tables.users["user_id"], tables.users["fake"])  # a null label is no label
    known_item = frame["item_id"].isna() | _isin(tables.events["item_id"], tables.items["item_id"])
    known_user = frame["user_id"].isna() | _isin(tables.events["user_id"], tables.users["user_id"])
    fake = frame["user_id"].notna() & _isin(tables.events["user_id"], fakes)
    return frame.assign(known_item=known_item, known_user=known_user, fake=fake, copy=copy)


def broken_rules(frame: pd.DataFrame, params: ValidateParams, now: datetime) -> pd.DataFrame:
    """Say which event breaks which rule.

    Args:
        frame: what `joined` returns.
        params: ranges and period.
        now: an aware instant; later events are from the future.

    Returns:
        (events, reasons) bool, the reasons in their order.
    """
    event, time, value, price = frame["event"], frame["timestamp"], frame["value"], frame["price"]
    start, end = period(params)
    cancelled = (event == "purchase") & (value <= 0)
    nothing = pd.Series(False, index=frame.index)

    outside_period = nothing
    if start is not None:
        outside_period = outside_period | (time < start)
    if end is not None:
        outside_period = outside_period | (time > end)

    out_of_range = nothing
    for kind, limits in params.values.items():
        # A purchase without a quantity is one piece; a rating without stars says nothing.
        present = value.notna() if kind != "rating" else True
        out_of_range = out_of_range | ((event == kind) & present & ~value.between(limits.low, limits.high))

    rules: dict[Reason, pd.Series] = {
        "null_user": frame["user_id"].isna(),
        "null_item": frame["item_id"].isna(),
        "unknown_event": ~event.isin(EVENT_KINDS),
        "null_timestamp": time.isna() & frame["split"].isna(),  # a published split may have no times
        "future_timestamp": time > now,
        "outside_period": outside_period,
        "cancellation": cancelled,
        "value_out_of_range": out_of_range & ~cancelled,
        "price_out_of_range": price.notna() & ~price.between(params.price.low, params.price.high)
        if params.price
        else nothing,
        "not_a_product": frame["item_id"].isin(params.not_products),
        "unknown_item": ~frame["known_item"],
        "fake_account": frame["fake"],
        "duplicate": frame["copy"],
    }
    return pd.DataFrame({reason: rules[reason].astype(bool) for reason in REASONS}, index=frame.index)


def partition(events: pa.Table, broken: pd.DataFrame) -> Partition:
    """Part the events into kept and quarantined, one reason a row.

    Args:
        events: the raw events, in any order of columns.
        broken: (events, reasons) what `broken_rules` returns.
    """
    matrix = broken.to_numpy()
    out = matrix.any(axis=1)
    reason = np.where(out, np.array(REASONS, object)[matrix.argmax(axis=1)], None)
    events = events.select(EVENTS.names)
    kept = events.filter(pa.array(~out))
    quarantined = events.append_column("reason", pa.array(reason, pa.string())).filter(pa.array(out))
    assert len(kept) + len(quarantined) == len(events), "a row was lost or doubled"
    return Partition(kept, quarantined.cast(QUARANTINE))


def period(params: ValidateParams) -> tuple[datetime | None, datetime | None]:
    """Return the declared period in aware instants; one without a zone is UTC."""
    start, end = (
        instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
        for instant in (params.period_start, params.period_end)
    )
    return start, end


def ahead_by_zone(times: pd.Series, now: datetime) -> str | None:
    """Say what future times look like local times without a zone, which were read as UTC.

    Args:
        times: the raw events' timestamps.
        now: an aware instant.

    Returns:
        A remedy; None where no time is in the future, or one is further ahead than any zone's clock.
    """
    future = times[times > now]
    if future.empty or (ahead := future.max() - now) > _EASTERNMOST:
        return None
    hours = ahead / timedelta(hours=1)
    return (
        "if the source writes local times without a zone, name the zone in ingest.timezone, such as "
        f"Australia/Sydney (source files): the newest {len(future):,} events lie up to {hours:.1f} hours in "
        f"the future, as local times at UTC+{math.ceil(hours)} do when they are read as UTC, and leaving "
        "them out would leave all others shifted"
    )


def _isin(ids: pa.ChunkedArray, table: pa.ChunkedArray) -> pd.Series:
    return pd.Series(pc.is_in(ids, value_set=table.combine_chunks()).to_numpy(), dtype=bool)
