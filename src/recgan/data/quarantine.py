"""Row rules: which event breaks which rule, and what goes into quarantine.

Pure functions of tables, params and `now`; expectations.py checks the same rules with Great Expectations.
"""

import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recgan.data.events import EVENTS, Tables
from recgan.data.settings import EVENT_KINDS, PICTURE, PICTURE_LENGTH, Reason, ValidateParams, ValueRange

REASONS: tuple[Reason, ...] = get_args(Reason)
"""In the order in which a row's reason is chosen, behind the expected ones."""

_EASTERNMOST = timedelta(hours=14)  # Kiribati's clock before UTC

QUARANTINE = EVENTS.append(pa.field("reason", pa.string()))
"""A raw row and the first reason, in the order of `reasons`, for which it is not kept."""


FINITE = ValueRange(low=-sys.float_info.max, high=sys.float_info.max)
"""What holds where no range is declared: an infinite number spoils every sum that it gets into."""


@dataclass(frozen=True)
class Partition:
    """Every raw event exactly once: kept, or quarantined with its reason."""

    kept: pa.Table
    quarantined: pa.Table


@dataclass(frozen=True)
class Beside:
    """What other rows and other tables say of the events."""

    unknown_items: pa.Array
    """Ids that events have and the items table lacks."""
    unknown_users: pa.Array
    """Ids that events have and the users table lacks."""
    fakes: pa.Array
    """Ids of the labelled fake accounts."""
    copies: tuple[NDArray[np.int64], ...]
    """For each part of the events: the numbers of the rows whose columns all equal an earlier row's."""


def beside(tables: Tables) -> Beside:
    """Return what there is beside the events of tables in memory; facts.py asks the engine for the same."""
    copies = tables.events.select(EVENTS.names).to_pandas().duplicated().to_numpy().nonzero()[0]
    return Beside(
        _lacking(tables.events["item_id"], tables.items["item_id"]),
        _lacking(tables.events["user_id"], tables.users["user_id"]),
        labelled_fakes(tables.users),
        (copies,),
    )


def labelled_fakes(users: pa.Table) -> pa.Array:
    """Return the ids of the accounts with the label; a null label is none."""
    return pc.drop_null(users["user_id"].filter(users["fake"])).combine_chunks()


def joined(tables: Tables) -> pd.DataFrame:
    """Return the events of tables in memory as `flagged` does."""
    found = beside(tables)
    return flagged(tables.events, found, found.copies[0])


def flagged(events: pa.Table, beside: Beside, copies: NDArray[np.int64]) -> pd.DataFrame:
    """Return events beside what other rows and tables say of them.

    Args:
        events: some of them, in any order of columns.
        beside: what is said of all events.
        copies: the places among `events` whose columns all equal an earlier row's.

    Returns:
        (events,) the columns of EVENTS, text as categories, which are cheaper to filter and to hash;
        `known_item` and `known_user`: the id is in its table (or is null); `fake`: the user is a labelled
        fake account; `copy`: every column equals an earlier row.
    """
    copy = np.zeros(len(events), bool)
    copy[copies] = True
    frame: pd.DataFrame = events.select(EVENTS.names).to_pandas(strings_to_categorical=True)
    return frame.assign(
        known_item=~_isin(events["item_id"], beside.unknown_items),
        known_user=~_isin(events["user_id"], beside.unknown_users),
        fake=_isin(events["user_id"], beside.fakes),
        copy=copy,
    )


def broken_rules(frame: pd.DataFrame, params: ValidateParams, now: datetime) -> pd.DataFrame:
    """Say which event breaks which rule.

    No other rule judges a row that is left out for an expected reason. Whether a postage line is in the items
    table, or what a guest paid, cannot matter.

    Args:
        frame: what `flagged` returns.
        params: ranges and period.
        now: an aware instant; later events are from the future.

    Returns:
        (events, reasons) bool, the columns as `reasons` has them.
    """
    event, time, value, price = frame["event"], frame["timestamp"], frame["value"], frame["price"]
    prices = params.price or FINITE
    start, end = period(params)
    cancelled = (event == "purchase") & (value <= 0)
    nothing = pd.Series(False, index=frame.index)

    outside_period = nothing
    if start is not None:
        outside_period = outside_period | (time < start)
    if end is not None:
        outside_period = outside_period | (time > end)

    out_of_range = nothing
    for kind in EVENT_KINDS:
        limits = params.values.get(kind, FINITE)
        # A purchase without a quantity is one piece; a rating without stars says nothing.
        present = value.notna() if kind != "rating" or limits is FINITE else True
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
        "price_out_of_range": price.notna() & ~price.between(prices.low, prices.high),
        "not_a_product": frame["item_id"].isin(params.not_products),
        "unknown_item": ~frame["known_item"],
        "fake_account": frame["fake"],
        "duplicate": frame["copy"],
    }
    broken = pd.DataFrame({r: rules[r].astype(bool) for r in reasons(params)}, index=frame.index)
    expected = list(expected_reasons(params))
    broken.loc[broken[expected].any(axis=1), broken.columns.difference(expected)] = False
    return broken


def expected_reasons(params: ValidateParams) -> tuple[Reason, ...]:
    """Return the reasons for which rows are left out as a matter of course, in their order.

    What `validate.not_products` names is left out because it is named.
    """
    return tuple(reason for reason in REASONS if reason in (*params.expected, "not_a_product"))


def reasons(params: ValidateParams) -> tuple[Reason, ...]:
    """Return all reasons, the expected ones first."""
    expected = expected_reasons(params)
    return (*expected, *(reason for reason in REASONS if reason not in expected))


def partition(events: pa.Table, broken: pd.DataFrame) -> Partition:
    """Part the events into kept and quarantined, one reason a row.

    Args:
        events: the raw events, in any order of columns.
        broken: (events, reasons) what `broken_rules` returns.
    """
    matrix = broken.to_numpy()
    out = matrix.any(axis=1)
    reason = np.where(out, np.array(broken.columns, object)[matrix.argmax(axis=1)], None)
    events = events.select(EVENTS.names)
    kept = events.filter(pa.array(~out))
    quarantined = events.append_column("reason", pa.array(reason, pa.string())).filter(pa.array(out))
    assert len(kept) + len(quarantined) == len(events), "a row was lost or doubled"
    return Partition(kept, quarantined.cast(QUARANTINE))


def price_range(params: ValidateParams) -> ValueRange:
    """Return the range of an item's price: that of an event's, else any that is finite and not negative."""
    return params.price or ValueRange(low=0, high=FINITE.high)


def with_sound_prices(items: pa.Table, params: ValidateParams) -> tuple[pa.Table, int]:
    """Return the items with null for a price that is none, and how many that were.

    One bad price in a table of items must not stop a shop's night. A price is one of several things that are
    known of an item, and may be missing.
    """
    price, limits = items["price"], price_range(params)
    sound = pc.and_(pc.greater_equal(price, limits.low), pc.less_equal(price, limits.high))  # NaN is not
    index = items.schema.get_field_index("price")
    cleaned = pc.if_else(sound, price, pa.scalar(None, pa.float64()))
    return items.set_column(index, items.schema.field(index), cleaned), cleaned.null_count - price.null_count


def with_sound_pictures(items: pa.Table) -> tuple[pa.Table, int]:
    """Return the items with null for an image_url that no page may show, and how many that were.

    It comes from a file of the shop's and ends up in pages: nothing but pictures may be fetched by it.
    """
    url = pc.utf8_trim_whitespace(items["image_url"])
    sound = pc.and_(
        pc.match_substring_regex(url, PICTURE), pc.less_equal(pc.utf8_length(url), PICTURE_LENGTH)
    )
    index = items.schema.get_field_index("image_url")
    cleaned = pc.if_else(sound, url, pa.scalar(None, pa.string()))
    return items.set_column(index, items.schema.field(index), cleaned), cleaned.null_count - url.null_count


def period(params: ValidateParams) -> tuple[datetime | None, datetime | None]:
    """Return the declared period in aware instants; one without a zone is UTC."""
    start, end = (
        instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
        for instant in (params.period_start, params.period_end)
    )
    return start, end


def ahead_by_zone(future: int, newest: datetime | None, now: datetime) -> str | None:
    """Say what future times look like local times without a zone, which were read as UTC.

    Args:
        future: how many raw events are after now.
        newest: the last instant of a raw event.
        now: an aware instant.

    Returns:
        A remedy; None where no time is in the future, or one is further ahead than any zone's clock.
    """
    if not future or newest is None or (ahead := newest - now) > _EASTERNMOST:
        return None
    hours = ahead / timedelta(hours=1)
    return (
        "if the source writes local times without a zone, name the zone in ingest.timezone, such as "
        f"Australia/Sydney (source files): the newest {future:,} events lie up to {hours:.1f} hours in "
        f"the future, as local times at UTC+{math.ceil(hours)} do when they are read as UTC, and leaving "
        "them out would leave all others shifted"
    )


def _lacking(ids: pa.ChunkedArray, table: pa.ChunkedArray) -> pa.Array:
    distinct = pc.drop_null(pc.unique(ids))
    return distinct.filter(pc.invert(pc.is_in(distinct, value_set=table.combine_chunks())))


def _isin(ids: pa.ChunkedArray, some: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.is_in(ids, value_set=some), bool)  # a null is in none: they hold none
