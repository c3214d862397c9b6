"""Memory and time of `recommend`: python benchmarks/recommend.py --shoppers 1000000 --items 100000.

A low-rank recommender with random factors is packaged, registered and made champion, and the features hold a
history of every shopper. The first `--scored` shoppers are asked for in earnest; from then on the last
answers are repeated, so that model, features and file have their full size, and the time is extrapolated.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from recgan.core.files import read_json, write_json
from recgan.features.matrices import Features, HeldOut, write_features

ROOT = Path(__file__).parents[1]

LOW_RANK = """
import numpy as np


class LowRank:
    def __init__(self, factors):
        self.factors = factors  # (items, rank)

    def score(self, user_items, ages=None):
        return (user_items @ self.factors) @ self.factors.T
"""

CASE = """    if name == "low-rank":
        import numpy as np

        from recgan.recommenders.low_rank import LowRank

        return LowRank(np.load(folder / "factors.npy"))
    if name in TRAINED:
"""

REGISTER = """
from pathlib import Path
from recgan.core.environment import configure
configure()
import mlflow
from recgan.features.matrices import read_features
from recgan.package.log import log_package
from recgan.registry.tracking import artifact_location, connect
from recgan.settings import load_params
client = connect()
known = client.get_experiment_by_name("recgan")
experiment = known.experiment_id if known else client.create_experiment(
    "recgan", artifact_location(Path(), "recgan")
)
with mlflow.start_run(experiment_id=experiment):
    features = read_features(Path("data/features"))
    package = log_package(Path("models/low_rank"), features, load_params().features, {})
    version = mlflow.register_model(package.model_uri, "recgan")
client.set_registered_model_alias("recgan", "champion", version.version)
"""

RECOMMEND = """
import json, sys, time
from contextlib import contextmanager
from pathlib import Path
from recgan.core.environment import configure
configure()
from recgan.settings import load_params
from recgan.daily import parts, recommendations

scored, seconds, first, last = 0, 0.0, 0, None
ask_in_earnest = parts.asking

@contextmanager
def asking(*arguments):
    with ask_in_earnest(*arguments) as answer:
        def some(histories):
            global scored, seconds, first, last
            if last is None or scored < int(sys.argv[1]):
                start = time.perf_counter()
                last = answer(histories)
                if scored:
                    seconds += time.perf_counter() - start
                else:
                    first = len(histories)  # this answer waits for the process to start
                scored += len(histories)
                asked = {"shoppers": scored - first, "seconds": seconds}
                Path("asked.json").write_text(json.dumps(asked))
            return last.slice(0, len(histories))
        yield some

parts.asking = asking
recommendations.recommend(Path(), load_params(), k=int(sys.argv[2]))
"""


def histories(n_users: int, n_items: int, mean: int, rng: np.random.Generator) -> csr_array:
    """Draw histories whose items are skewed to the popular ones."""
    sizes = rng.poisson(mean, n_users).clip(1)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    items = (n_items * rng.random(indptr[-1]) ** 3).astype(np.int32)
    matrix = csr_array((np.ones(len(items), np.float32), items, indptr), shape=(n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def make_project(root: Path, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    users = np.array([f"shopper-{user:08}" for user in range(options.shoppers)], dtype=object)
    train = histories(options.shoppers, options.items, options.history, rng)
    rows = np.sort(rng.choice(options.shoppers, options.shoppers // 10, replace=False))
    held_out = histories(len(rows), options.items, 3, rng)
    items = pd.DataFrame(
        {
            "item_id": [f"item-{item:07}" for item in range(options.items)],
            "popularity": np.bincount(train.indices, minlength=options.items),
        }
    )
    window = HeldOut(users[rows], csr_array(train[rows]), held_out)
    summary = {"md5": "0" * 32, "repeat_purchases": False}
    (root / "data/features").mkdir(parents=True)
    write_features(Features(train, train, users, items, None, window, summary), root / "data/features")
    shutil.copy(ROOT / "params.yaml", root)
    recommender = root / "models/low_rank"
    recommender.mkdir(parents=True)
    write_json(recommender / "recommender.json", {"name": "low-rank"})
    factors = rng.standard_normal((options.items, options.rank), dtype=np.float32)
    np.save(recommender / "factors.npy", factors)
    # The package carries its own recgan, which knows one recommender more.
    code = root / "packaged"
    shutil.copytree(ROOT / "src/recgan", code / "recgan", ignore=shutil.ignore_patterns("__pycache__"))
    (code / "recgan/recommenders/low_rank.py").write_text(LOW_RANK, encoding="utf-8")
    loading = code / "recgan/recommenders/loading.py"
    text = loading.read_text(encoding="utf-8")
    assert text.count("    if name in TRAINED:\n") == 1
    loading.write_text(text.replace("    if name in TRAINED:\n", CASE), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(code)}
    subprocess.run([sys.executable, "-c", REGISTER], cwd=root, check=True, env=environment)


def watch(command: list[str], root: Path) -> dict[str, float]:
    """Run a command; return its seconds, and the peaks in GiB of it, of its children and of all at once."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, cwd=root)
    own, children, together = 0, 0, 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            mine = watched.memory_info().rss
            theirs = sum(child.memory_info().rss for child in watched.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
        own, children, together = max(own, mine), max(children, theirs), max(together, mine + theirs)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(process.returncode)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "own": own / 2**30,
        "children": children / 2**30,
        "together": together / 2**30,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shoppers", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--history", type=int, default=30, help="items of a shopper, on average")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--scored", type=int, default=50_000, help="shoppers who are asked for in earnest")
    parser.add_argument("--k", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
        make_project(root, options)
        peak = watch([sys.executable, "-c", RECOMMEND, str(options.scored), str(options.k)], root)
        asked = read_json(root / "asked.json")
        path = root / "recommendations/recgan.parquet"
        file = pq.ParquetFile(path)
        rows, groups, size = file.metadata.num_rows, file.num_row_groups, path.stat().st_size
    each = asked["seconds"] / max(asked["shoppers"], 1)
    whole = peak["seconds"] - asked["seconds"] + each * options.shoppers
    print(
        f"{datetime.now(UTC):%Y-%m-%d}: {options.shoppers:,} shoppers × {options.items:,} items, "
        f"{options.history} in a history, rank {options.rank}, k = {options.k}: "
        f"{rows:,} rows in {groups} row groups, {size / 2**20:.0f} MiB\n"
        f"peak {peak['together']:.2f} GiB together ({peak['own']:.2f} here, {peak['children']:.2f} in the "
        f"champion's process)\n"
        f"{asked['shoppers']:,} shoppers asked in {asked['seconds']:.0f} s, {1000 * each:.2f} ms each; "
        f"the whole run {peak['seconds']:.0f} s, {peak['cpu']:.0f} s of CPU; with all of them asked "
        f"{whole / 60:.0f} min"
    )


if __name__ == "__main__":
    main()
