"""Split the kept events in windows and build the matrices."""

import logging
from dataclasses import astuple, replace
from datetime import datetime
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recgan.core.errors import RecganError
from recgan.data.engine import engine
from recgan.data.events import EVENTS, ITEMS, check_table, read_table
from recgan.data.quarantine import QUARANTINE
from recgan.features.cells import (
    Cells,
    ages_of,
    cells_of,
    distinct,
    first_times_of,
    microseconds,
    places,
    times_of,
    widened,
)
from recgan.features.clean import Log, counting_events, describe, without_accounts
from recgan.features.cold import first_events, new_items
from recgan.features.confidence import Pairs, pair_events
from recgan.features.draw import pair_draws
from recgan.features.item_table import item_table
from recgan.features.matrices import ColdStart, Features, HeldOut, Outside, beside, to_csr
from recgan.features.settings import FeaturesParams, Split
from recgan.features.split import (
    TEST,
    TRAIN,
    VALIDATION,
    WINDOWS,
    Cuts,
    check_order,
    check_published,
    check_windows,
    leave_last_out_windows,
    published_windows,
    random_windows,
    remedy,
    time_cuts,
)
from recgan.features.statistics import statistics_of
from recgan.features.summary import summary_of
from recgan.features.vocabulary import k_core

logger = logging.getLogger(__name__)


def features_of(
    kept: Path, left_out: pa.Array, params: FeaturesParams, until: datetime | None = None
) -> Features:
    """Build the features of the kept tables, as `build_features` does.

    Args:
        kept: folder of events.parquet, quarantine.parquet and items.parquet.
        left_out: ids of accounts that are not learned from.
        params: the features section.
        until: an aware instant at which the log is taken to end; None takes all of it.

    Raises:
        RecganError: a table is missing, or the parameters leave a window or the vocabulary empty.
    """
    check_table(kept / "events.parquet", EVENTS)
    check_table(kept / "quarantine.parquet", QUARANTINE)
    items = read_table(kept / "items.parquet", ITEMS).to_pandas()
    with engine() as tables:
        events, quarantined = (tables.read(kept / f"{name}.parquet") for name in ("events", "quarantine"))
        return build_features(events, items, params, quarantined, until, left_out)


def build_features(
    events: ibis.Table,
    items: pd.DataFrame,
    params: FeaturesParams,
    quarantined: ibis.Table | None = None,
    until: datetime | None = None,
    left_out: pa.Array | None = None,
) -> Features:
    """Build everything that features writes; nothing depends on the order of the events.

    Args:
        events: the kept events, on any backend of Ibis.
        items: the items table; an item that is not in it gets no title, category, brand and price.
        params: the features section.
        quarantined: rows that were not kept, on the same backend. Nothing counts in them, but a product that
            they name, say in the basket of a shopper without an account, is no new one afterwards.
        until: an aware instant, at which the log is taken to end. No event at it, after it or without a time
            is read. Windows count back from it. The items table is of today all the same. None takes the
            whole log.
        left_out: ids of accounts that are not learned from. Nothing of theirs counts in any window, but a
            product that they came to is no new one afterwards. None is nobody.

    Raises:
        RecganError: no event counts, a window or the k-core is empty, or the split lacks what it needs.
    """
    if until is not None:
        events = events.filter(events.timestamp < ibis.literal(until))
        if quarantined is not None:
            quarantined = quarantined.filter(quarantined.timestamp < ibis.literal(until))
    every = events
    events, screened_out = without_accounts(events, left_out)
    log = replace(describe(events, params), screened_out=screened_out)
    if until is not None:
        log = replace(log, end=until)
    counted = f"{log.events:,} events count, {log.left_out:,} are left out"
    logger.info("%s (weight 0 or below min_rating)", counted)
    if screened_out.events:
        told = (f"{n:,}" for n in astuple(screened_out))
        logger.info("%s events of %s accounts are left out by the screen", *told)
    cuts = _cuts(events, params, log)
    pairs = pair_events(events, params, log, cuts)
    windows = assign_windows(pairs, params.split)
    check_windows(windows, params.split, cuts)
    core = _train_core(pairs, windows, params)
    cells = cells_of(pairs, windows, core, params, cuts)
    statistics = statistics_of(events, pairs, windows, params, log, cuts)

    in_validation = windows == VALIDATION
    train_users = distinct(cells.users[core])
    wide = widened(cells, pairs, train_users, params.min_item_users)
    # New are those without any event in train: a user whom the k-core left out does not come back.
    later_users = np.setdiff1d(
        distinct(cells.users[in_validation & wide.known]), distinct(cells.users[windows == TRAIN])
    )
    row_users = np.concatenate([train_users, later_users])
    train, train_times = cells.matrix(core, train_users), times_of(cells, pairs, core, train_users, log)
    train_validation, train_validation_times, validation = train, train_times, None
    if in_validation.any():
        train_validation = wide.matrix(windows <= VALIDATION, row_users, at_test=True)
        train_validation_times = times_of(wide, pairs, windows <= VALIDATION, row_users, log)
        start = log.end if cuts is None else cuts.validation_start
        validation = _hold_out(cells, pairs, VALIDATION, params, log, start)
    test = _hold_out(wide, pairs, TEST, params, log, log.end if cuts is None else cuts.test_start)
    cold_validation, cold_test = None, None
    if cuts is not None:
        first = first_events(every, quarantined)
        cold_validation = _cold_start(cells, pairs, VALIDATION, cuts.validation_start, first, items)
        cold_test = _cold_start(wide, pairs, TEST, cuts.test_start, first, items)
    built = Features(
        train=train,
        train_validation=train_validation,
        user_ids=pairs.user_ids[row_users],
        items=item_table(pairs, wide, train, train_validation, items, log, statistics),
        validation=validation,
        test=test,
        summary={},
        train_times=train_times,
        train_validation_times=train_validation_times,
        cold_validation=cold_validation,
        cold_test=cold_test,
    )
    logger.info(
        "train: %s users, %s items, %s interactions; held out: %s users in validation, %s in test",
        *(f"{size:,}" for size in (*train.shape, train.nnz)),
        f"{0 if validation is None else len(validation.user_ids):,}",
        f"{len(test.user_ids):,}",
    )
    return replace(built, summary=summary_of(built, pairs, wide, core, statistics, params, log, cuts))


def assign_windows(pairs: Pairs, split: Split) -> NDArray[np.int8]:
    """Name the window of each pair: as its events have it, as it is drawn, or by the user's last items."""
    windows = pairs.rows["window"].to_numpy()
    if split.kind == "random":
        return random_windows(pair_draws(pairs, split.seed), split)
    if split.kind == "leave-last-out":
        return leave_last_out_windows(pairs.rows["user"].to_numpy(), pairs.rows["last"].to_numpy())
    if split.kind == "published":
        return published_windows(pair_draws(pairs, split.seed), pairs.rows["item"].to_numpy(), windows, split)
    return windows


def _cuts(events: ibis.Table, params: FeaturesParams, log: Log) -> Cuts | None:
    """Find the instants of a split in time, and check that any other split has what it needs."""
    split = params.split
    if split.kind == "time":
        return time_cuts(split, log)
    if split.kind == "leave-last-out":
        check_order(split, log)
    elif split.kind == "published":
        check_published(counting_events(events, params), log)
    return None


def _train_core(pairs: Pairs, windows: NDArray[np.int8], params: FeaturesParams) -> NDArray[np.bool_]:
    """Find the pairs of the train window that the k-core keeps."""
    in_train = windows == TRAIN
    users, items = pairs.rows["user"].to_numpy()[in_train], pairs.rows["item"].to_numpy()[in_train]
    core = np.zeros(len(windows), dtype=bool)
    core[in_train] = k_core(users, items, params.min_user_items, params.min_item_users)
    if not core.any():
        raise RecganError(
            f"nothing is left of the train window: it has {len(distinct(users)):,} users, "
            f"{len(distinct(items)):,} items and {len(users):,} interactions, but no users with at least "
            f"{params.min_user_items} of the items that have {params.min_item_users} of them or more; "
            "lower features.min_user_items or features.min_item_users"
        )
    return core


def _hold_out(
    cells: Cells, pairs: Pairs, window: int, params: FeaturesParams, log: Log, now: datetime | None
) -> HeldOut:
    """Take what a window holds out, for every user with something in it, and what came before `now`."""
    inside = (cells.windows == window) & cells.known
    asked = inside if params.repeat_purchases else inside & (cells.first_windows == window)
    if not asked.any():
        raise RecganError(
            f"nothing is held out in the {WINDOWS[window]} window: of its "
            f"{(cells.windows == window).sum():,} interactions {inside.sum():,} are with items of the "
            f"vocabulary, and {(inside & ~asked).sum():,} of these with items the user had seen; "
            f"{remedy(params.split, window)}"
        )
    others = (cells.windows == window) & ~cells.known
    others &= params.repeat_purchases | (cells.first_windows == window)
    users, before = distinct(cells.users[asked | others]), cells.windows < window
    history = cells.matrix(before, users, at_test=window == TEST)
    days = ages_of(cells, pairs, before, users, log, now)
    return HeldOut(
        user_ids=pairs.user_ids[users],
        history=history,
        held_out=cells.matrix(asked, users, binary=True),
        ages=None if days is None else beside(history, days),
        held_out_times=first_times_of(cells, pairs, asked, users, log),
        outside=_outside(cells, pairs, others, users, log),
    )


def _outside(
    cells: Cells, pairs: Pairs, others: NDArray[np.bool_], users: NDArray[np.int32], log: Log
) -> Outside | None:
    """Take what came of items outside the vocabulary, as if those were one of their own."""
    if not others.any():
        return None
    items = pairs.rows["item"].to_numpy()
    codes = distinct(items[others])
    own = replace(cells, vocabulary=codes, positions=places(codes, len(pairs.item_ids))[items])
    return Outside(
        item_ids=pairs.item_ids[codes],
        held_out=own.matrix(others, users, binary=True),
        held_out_times=first_times_of(own, pairs, others, users, log),
    )


def _cold_start(
    cells: Cells, pairs: Pairs, window: int, start: datetime, first: pd.Series, items: pd.DataFrame
) -> ColdStart | None:
    """Take what a window sells first, for every user with some of it, and what came before."""
    new = first.reindex(pairs.item_ids).to_numpy() >= microseconds(start)
    codes = pairs.rows["item"].to_numpy()
    inside = (cells.windows == window) & new[codes]
    if not inside.any():
        return None
    sold = distinct(codes[inside])
    table = new_items(items, first, pairs.item_ids[sold], microseconds(start))
    users = distinct(cells.users[inside])
    column = np.full(len(pairs.item_ids), -1, dtype=np.int32)
    column[sold] = pd.Index(table["item_id"]).get_indexer(pairs.item_ids[sold])
    return ColdStart(
        items=table.assign(first_sold=table["item_id"].isin(pairs.item_ids[sold])),
        user_ids=pairs.user_ids[users],
        history=cells.matrix(cells.windows < window, users, at_test=window == TEST),
        held_out=to_csr(
            places(users, cells.n_users)[cells.users[inside]],
            column[codes[inside]],
            np.ones(inside.sum()),
            (len(users), len(table)),
            binary=True,
        ),
    )
