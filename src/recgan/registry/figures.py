"""A training in its MLflow run: parameters, figures, curves, and the files of its stages."""

import csv
import math
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

from recgan.core import layout
from recgan.core.files import read_json

_METRICS_AT_ONCE = 1000  # MLflow's limit for one call


def log_training(
    client: MlflowClient, run_id: str, folder: Path, params: Mapping[str, Any], figures: Mapping[str, float]
) -> None:
    """Log what a chain of stages leaves beside the model to the active run.

    All of metrics/ goes there as files. MLflow's pages show a run's metrics one by one, so a run has few.

    Args:
        client: of the tracking store.
        run_id: of the active run.
        folder: with dvc.yaml, metrics/ and reports/.
        params: nested.
        figures: name → value of what is compared from run to run.
    """
    mlflow.log_params(dict(flat(params, ".")))
    now = int(time.time() * 1000)
    metrics = [Metric(_metric_name(name), float(value), now, 0) for name, value in figures.items()]
    points = [*metrics, *_curves(folder / layout.CURVES, now)]
    for start in range(0, len(points), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_AT_ONCE])
    for part in (layout.REPORTS, layout.METRICS):
        if (folder / part).is_dir():
            mlflow.log_artifacts(str(folder / part), str(part))
    for file in (layout.PARAMS, layout.STAGES, layout.LOCK):
        if (folder / file).exists():
            mlflow.log_artifact(str(folder / file))


def numbers(path: Path, prefix: str) -> dict[str, float]:
    """Return every finite number of a JSON file by the names on the way to it; none without a file."""
    if not path.exists():
        return {}
    return {
        key: float(value)
        for key, value in flat(read_json(path), "/", prefix)
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _curves(path: Path, timestamp: int) -> Iterator[Metric]:
    """Yield each finite number of each column but `epoch`, which is the step; none without a file."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(float(row.pop("epoch")))
            for column, text in row.items():
                if text and math.isfinite(float(text)):
                    yield Metric(f"curves/{_metric_name(column)}", float(text), timestamp, step)


def flat(content: Any, separator: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts with the names on the way to them."""
    if not isinstance(content, dict):
        yield prefix, content
        return
    for key, value in content.items():
        yield from flat(value, separator, f"{prefix}{separator}{key}" if prefix else str(key))


def _metric_name(key: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", key.replace("@", "_at_"))
