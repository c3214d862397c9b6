"""The events that count as a sign of interest, and what the log holds of them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ibis
import pyarrow as pa

from recgan.core.errors import RecganError
from recgan.data.engine import beside, rows_of
from recgan.features.settings import FeaturesParams


@dataclass(frozen=True)
class ScreenedOut:
    """What the screen left out of the events."""

    events: int
    accounts: int


@dataclass(frozen=True)
class Log:
    """What the events that count look like as a whole."""

    events: int
    left_out: int
    """Events of weight 0 and ratings below min_rating."""
    start: datetime | None
    """First instant (UTC); None where no event has a timestamp."""
    end: datetime | None
    without_time: int
    """Events without a timestamp."""
    screened_out: ScreenedOut = ScreenedOut(0, 0)


def counting_events(events: ibis.Table, params: FeaturesParams) -> ibis.Table:
    """Leave out the kinds of weight 0 and the ratings below min_rating."""
    kinds = [kind for kind, weight in params.weights.items() if weight > 0]
    counts = events.event.isin(kinds)
    if params.min_rating is not None:
        # NaN is above every number in SQL, and below it where the statistics of a Parquet file say so.
        enough = ~events.value.isnan() & (events.value >= params.min_rating)
        counts &= (events.event != "rating") | enough
    return events.filter(counts)


def without_accounts(events: ibis.Table, accounts: pa.Array | None) -> tuple[ibis.Table, ScreenedOut]:
    """Leave out all events of some accounts, and count them."""
    if accounts is None or not len(accounts):
        return events, ScreenedOut(0, 0)
    theirs = beside(events, pa.table({"user_id": accounts}))
    found = _first_row(
        events.semi_join(theirs, "user_id").aggregate(
            events=ibis._.count(), accounts=ibis._.user_id.nunique()
        )
    )
    return events.anti_join(theirs, "user_id"), ScreenedOut(**found)


def describe(events: ibis.Table, params: FeaturesParams) -> Log:
    """Count the events that count, and find the first and last instant.

    Raises:
        RecganError: no event counts.
    """
    found = _first_row(
        counting_events(events, params).aggregate(
            events=ibis._.count(),
            start=ibis._.timestamp.min(),
            end=ibis._.timestamp.max(),
            dated=ibis._.timestamp.count(),
        )
    )
    kinds = rows_of(events.group_by("event").aggregate(n=ibis._.count()).order_by("event")).to_pylist()
    n_all = sum(kind["n"] for kind in kinds)
    if found["events"] == 0:
        has = ", ".join(f"{kind['n']:,} {kind['event']}" for kind in kinds) or "no event at all"
        raise RecganError(
            f"no event is left for the features: the log has {has}, features.weights is {params.weights} and "
            f"features.min_rating is {params.min_rating}; "
            "give a kind that the log has a weight above 0, or lower features.min_rating"
        )
    return Log(
        events=found["events"],
        left_out=n_all - found["events"],
        start=_utc(found["start"]),
        end=_utc(found["end"]),
        without_time=found["events"] - found["dated"],
    )


def _first_row(table: ibis.Table) -> dict[str, Any]:
    row: dict[str, Any] = rows_of(table).to_pylist()[0]
    return row


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
