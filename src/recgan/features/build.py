"""Split the kept events in windows and build the matrices."""

import logging
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core import memory
from recgan.core.errors import RecganError
from recgan.core.temporary import temporary_folder
from recgan.data.events import EVENTS, ITEMS, check_table, read_table
from recgan.data.quarantine import QUARANTINE
from recgan.features.clean import Log, counting_events, describe
from recgan.features.cold import first_events, new_items
from recgan.features.confidence import FIXED_POINT, NO_TIME, Pairs, code_pairs, decay_between, pair_events
from recgan.features.draw import pair_draws
from recgan.features.identity import split_identity
from recgan.features.matrices import ColdStart, Features, HeldOut, content_md5, to_csr
from recgan.features.settings import FeaturesParams, Split
from recgan.features.split import (
    TEST,
    TRAIN,
    VALIDATION,
    WINDOWS,
    Cuts,
    check_order,
    check_published,
    leave_last_out_windows,
    published_windows,
    random_windows,
    time_cuts,
)
from recgan.features.vocabulary import k_core

logger = logging.getLogger(__name__)

_DAY = 86_400_000_000  # microseconds


def features_of(kept: Path, params: FeaturesParams) -> Features:
    """Build the features of the kept tables, as `build_features` does, in DuckDB.

    Args:
        kept: folder of events.parquet, quarantine.parquet and items.parquet.
        params: the features section.

    Raises:
        RecganError: a table is missing, or the parameters leave a window or the vocabulary empty.
    """
    with temporary_folder() as spill:
        check_table(kept / "events.parquet", EVENTS)
        check_table(kept / "quarantine.parquet", QUARANTINE)
        items = read_table(kept / "items.parquet", ITEMS).to_pandas()
        connection = ibis.duckdb.connect(
            memory_limit=f"{memory.total() // 2**21}MiB",  # half; what is more spills to disk
            temp_directory=str(spill),
            preserve_insertion_order=False,
        )
        try:
            events, quarantined = (
                connection.read_parquet(kept / f"{name}.parquet") for name in ("events", "quarantine")
            )
            return build_features(events, items, params, quarantined)
        finally:
            connection.disconnect()


def build_features(
    events: ibis.Table, items: pd.DataFrame, params: FeaturesParams, quarantined: ibis.Table | None = None
) -> Features:
    """Build everything that features writes; nothing depends on the order of the events.

    Args:
        events: the kept events, on any backend of Ibis.
        items: the items table; an item that is not in it gets no title, category, brand and price.
        params: the features section.
        quarantined: rows that were not kept, on the same backend. Nothing counts in them, but a product that
            they name, say in the basket of a shopper without an account, is no new one afterwards.

    Raises:
        RecganError: no event counts, a window or the k-core is empty, or the split lacks what it needs.
    """
    log = describe(events, params)
    logger.info("%d events count, %d are left out (weight 0 or below min_rating)", log.events, log.left_out)
    cuts = _cuts(events, params, log)
    pairs = code_pairs(pair_events(events, params, log, cuts).to_pyarrow())
    windows = assign_windows(pairs, params.split)
    _check_windows(windows, params.split, cuts)
    core = _train_core(pairs, windows, params)
    cells = _cells(pairs, windows, core, params, cuts)

    in_validation = windows == VALIDATION
    train_users = np.unique(cells.users[core])
    # New are those without any event in train: a user whom the k-core left out does not come back.
    later_users = np.setdiff1d(cells.users[in_validation & cells.known], cells.users[windows == TRAIN])
    row_users = np.concatenate([train_users, later_users])
    train, train_times = cells.matrix(core, train_users), _times(cells, pairs, core, train_users, log)
    train_validation, train_validation_times, validation = train, train_times, None
    if in_validation.any():
        train_validation = cells.matrix(windows <= VALIDATION, row_users, at_test=True)
        train_validation_times = _times(cells, pairs, windows <= VALIDATION, row_users, log)
        validation = _hold_out(cells, pairs, VALIDATION, params)
    test = _hold_out(cells, pairs, TEST, params)
    cold_validation, cold_test = None, None
    if cuts is not None:
        first = first_events(events, quarantined)
        cold_validation = _cold_start(cells, pairs, VALIDATION, cuts.validation_start, first, items)
        cold_test = _cold_start(cells, pairs, TEST, cuts.test_start, first, items)
    built = Features(
        train=train,
        train_validation=train_validation,
        user_ids=pairs.user_ids[row_users],
        items=item_table(pairs, cells, train, items, log),
        validation=validation,
        test=test,
        summary={},
        train_times=train_times,
        train_validation_times=train_validation_times,
        cold_validation=cold_validation,
        cold_test=cold_test,
    )
    logger.info(
        "train: %d users, %d items, %d interactions; held out: %d users in validation, %d in test",
        *train.shape,
        train.nnz,
        0 if validation is None else len(validation.user_ids),
        len(test.user_ids),
    )
    return replace(built, summary=_summary(built, pairs, cells, core, params, log, cuts))


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


@dataclass(frozen=True)
class _Cells:
    """The pairs as cells of the matrices to build; every array is (pairs,), sorted by user and item."""

    users: NDArray[np.int32]
    positions: NDArray[np.int32]
    """-1 outside the vocabulary."""
    windows: NDArray[np.int8]
    first_windows: NDArray[np.int8]
    """The earliest window in which the user met the item."""
    confidence: NDArray[np.float64]
    """As it is at the end of the pair's window."""
    confidence_at_test: NDArray[np.float64]
    """As it is when the test window starts."""
    n_users: int
    vocabulary: NDArray[np.int32]
    """(items,) codes of the items, ascending."""
    binary: bool

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.positions >= 0

    def matrix(
        self, mask: NDArray[np.bool_], users: NDArray[np.int32], at_test: bool = False, binary: bool = False
    ) -> csr_array:
        """Build the rows of some users from the cells of a mask, those outside the vocabulary left out."""
        row, mask = self.rows(mask, users)
        values = self.confidence_at_test if at_test else self.confidence
        shape = (len(users), len(self.vocabulary))
        return to_csr(row[mask], self.positions[mask], values[mask], shape, self.binary or binary)

    def rows(
        self, mask: NDArray[np.bool_], users: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return each cell's row among some users, and which cells of a mask have one in the vocabulary."""
        row = _places(users, self.n_users)[self.users]
        return row, mask & self.known & (row >= 0)


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


def _check_windows(windows: NDArray[np.int8], split: Split, cuts: Cuts | None) -> None:
    if cuts is not None and not (windows == VALIDATION).any():
        raise RecganError(
            f"no event from {cuts.validation_start:%Y-%m-%d %H:%M} to {cuts.test_start:%Y-%m-%d %H:%M}, the "
            "validation window; lengthen features.split.validation_days"
        )
    wanted = {TEST: True, VALIDATION: getattr(split, "validation_share", 1) > 0}
    for window in (TEST, VALIDATION):
        if wanted[window] and not (windows == window).any():
            drawn = split.kind == "random" or (split.kind == "published" and window == VALIDATION)
            why = "none of the interactions is drawn" if drawn else "no user has an item to spare"
            raise RecganError(
                f"the {WINDOWS[window]} window of the {split.kind} split is empty: {why} for it; "
                f"{_remedy(split, window)}"
            )


def _remedy(split: Split, window: int) -> str:
    if split.kind == "time":
        return f"lengthen features.split.{WINDOWS[window]}_days or lower features.min_item_users"
    if split.kind == "random" or (split.kind == "published" and window == VALIDATION):
        return f"raise features.split.{WINDOWS[window]}_share or lower features.min_item_users"
    return "lower features.min_item_users or take another features.split.kind"


def _train_core(pairs: Pairs, windows: NDArray[np.int8], params: FeaturesParams) -> NDArray[np.bool_]:
    """Find the pairs of the train window that the k-core keeps."""
    in_train = windows == TRAIN
    users, items = pairs.rows["user"].to_numpy()[in_train], pairs.rows["item"].to_numpy()[in_train]
    core = np.zeros(len(windows), dtype=bool)
    core[in_train] = k_core(users, items, params.min_user_items, params.min_item_users)
    if not core.any():
        raise RecganError(
            f"nothing is left of the train window: it has {len(np.unique(users))} users, "
            f"{len(np.unique(items))} items and {len(users)} interactions, but no users with at least "
            f"{params.min_user_items} of the items that have {params.min_item_users} of them or more; "
            "lower features.min_user_items or features.min_item_users"
        )
    return core


def _cells(
    pairs: Pairs,
    windows: NDArray[np.int8],
    core: NDArray[np.bool_],
    params: FeaturesParams,
    cuts: Cuts | None,
) -> _Cells:
    users, items = pairs.rows["user"].to_numpy(), pairs.rows["item"].to_numpy()
    confidence = pairs.rows["confidence"].to_numpy()
    vocabulary = np.unique(items[core])
    starts = np.concatenate([[True], (np.diff(users) != 0) | (np.diff(items) != 0)])
    first = np.maximum.accumulate(
        np.where(starts, np.arange(len(users)), 0)
    )  # row where the user's item starts
    return _Cells(
        users=users,
        positions=_places(vocabulary, len(pairs.item_ids))[items],
        windows=windows,
        first_windows=windows[first],
        confidence=confidence,
        confidence_at_test=confidence * np.where(windows == TRAIN, decay_between(params, cuts), 1.0),
        n_users=len(pairs.user_ids),
        vocabulary=vocabulary,
        binary=params.binary,
    )


def _places(codes: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return for each of n codes its place among some of them, -1 where it is not there."""
    places = np.full(n, -1, dtype=np.int32)
    places[codes] = np.arange(len(codes), dtype=np.int32)
    return places


def _hold_out(cells: _Cells, pairs: Pairs, window: int, params: FeaturesParams) -> HeldOut:
    """Take what a window holds out, for every user with something in it, and what came before."""
    inside = (cells.windows == window) & cells.known
    asked = inside if params.repeat_purchases else inside & (cells.first_windows == window)
    if not asked.any():
        raise RecganError(
            f"nothing is held out in the {WINDOWS[window]} window: of its {(cells.windows == window).sum()} "
            f"interactions {inside.sum()} are with items that train knows, and "
            f"{(inside & ~asked).sum()} of these with items the user had seen; "
            f"{_remedy(params.split, window)}"
        )
    users = np.unique(cells.users[asked])
    return HeldOut(
        user_ids=pairs.user_ids[users],
        history=cells.matrix(cells.windows < window, users, at_test=window == TEST),
        held_out=cells.matrix(asked, users, binary=True),
    )


def _times(
    cells: _Cells, pairs: Pairs, mask: NDArray[np.bool_], users: NDArray[np.int32], log: Log
) -> NDArray[np.float32] | None:
    """Date the entries of `cells.matrix(mask, users)`: days from the log's start to each one's last event."""
    if log.start is None or log.without_time:
        return None
    row, mask = cells.rows(mask, users)
    chosen = np.flatnonzero(mask)
    # An item met in both windows has a cell in each, the later one second; a matrix has them as one entry.
    user, position = cells.users[chosen], cells.positions[chosen]
    chosen = chosen[np.append((np.diff(user) != 0) | (np.diff(position) != 0), True)]
    chosen = chosen[np.argsort(row[chosen], kind="stable")]  # the positions of a row ascend already
    days = (pairs.rows["last"].to_numpy()[chosen] - _microseconds(log.start)) / _DAY
    return np.asarray(np.maximum(days, np.finfo(np.float32).tiny), dtype=np.float32)


def _microseconds(instant: datetime) -> int:
    return int(np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us").astype(np.int64))


def _cold_start(
    cells: _Cells, pairs: Pairs, window: int, start: datetime, first: pd.Series, items: pd.DataFrame
) -> ColdStart | None:
    """Take what a window sells first, for every user with some of it, and what came before."""
    new = first.reindex(pairs.item_ids).to_numpy() >= _microseconds(start)
    codes = pairs.rows["item"].to_numpy()
    inside = (cells.windows == window) & new[codes]
    if not inside.any():
        return None
    sold = np.unique(codes[inside])
    table = new_items(items, first, pairs.item_ids[sold], _microseconds(start))
    users = np.unique(cells.users[inside])
    column = np.full(len(pairs.item_ids), -1, dtype=np.int32)
    column[sold] = pd.Index(table["item_id"]).get_indexer(pairs.item_ids[sold])
    return ColdStart(
        items=table.assign(first_sold=table["item_id"].isin(pairs.item_ids[sold])),
        user_ids=pairs.user_ids[users],
        history=cells.matrix(cells.windows < window, users, at_test=window == TEST),
        held_out=to_csr(
            _places(users, cells.n_users)[cells.users[inside]],
            column[codes[inside]],
            np.ones(inside.sum()),
            (len(users), len(table)),
            binary=True,
        ),
    )


def item_table(pairs: Pairs, cells: _Cells, train: csr_array, items: pd.DataFrame, log: Log) -> pd.DataFrame:
    """Describe each item of the vocabulary, by the items table and by its events in the train window."""
    n_items = len(cells.vocabulary)
    in_train = (cells.windows == TRAIN) & cells.known
    position, rows = cells.positions[in_train], pairs.rows[in_train]

    def total(name: str) -> NDArray[np.float64]:
        # Whole numbers add up exactly in any order.
        return np.bincount(position, weights=rows[name], minlength=n_items).astype(np.float64)

    def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        quotient = np.full(n_items, np.nan)
        np.divide(part, whole, out=quotient, where=whole > 0)
        return quotient

    before_test = (cells.windows < TEST) & cells.known & (pairs.rows["first"].to_numpy() != NO_TIME)
    latest = np.iinfo(np.int64).max
    first = np.full(n_items, latest)
    np.minimum.at(first, cells.positions[before_test], pairs.rows["first"].to_numpy()[before_test])
    first[first == latest] = NO_TIME

    table = pd.DataFrame({"item_id": pairs.item_ids[cells.vocabulary].astype(str)})
    table = table.merge(items, on="item_id", how="left", validate="one_to_one")
    return table.assign(
        popularity=np.bincount(train.indices, minlength=n_items),
        first_seen=pd.Series(first.astype("datetime64[us]")).dt.tz_localize("UTC"),
        mean_price=share(total("price_sum") / FIXED_POINT, total("prices")),
        mean_rating=share(total("rating_sum") / FIXED_POINT, total("ratings")),
        purchases_per_view=share(total("purchase"), total("view")),
        trend=share(total("recent"), total("events")) if log.start is not None else np.nan,
    )


def _summary(
    built: Features,
    pairs: Pairs,
    cells: _Cells,
    core: NDArray[np.bool_],
    params: FeaturesParams,
    log: Log,
    cuts: Cuts | None,
) -> dict[str, Any]:
    held = {"validation": built.validation, "test": built.test}
    held_out = {name: window for name, window in held.items() if window is not None}
    cold = {"cold_validation": built.cold_validation, "cold_test": built.cold_test}
    in_train = cells.windows == TRAIN
    n_users, n_items = built.train.shape
    return {
        "split": params.split.kind,
        "split_identity": split_identity(pairs, cells.windows, params.split, cuts),
        "repeat_purchases": params.repeat_purchases,
        "log": {
            "events": log.events,
            "events_left_out": log.left_out,
            "start": None if log.start is None else log.start.isoformat(),
            "end": None if log.end is None else log.end.isoformat(),
        },
        "cuts": None if cuts is None else {name: cut.isoformat() for name, cut in asdict(cuts).items()},
        "windows": {
            name: _window_counts(pairs, cells.windows == window)
            for window, name in enumerate(WINDOWS)
            if name == "train" or name in held_out
        },
        "k_core": {
            "users_left_out": len(np.unique(cells.users[in_train])) - n_users,
            "items_left_out": len(np.unique(pairs.rows["item"].to_numpy()[in_train])) - n_items,
            "interactions_left_out": int(in_train.sum() - core.sum()),
        },
        "train": {
            "users": n_users,
            "items": n_items,
            "interactions": built.train.nnz,
            "sparsity": 1 - built.train.nnz / (n_users * n_items),
        },
        "train_validation": {
            "users": built.train_validation.shape[0],
            "interactions": built.train_validation.nnz,
        },
        **{name: _held_out_counts(window, name, pairs, cells, params) for name, window in held_out.items()},
        **{name: _cold_counts(start) for name, start in cold.items() if start is not None},
        "md5": content_md5(built),
    }


def _window_counts(pairs: Pairs, inside: NDArray[np.bool_]) -> dict[str, int]:
    """Count what a window has before anything is left out of it."""
    rows = pairs.rows[inside]
    return {
        "events": int(rows["events"].sum()),
        "users": int(rows["user"].nunique()),
        "items": int(rows["item"].nunique()),
        "interactions": len(rows),
    }


def _cold_counts(cold: ColdStart) -> dict[str, int]:
    return {
        "items": len(cold.items),
        "first_sold": int(cold.items["first_sold"].sum()),
        "users": len(cold.user_ids),
        "new_users": int((np.diff(cold.history.indptr) == 0).sum()),
        "interactions": cold.held_out.nnz,
    }


def _held_out_counts(
    window: HeldOut, name: str, pairs: Pairs, cells: _Cells, params: FeaturesParams
) -> dict[str, Any]:
    inside = cells.windows == WINDOWS.index(name)
    items = pairs.rows["item"].to_numpy()
    n_items, unknown_items = (len(np.unique(items[mask])) for mask in (inside, inside & ~cells.known))
    unknown = int((inside & ~cells.known).sum())
    seen = inside & cells.known & (cells.first_windows < cells.windows)
    return {
        "users": len(window.user_ids),
        "new_users": int((np.diff(window.history.indptr) == 0).sum()),
        "users_left_out": len(np.unique(cells.users[inside])) - len(window.user_ids),
        "interactions": window.held_out.nnz,
        "seen_left_out": 0 if params.repeat_purchases else int(seen.sum()),
        "unknown_items": unknown_items,
        "unknown_items_share": unknown_items / n_items,
        "unknown_interactions": unknown,
        "unknown_interactions_share": unknown / int(inside.sum()),
    }
