"""A million shoppers, 200,000 items, 50 million events: CPU seconds and peak memory of each step.

    python benchmarks/million.py FOLDER simulate features train register recommend [--parts 4]

Each step runs in a process of its own, on what the one before left in FOLDER. Simulated: a taste a shopper,
a thousand items a taste, popularity by a power law, four draws in five from the own taste. One shopper in
fifty buys until the log's last day, all others until the windows begin. RC-GAN is narrow and short: what it
costs is measured, not what it learns. With --parts, recommend ends after so many parts.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.yaml12 import read_yaml
from recgan.data.events import EVENTS, ITEMS
from recgan.data.quarantine import QUARANTINE

ROOT = Path(__file__).parents[1]
DAYS, WINDOW = 180, 7  # of the log; of validation and of test
STEPS = ("simulate", "features", "train", "register", "recommend")


def simulate(root: Path, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    tastes = max(1, options.items // 1000)
    events = root / "data/kept/events.parquet"
    events.mkdir(parents=True)
    item_ids = pa.array([f"i{item:07}" for item in range(options.items)])
    few = 20_000
    for part, first in enumerate(range(0, options.users, few)):
        n_users = min(few, options.users - first)
        mean = options.events / options.users
        sizes = np.maximum(5, rng.gamma(2, mean / 2, n_users)).astype(np.int64)
        user = np.repeat(np.arange(n_users), sizes)
        popular = (rng.pareto(1, len(user)) * 20).astype(np.int64)
        own = rng.random(len(user)) < 0.8
        taste = rng.integers(0, tastes, n_users)[user]
        item = np.where(own, popular * tastes + taste, popular) % options.items
        lasting = (rng.random(n_users) < 0.02)[user]
        day = rng.random(len(user)) * np.where(lasting, DAYS, DAYS - 2 * WINDOW)
        start = np.datetime64("2025-07-01", "us").astype(np.int64)
        n, instant = len(user), EVENTS.field("timestamp").type
        columns = {
            "user_id": pa.array([f"u{first + one:07}" for one in range(n_users)]).take(pa.array(user)),
            "item_id": item_ids.take(pa.array(item)),
            "event": pa.repeat("purchase", n),
            "timestamp": pa.array(start + (day * 86_400e6).astype(np.int64)).cast(instant),
            "value": pa.repeat(1.0, n),
        }
        nothing = {name: pa.nulls(n, EVENTS.field(name).type) for name in EVENTS.names if name not in columns}
        table = pa.table({**columns, **nothing}).select(EVENTS.names).cast(EVENTS)
        pq.write_table(table, events / f"part-{part:05}.parquet", compression="zstd")
    pq.write_table(QUARANTINE.empty_table(), root / "data/kept/quarantine.parquet")
    items = {
        "item_id": item_ids,
        "category": pa.array([f"taste-{one % tastes}" for one in range(options.items)]),
    }
    nothing = {
        name: pa.nulls(options.items, ITEMS.field(name).type) for name in ITEMS.names if name not in items
    }
    pq.write_table(pa.table({**items, **nothing}).select(ITEMS.names), root / "data/kept/items.parquet")
    (root / "data/screened").mkdir()
    nobody = pa.schema({"user_id": pa.string(), "quarantined": pa.bool_()}).empty_table()
    pq.write_table(nobody, root / "data/screened/accounts.parquet")
    params = read_yaml(ROOT / "params.yaml")
    params["features"]["split"] = {"kind": "time", "validation_days": WINDOW, "test_days": WINDOW}
    rcgan = params["candidates"]["rcgan"]
    for side in ("generator", "critic"):
        rcgan[side] |= {"hidden": [options.hidden], "batch_size": 4096, "learning_rate": 2e-3}
    rcgan |= {"critic_shares": [0.25], "half_life_days": [None], "patience": None, "refit": False}
    rcgan |= {"epochs": options.epochs, "evaluate_every": options.epochs}
    params["candidates"] = {"rcgan": rcgan}
    (root / "params.yaml").write_text(json.dumps(params), encoding="utf-8")  # which is YAML too


REGISTER = """
from pathlib import Path
from recgan.core.environment import configure
configure()
import mlflow
from recgan.features.matrices import read_features
from recgan.package.log import log_package
from recgan.registry.tracking import connect, experiment_of
from recgan.settings import load_params
client = connect()
with mlflow.start_run(experiment_id=experiment_of(client, Path(), "recgan")):
    package = log_package(
        Path("models/rcgan"), read_features(Path("data/features")), load_params().features, {}
    )
    version = mlflow.register_model(package.model_uri, "recgan")
client.set_registered_model_alias("recgan", "champion", version.version)
"""

RECOMMEND = """
import json, logging, sys, time
from pathlib import Path
from recgan.core.environment import configure
configure()
logging.basicConfig(level=logging.INFO)
from recgan.daily import recommendations
from recgan.settings import load_params
from concurrent.futures import ThreadPoolExecutor
from recgan.daily.parts import make, workers_for

class Enough(Exception):
    pass

def run(job, numbers):
    few = numbers[: int(sys.argv[1])]
    said = {"parts": len(few), "of": len(numbers), "worker": job.worker_bytes}
    Path("run.json").write_text(json.dumps(said))
    Path("began").touch()
    workers = workers_for(job)  # as the flow has it, without Prefect's server
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(make, [job] * workers, [few[worker::workers] for worker in range(workers)]))
    Path("ended").touch()
    if len(few) < len(numbers):
        raise Enough

try:
    recommendations.recommend(Path(), load_params(), run=run)
except Enough:
    pass
"""


def watch(command: list[str], root: Path) -> dict[str, float]:
    """Run a command; return its wall and CPU seconds, and the peak GiB of it and all its children at once."""
    start, before, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN), 0
    process = subprocess.Popen(command, cwd=root)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.perf_counter() - start, "cpu": cpu, "gib": peak / 2**30}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", nargs="+", choices=STEPS)
    for name, default in {"users": 1_000_000, "items": 200_000, "events": 50_000_000}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--parts", type=int, default=1_000_000, help="that recommend makes at most")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        simulate(options.folder, options)
        return
    os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
    options.folder.mkdir(parents=True, exist_ok=True)
    again = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--here"]
    commands = {
        "simulate": again,
        "features": [sys.executable, "-m", "recgan", "features"],
        "train": [sys.executable, "-m", "recgan", "train", "rcgan"],
        "register": [sys.executable, "-c", REGISTER],
        "recommend": [sys.executable, "-c", RECOMMEND, str(options.parts)],
    }
    for step in options.steps:
        found = watch(commands[step], Path() if step == "simulate" else options.folder)
        print(json.dumps({"step": step, **found}), flush=True)


if __name__ == "__main__":
    main()
