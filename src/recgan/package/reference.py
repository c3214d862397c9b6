"""What a version was trained on, in histograms: what monitor compares later days with."""

from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recgan.core import layout
from recgan.core.files import read_whole
from recgan.data.events import EVENTS, ITEMS, read_table
from recgan.data.screened import read_quarantined, without
from recgan.evaluation.profile import catalogue, event_histograms, fix_bins, item_histograms
from recgan.features.matrices import Features

REFERENCE = "monitor/reference.json"
"""Artifact of the run: histograms of what the version was trained on. No shopper's id is in it."""


def describe_training(root: Path, features: Features, candidate: str, depth: int) -> dict[str, Any] | None:
    """Describe what a recommender was trained on and, where it was evaluated, what it recommends.

    It is made when a version is registered, since the events that it was trained on are there then. Later
    they may be gone from DVC's cache.

    Args:
        root: the project.
        features: that the recommender was trained on.
        candidate: its name.
        depth: places of each list that count.

    Returns:
        Histograms with their bins and the instant where training ends; None without data/kept or without
        a timestamp.
    """
    if not (root / layout.KEPT).is_dir():
        return None
    events, items = read_population(root)
    cuts = features.summary.get("cuts")
    if events.empty:
        return None
    until = datetime.fromisoformat(cuts["test_start"]) if cuts else after(events["timestamp"].max())
    seen = events[events["timestamp"] < until]
    item_ids = features.items["item_id"].astype(str)
    known = catalogue(items, item_ids.tolist(), features.items["popularity"].tolist())
    bins = fix_bins(seen, known)
    content = {
        "until": until.isoformat(),
        "events": len(seen),
        "bins": asdict(bins),
        "histograms": event_histograms(seen, known, bins),
        "depth": depth,
        "recommended": None,
    }
    rankings = root / layout.EVALUATION / "rankings.npz"
    if rankings.exists():
        with np.load(rankings) as stored:
            places = stored[candidate][:, :depth].ravel()
        shown = pd.Series(item_ids.to_numpy()[places[places >= 0]])
        content["recommended"] = item_histograms(shown, known, bins)
    return content


def read_population(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the events that are learned from and have a timestamp, and the items.

    Raises:
        RecganError: data/kept or data/screened is missing.
        Unavailable: the kept tables were replaced again and again meanwhile.
    """
    left_out = read_quarantined(root / layout.SCREENED)
    return read_whole(root / layout.KEPT, lambda folder: _read(folder, left_out))


def _read(folder: Path, left_out: pa.Array) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["user_id", "item_id", "event", "timestamp", "price"]
    events: pd.DataFrame = without(
        read_table(folder / "events.parquet", EVENTS, columns), left_out
    ).to_pandas()
    items: pd.DataFrame = read_table(folder / "items.parquet", ITEMS).to_pandas()
    return events[events["timestamp"].notna()], items


def after(instant: pd.Timestamp) -> datetime:
    """Return the first instant after one, in microseconds."""
    moment: datetime = instant.to_pydatetime()
    return moment + timedelta(microseconds=1)
