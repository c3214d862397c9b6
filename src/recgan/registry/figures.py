"""The numbers of a training as metrics of its MLflow run."""

import csv
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

from recgan.core.files import read_json

_METRICS_AT_ONCE = 1000  # MLflow's limit for one call


def log_figures(client: MlflowClient, run_id: str, metrics: Path, curves: Path) -> None:
    """Log the numbers of a folder of JSON files, and a CSV file of curves where there is one."""
    now = int(time.time() * 1000)
    points = [*_metrics(metrics, now), *_curves(curves, now)]
    for start in range(0, len(points), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_AT_ONCE])


def _metrics(folder: Path, timestamp: int) -> Iterator[Metric]:
    """Yield every finite number in metrics/*.json as <stage>/<path>, with _at_ for @.

    The recommender's own figures of the evaluation go by their bare names, such as ndcg_at_10.
    """
    for path in sorted(folder.glob("*.json")):
        for key, value in flat(read_json(path), "/", path.stem):
            if isinstance(value, int | float) and math.isfinite(value):
                name = _metric_name(key).removeprefix("evaluation/recommender.")
                yield Metric(name, float(value), timestamp, 0)


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
