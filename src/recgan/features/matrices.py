"""The matrices that features writes and every later stage reads."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz, save_npz

from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole, write_json
from recgan.features.held_out import HeldOut as HeldOut
from recgan.features.held_out import Outside as Outside
from recgan.features.held_out import beside as beside


@dataclass(frozen=True)
class ColdStart:
    """The products that a window sells first: no event before it, be it of no weight or in quarantine."""

    items: pd.DataFrame
    """(new items,) by item_id: the columns of the items table, as in `Features.items`; first_sold, True where
    the window has an event that counts. These are all products of the items table without an event before the
    window, sold in it or not, and what the window sells that the items table does not have.
    """
    user_ids: NDArray[np.object_]
    """(rows,) users with at least one new item in the window, new users included (their history is empty)."""
    history: csr_array
    """(rows, items of the vocabulary) confidences of everything before the window."""
    held_out: csr_array
    """(rows, new items) 1 where an item is in the window."""


@dataclass(frozen=True)
class Features:
    """All that features writes."""

    train: csr_array
    """(train users, train's items) confidences of the train window."""
    train_validation: csr_array
    """(train users and those first seen in validation, all items) confidences of both windows; equal to
    `train` where there is no validation window. Its first columns are those of `train`; then come the items
    that train knows not or too little, and both windows together well enough."""
    user_ids: NDArray[np.object_]
    """(rows of train_validation,); the first rows are the train users, in the order of `train`."""
    items: pd.DataFrame
    """(all items,) in the order of positions: item_id, title, category, brand, price, image_url, popularity
    (users), first_seen (UTC); and mean_price (paid), mean_rating, purchases_per_view, trend (share of the
    events since the last quarter of the train window began), NaN where there is nothing to divide. Counted is
    the train window; of the items behind those of `train` both windows. What is fitted on `train` takes the
    first train.shape[1] rows."""
    validation: HeldOut | None
    """Over the items of `train`. None where the split has no validation."""
    test: HeldOut
    """Over all items."""
    summary: dict[str, Any]
    """Counts of what was left out, the cut instants, `repeat_purchases`, `md5` of all the rest."""
    train_times: NDArray[np.float32] | None = None
    """(entries of train,) beside `train.data`: days from the log's start (in the summary) to the user's last
    event with the item in the window, never 0; None unless every event that counts has a timestamp."""
    train_validation_times: NDArray[np.float32] | None = None
    """(entries of train_validation,) the same beside `train_validation.data`, over both windows."""
    cold_validation: ColdStart | None = None
    """None unless the split is in time and the window sells a product first."""
    cold_test: ColdStart | None = None


def to_csr(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    values: NDArray[np.float64],
    shape: tuple[int, int],
    binary: bool,
) -> csr_array:
    """Build a float32 matrix with sorted indices; entries of one cell add up, or are 1 where binary."""
    matrix = csr_array((values, (rows, columns)), shape=shape)  # float64: rounded once, after the sum
    matrix.sum_duplicates()
    # A confidence decayed below float32 would otherwise become a stored 0: seen and not seen at once.
    data = np.ones_like(matrix.data) if binary else np.maximum(matrix.data, np.finfo(np.float32).tiny)
    return csr_array(
        (data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)),
        shape=shape,
    )


def content_md5(features: Features) -> str:
    """Hash all that features holds but its summary and pictures, whatever the file format around it.

    Nothing is learned from a picture: another address of one makes no other features.
    """
    digest = hashlib.md5(usedforsecurity=False)
    cold_starts = [cold for cold in (features.cold_validation, features.cold_test) if cold is not None]
    windows = [window for window in (features.validation, features.test, *cold_starts) if window is not None]
    matrices = [features.train, features.train_validation]
    matrices += [matrix for window in windows for matrix in (window.history, window.held_out)]
    outside = [one.outside for one in (features.validation, features.test) if one and one.outside]
    matrices += [one.held_out for one in outside]
    for matrix in matrices:
        digest.update(str(matrix.shape).encode())
        digest.update(matrix.indptr.astype("<i8").tobytes())
        digest.update(matrix.indices.astype("<i8").tobytes())
        digest.update(matrix.data.astype("<f4").tobytes())
    for times in (features.train_times, features.train_validation_times):
        if times is not None:
            digest.update(times.astype("<f4").tobytes())
    for held in (features.validation, features.test):
        if held is not None and held.ages is not None and held.held_out_times is not None:
            digest.update(held.ages.data.astype("<f4").tobytes())
            digest.update(held.held_out_times.astype("<f8").tobytes())
    for one in outside:
        if one.held_out_times is not None:
            digest.update(one.held_out_times.astype("<f8").tobytes())
    ids = [*(window.user_ids for window in windows), *(one.item_ids for one in outside)]
    for names in (features.user_ids, *ids):
        digest.update("\0".join([str(len(names)), *names]).encode())
    for table in (features.items, *(cold.items for cold in cold_starts)):
        table = table.drop(columns="image_url", errors="ignore")
        digest.update("\0".join([str(len(table)), *table.columns]).encode())
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy("<u8").tobytes())
    return digest.hexdigest()


def write_features(features: Features, folder: Path) -> None:
    """Write all matrices, vocabularies and the summary into an existing folder.

    The summary's md5 is that of the files beside it, whatever it was: readers compare the two.
    """
    save_npz(folder / "train.npz", features.train)
    save_npz(folder / "train_validation.npz", features.train_validation)
    _write_ids(features.user_ids, folder / "users.parquet")
    features.items.to_parquet(folder / "items.parquet", index=False)
    if features.train_times is not None and features.train_validation_times is not None:
        np.save(folder / "train_times.npy", features.train_times)
        np.save(folder / "train_validation_times.npy", features.train_validation_times)
    for name, window in (("validation", features.validation), ("test", features.test)):
        if window is not None:
            _write_window(window, name, folder)
            if window.ages is not None and window.held_out_times is not None:
                np.save(folder / f"{name}_ages.npy", window.ages.data)  # beside the history's own entries
                np.save(folder / f"{name}_held_out_times.npy", window.held_out_times)
            if (outside := window.outside) is not None:
                save_npz(folder / f"{name}_outside.npz", outside.held_out)
                _write_ids(outside.item_ids, folder / f"{name}_outside_items.parquet", "item_id")
                if outside.held_out_times is not None:
                    np.save(folder / f"{name}_outside_times.npy", outside.held_out_times)
    for name, cold in (("cold_validation", features.cold_validation), ("cold_test", features.cold_test)):
        if cold is not None:
            cold.items.to_parquet(folder / f"{name}_items.parquet", index=False)
            _write_window(cold, name, folder)
    write_json(folder / "summary.json", {**features.summary, "md5": content_md5(features)})


def _write_window(window: HeldOut | ColdStart, name: str, folder: Path) -> None:
    save_npz(folder / f"{name}_history.npz", window.history)
    save_npz(folder / f"{name}_held_out.npz", window.held_out)
    _write_ids(window.user_ids, folder / f"{name}_users.parquet")


def _write_ids(ids: NDArray[np.object_], path: Path, column: str = "user_id") -> None:
    pd.DataFrame({column: ids.astype(str)}).to_parquet(path, index=False)


def read_features(folder: Path) -> Features:
    """Read what `write_features` wrote, all of it of one version.

    Raises:
        RecganError: a file is missing or not readable, or the files do not belong together.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(folder, _read)


def _read(folder: Path) -> Features:
    try:
        features = Features(
            train=_matrix(folder / "train.npz"),
            train_validation=_matrix(folder / "train_validation.npz"),
            user_ids=_ids(folder / "users.parquet"),
            items=pd.read_parquet(folder / "items.parquet"),
            validation=_read_held_out(folder, "validation")
            if (folder / "validation_held_out.npz").exists()
            else None,
            test=_read_held_out(folder, "test"),
            summary=read_json(folder / "summary.json"),
            train_times=_read_times(folder / "train_times.npy"),
            train_validation_times=_read_times(folder / "train_validation_times.npy"),
            cold_validation=_read_cold_start(folder, "cold_validation"),
            cold_test=_read_cold_start(folder, "cold_test"),
        )
        recorded = str(features.summary["md5"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise RecganError(
            f"the features in {folder} are not readable ({error}); run dvc repro features"
        ) from None
    found = content_md5(features)
    if found != recorded:
        raise RecganError(
            f"the files in {folder} do not belong together: their md5 is {found}, but summary.json has "
            f"{recorded}. Another run writes them at this moment, or one was changed by hand: run this again "
            "when no other run is under way, and if it stays so, dvc repro --force features"
        )
    return features


def _read_held_out(folder: Path, name: str) -> HeldOut:
    history = _matrix(folder / f"{name}_history.npz")
    days = _read_times(folder / f"{name}_ages.npy")
    return HeldOut(
        user_ids=_ids(folder / f"{name}_users.parquet"),
        history=history,
        held_out=_matrix(folder / f"{name}_held_out.npz"),
        ages=None if days is None else beside(history, days),
        held_out_times=_read_exact(folder / f"{name}_held_out_times.npy"),
        outside=_read_outside(folder, name),
    )


def _read_outside(folder: Path, name: str) -> Outside | None:
    if not (folder / f"{name}_outside.npz").exists():
        return None
    return Outside(
        item_ids=_ids(folder / f"{name}_outside_items.parquet", "item_id"),
        held_out=_matrix(folder / f"{name}_outside.npz"),
        held_out_times=_read_exact(folder / f"{name}_outside_times.npy"),
    )


def _read_cold_start(folder: Path, name: str) -> ColdStart | None:
    if not (folder / f"{name}_items.parquet").exists():
        return None
    return ColdStart(
        items=pd.read_parquet(folder / f"{name}_items.parquet"),
        user_ids=_ids(folder / f"{name}_users.parquet"),
        history=_matrix(folder / f"{name}_history.npz"),
        held_out=_matrix(folder / f"{name}_held_out.npz"),
    )


def _read_times(path: Path) -> NDArray[np.float32] | None:
    return np.asarray(np.load(path), dtype=np.float32) if path.exists() else None


def _read_exact(path: Path) -> NDArray[np.float64] | None:
    return np.asarray(np.load(path), dtype=np.float64) if path.exists() else None


def _matrix(path: Path) -> csr_array:
    return csr_array(load_npz(path))


def _ids(path: Path, column: str = "user_id") -> NDArray[np.object_]:
    return pd.read_parquet(path)[column].to_numpy(dtype=object)
