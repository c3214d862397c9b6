"""Train, validation and test: by global instants, by a draw of each pair, or by each user's items.

A split by items puts all events of a user with an item into one window (random, leave-last-out, a published
one's validation). A split by events can show an item in two windows (time, a published one's test).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np
from numpy.typing import NDArray

from recgan.core.errors import RecganError
from recgan.data.engine import rows_of
from recgan.features.clean import Log
from recgan.features.settings import LeaveLastOutSplit, PublishedSplit, RandomSplit, Split, TimeSplit

TRAIN, VALIDATION, TEST = 0, 1, 2
WINDOWS = ("train", "validation", "test")


@dataclass(frozen=True)
class Cuts:
    """The two global instants of a split in time; an event at an instant is in the window that starts."""

    validation_start: datetime
    test_start: datetime


def time_cuts(split: TimeSplit, log: Log) -> Cuts:
    """Count the windows back from the end of the log.

    Raises:
        RecganError: an event has no timestamp, or nothing is left for the train window.
    """
    if log.start is None or log.end is None or log.without_time:
        raise RecganError(
            f"features.split.kind is time, but {log.without_time:,} of {log.events:,} events have no "
            "timestamp; let validate drop them (null_timestamp), or take features.split.kind: random"
        )
    days = (log.end - log.start) / timedelta(days=1)
    if split.windows_in(days) < 1:
        raise RecganError(
            f"nothing is left for train: the log starts on {log.start:%Y-%m-%d} and has {days:.3g} days, "
            f"and features.split.validation_days {split.validation_days:g} and test_days "
            f"{split.test_days:g} take {split.validation_days + split.test_days:g}; shorten them to less "
            f"than {days:.3g} together"
        )
    test_start = log.end - timedelta(days=split.test_days)
    validation_start = test_start - timedelta(days=split.validation_days)
    return Cuts(validation_start, test_start)


def check_order(split: LeaveLastOutSplit, log: Log) -> None:
    """Check that every event has a place in time.

    Raises:
        RecganError: an event has no timestamp.
    """
    if log.without_time:
        raise RecganError(
            f"features.split.kind is {split.kind}, but {log.without_time:,} of {log.events:,} events have no "
            "timestamp, so no item is a user's last; take features.split.kind: random"
        )


def check_published(events: ibis.Table, log: Log) -> None:
    """Check that every event says whether it is train or test.

    Raises:
        RecganError: the column is missing, or empty or unknown in some row.
    """
    remedy = "take ingest.source: published-split, or another features.split.kind"
    if "split" not in events.columns:
        raise RecganError(f"features.split.kind is published, but the events have no column split; {remedy}")
    said = events.filter(events.split.isin(["train", "test"])).aggregate(rows=ibis._.count())
    known = rows_of(said)["rows"][0].as_py()
    if known < log.events:
        raise RecganError(
            f"features.split.kind is published, but the column split says neither train nor test in "
            f"{log.events - known:,} of {log.events:,} events; {remedy}"
        )


def event_window(events: ibis.Table, split: Split, cuts: Cuts | None) -> ibis.Value:
    """Name the window of each event: 0 train, 1 validation, 2 test; 0 where a split by items comes later."""
    if cuts is not None:
        window = ibis.cases(
            (events.timestamp < ibis.literal(cuts.validation_start), TRAIN),
            (events.timestamp < ibis.literal(cuts.test_start), VALIDATION),
            else_=TEST,
        )
    elif split.kind == "published":
        window = ibis.cases((events.split == "test", TEST), else_=TRAIN)
    else:
        window = ibis.literal(TRAIN)
    return window.cast("int8")


def random_windows(draws: NDArray[np.float64], split: RandomSplit) -> NDArray[np.int8]:
    """Put each pair into the window that its own draw names.

    So a pair never changes its window when other events come. Yesterday's champion was not trained on what is
    held out today. The price is that a user's share varies, and that one with no item in train is a new user.

    Args:
        draws: (pairs,) of [0, 1).
        split: the shares.
    """
    in_test = draws < split.test_share
    in_validation = ~in_test & (draws < split.test_share + split.validation_share)
    return np.where(in_test, TEST, np.where(in_validation, VALIDATION, TRAIN)).astype(np.int8)


def published_windows(
    draws: NDArray[np.float64], items: NDArray[np.int32], windows: NDArray[np.int8], split: PublishedSplit
) -> NDArray[np.int8]:
    """Draw a share of the published train pairs for validation; the published test stays as it is.

    If every train pair of an item is drawn, the pair with the highest draw goes back to train. The vocabulary
    comes from train: without that pair the published test would lose items that the paper's own train has.

    Args:
        draws: (pairs,) of [0, 1).
        items: (pairs,)
        windows: (pairs,) the published train or test.
        split: the share.
    """
    given = windows == TRAIN
    drawn = given & (draws < split.validation_share)
    lost = drawn & ~np.isin(items, items[given & ~drawn])
    order = np.flatnonzero(lost)[np.lexsort((draws[lost], items[lost]))]
    last = np.append(np.diff(items[order]) != 0, True)[: len(order)]
    drawn[order[last]] = False
    return np.where(drawn, VALIDATION, windows).astype(np.int8)


def leave_last_out_windows(users: NDArray[np.int32], last: NDArray[np.int64]) -> NDArray[np.int8]:
    """Take each user's last item for test and the one before for validation.

    A user with two items has no validation item, one with a single item only train. Of items last touched
    at the same instant, the higher id counts as the later.

    Args:
        users: (pairs,) sorted by user and then item.
        last: (pairs,) instant of the user's last event with the item.
    """
    sizes = np.bincount(users)
    order = np.lexsort((np.arange(len(users)), last))
    place = np.empty(len(users))
    place[order] = -np.arange(len(users))  # the latest has the lowest rank
    return _windows_by_rank(_rank(users, place), users, (sizes >= 2).astype(int), (sizes >= 3).astype(int))


def _rank(users: NDArray[np.int32], key: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank each row among the rows of its user, 0 for the lowest key; `users` is sorted."""
    order = np.lexsort((key, users))
    sizes = np.bincount(users)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.empty(len(users), dtype=np.int64)
    rank[order] = np.arange(len(users)) - first[users]
    return rank


def _windows_by_rank(
    rank: NDArray[np.int64],
    users: NDArray[np.int32],
    n_test: NDArray[np.int64],
    n_validation: NDArray[np.int64],
) -> NDArray[np.int8]:
    in_test = rank < n_test[users]
    in_validation = ~in_test & (rank < (n_test + n_validation)[users])
    return np.where(in_test, TEST, np.where(in_validation, VALIDATION, TRAIN)).astype(np.int8)


def check_windows(windows: NDArray[np.int8], split: Split, cuts: Cuts | None) -> None:
    """Check that no window that is wanted is empty.

    Raises:
        RecganError: one is.
    """
    if cuts is not None and not (windows == VALIDATION).any():
        raise RecganError(
            f"no event from {cuts.validation_start:%Y-%m-%d %H:%M} to {cuts.test_start:%Y-%m-%d %H:%M}, the "
            "validation window; lengthen features.split.validation_days, or see why the log has a gap "
            "(feedback goes on where an export has stopped)"
        )
    wanted = {TEST: True, VALIDATION: getattr(split, "validation_share", 1) > 0}
    for window in (TEST, VALIDATION):
        if wanted[window] and not (windows == window).any():
            drawn = split.kind == "random" or (split.kind == "published" and window == VALIDATION)
            why = "none of the interactions is drawn" if drawn else "no user has an item to spare"
            raise RecganError(
                f"the {WINDOWS[window]} window of the {split.kind} split is empty: {why} for it; "
                f"{remedy(split, window)}"
            )


def remedy(split: Split, window: int) -> str:
    """Say what fills an empty window."""
    if split.kind == "time":
        return f"lengthen features.split.{WINDOWS[window]}_days or lower features.min_item_users"
    if split.kind == "random" or (split.kind == "published" and window == VALIDATION):
        return f"raise features.split.{WINDOWS[window]}_share or lower features.min_item_users"
    return "lower features.min_item_users or take another features.split.kind"
