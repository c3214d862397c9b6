"""What metrics/features.json says of the features."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.features.cells import Cells, distinct
from recgan.features.clean import Log
from recgan.features.confidence import Pairs
from recgan.features.identity import split_identity
from recgan.features.matrices import ColdStart, Features, HeldOut, content_md5
from recgan.features.settings import FeaturesParams
from recgan.features.split import TRAIN, WINDOWS, Cuts
from recgan.features.statistics import Statistics


def summary_of(
    built: Features,
    pairs: Pairs,
    cells: Cells,
    core: NDArray[np.bool_],
    statistics: Statistics,
    params: FeaturesParams,
    log: Log,
    cuts: Cuts | None,
) -> dict[str, Any]:
    """Return the figures of the features: the same for the same events and parameters."""
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
            "screened_out": asdict(log.screened_out),
            "start": None if log.start is None else log.start.isoformat(),
            "end": None if log.end is None else log.end.isoformat(),
        },
        "cuts": None if cuts is None else {name: cut.isoformat() for name, cut in asdict(cuts).items()},
        "windows": {
            name: _window_counts(pairs, cells.windows == window, statistics["events"][:, window])
            for window, name in enumerate(WINDOWS)
            if name == "train" or name in held_out
        },
        "k_core": {
            "users_left_out": len(distinct(cells.users[in_train])) - n_users,
            "items_left_out": len(distinct(pairs.rows["item"].to_numpy()[in_train])) - n_items,
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
            "items": built.train_validation.shape[1],
            "interactions": built.train_validation.nnz,
        },
        **{name: _held_out_counts(window, name, pairs, cells, params) for name, window in held_out.items()},
        **{name: _cold_counts(start) for name, start in cold.items() if start is not None},
        "md5": content_md5(built),
    }


def _window_counts(pairs: Pairs, inside: NDArray[np.bool_], events: NDArray[np.float64]) -> dict[str, int]:
    """Count what a window has before anything is left out of it."""
    return {
        "events": int(events.sum()),
        "users": len(distinct(pairs.rows["user"].to_numpy()[inside])),
        "items": len(distinct(pairs.rows["item"].to_numpy()[inside])),
        "interactions": int(inside.sum()),
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
    window: HeldOut, name: str, pairs: Pairs, cells: Cells, params: FeaturesParams
) -> dict[str, Any]:
    inside = cells.windows == WINDOWS.index(name)
    items = pairs.rows["item"].to_numpy()
    known = cells.known & (cells.positions < window.held_out.shape[1])  # validation's is train's vocabulary
    n_items, unknown_items = (len(distinct(items[mask])) for mask in (inside, inside & ~known))
    unknown = int((inside & ~known).sum())
    seen = inside & known & (cells.first_windows < cells.windows)
    return {
        "users": len(window.user_ids),
        "new_users": int((np.diff(window.history.indptr) == 0).sum()),
        "users_left_out": len(distinct(cells.users[inside])) - len(window.user_ids),
        "known_users": int((np.diff(window.held_out.indptr) > 0).sum()),
        "interactions": window.held_out.nnz,
        "outside_interactions": 0 if window.outside is None else window.outside.held_out.nnz,
        "seen_left_out": 0 if params.repeat_purchases else int(seen.sum()),
        "unknown_items": unknown_items,
        "unknown_items_share": unknown_items / n_items,
        "unknown_interactions": unknown,
        "unknown_interactions_share": unknown / int(inside.sum()),
    }
