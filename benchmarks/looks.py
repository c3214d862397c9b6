"""What a look at an experiment costs: a simulated log of so many days, read as the second gate reads it.

    python benchmarks/looks.py [--days 3] [--answers 720000]

Each day has so many answers (720,000 are 500 a minute) to 300,000 shoppers, half of them the challenger's;
8 in a hundred lead to an event. Lists have ten of 10,000 products. The log is written into a temporary
folder, some 60 MB a day. Printed are seconds, processor time and the most memory that the process ever had.
"""

import argparse
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recgan.data.impressions import FEEDBACK, INSTANT, SHOWN
from recgan.online.experiment import gathered
from recgan.online.outcomes import read_outcomes
from recgan.registry.experiments import Experiment
from recgan.settings import load_params

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FILES, ITEMS, SHOPPERS, LENGTH = 8, 10_000, 300_000, 10
PARAMS = Path(__file__).parents[1] / "params.yaml"


def table(schema: pa.Schema, rows: int, columns: dict[str, pa.Array]) -> pa.Table:
    """Return rows with some columns; the others are null."""
    return pa.table([columns.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema)


def write(folder: Path, day: int, part: int, rows: int, rng: np.random.Generator) -> None:
    """Write a file of answers, and one of what came of them."""
    hours = 24 / FILES
    start = BEGAN + timedelta(days=day, hours=hours * part)
    instant = round(start.timestamp() * 1e6) + np.sort(rng.integers(0, round(hours * 3600e6), rows))
    raw = rng.bytes(16 * rows).hex()
    ids = pa.array([raw[at : at + 32] for at in range(0, len(raw), 32)])
    user = (rng.random(rows) ** 2 * SHOPPERS).astype(np.int32)
    names = pa.array([f"item-{item}" for item in range(ITEMS)])
    items = (rng.random((rows, LENGTH)) ** 2 * ITEMS).astype(np.int32)
    arm = pa.array(user % 2)
    shown = {
        "request_id": ids,
        "time": pa.array(instant).cast(INSTANT),
        "user_id": pa.array([f"user-{one}" for one in range(SHOPPERS)]).take(pa.array(user)),
        "item_ids": pa.ListArray.from_arrays(
            np.arange(0, LENGTH * rows + 1, LENGTH, dtype=np.int32), names.take(pa.array(items.ravel()))
        ),
        "version": pa.array(["1", "2"]).take(arm),
        "fallback": pa.repeat(False, rows),
        "experiment": pa.repeat("e", rows),
        "arm": pa.array(["champion", "challenger"]).take(arm),
        "milliseconds": pa.array(rng.gamma(2, 2, rows).astype(np.float32)),
    }
    led = np.flatnonzero(rng.random(rows) < 0.08)
    came = pa.array(instant[led] + rng.integers(0, 3600 * 10**6, len(led))).cast(INSTANT)
    told = {
        "request_id": ids.take(pa.array(led)),
        "item_id": names.take(pa.array(items[led, rng.integers(0, LENGTH, len(led))])),
        "event": pa.array(rng.choice(["view", "cart", "purchase"], len(led), p=[0.7, 0.2, 0.1])),
        "time": came,
        "price": pa.array(rng.gamma(2, 10, len(led))),
        "received": came,
    }
    for name, whole in (
        ("shown", table(SHOWN, rows, shown)),
        ("feedback", table(FEEDBACK, len(led), told)),
    ):
        path = folder / name / f"date={start.date()}" / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(whole, path, compression="zstd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--answers", type=int, default=720_000)
    asked = parser.parse_args()
    rng, params = np.random.default_rng(0), load_params(PARAMS).experiment
    experiment = Experiment("e", "1", "2", 0.5, "split", BEGAN, "benchmark")
    now = BEGAN + timedelta(days=asked.days)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for day in range(asked.days):
            for part in range(FILES):
                write(folder, day, part, asked.answers // FILES, rng)
        began, cpu = time.perf_counter(), time.process_time()
        found = read_outcomes(folder, experiment, now, params.attribution_days)
        evidence = gathered(found, experiment, now, params, "1", None)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    answers = evidence.champion.answers + evidence.challenger.answers
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{answers:,} answers: {seconds:.1f} s, {cpu:.1f} s of processor time, {most:,} MiB at most")


if __name__ == "__main__":
    main()
