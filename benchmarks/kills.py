"""Kill `recommend` at random moments while a reader polls: python benchmarks/kills.py --runs 100.

Two versions of a small low-rank recommender take turns as champion, as soon as one is published. Each run is
killed with -9 at a moment drawn over its work; what the reader sees must be the very rows that an undisturbed
run of that version publishes, and no process may be left.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from recommend import REGISTER, make_project

from recgan.daily.publish import about
from recgan.registry.tracking import connect

SHOPPERS, ITEMS, K, PART = 2000, 500, 5, 50

RUNS = f"""
import os, sys
from pathlib import Path
from recgan.core.environment import configure
configure()
from recgan.settings import load_params
from recgan.daily.recommendations import recommend

for _ in sys.stdin:  # each run is a process of its own that has its imports behind it
    if not (pid := os.fork()):
        recommend(Path(), load_params(), k={K}, part_shoppers={PART})
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def line(runs: subprocess.Popen[bytes]) -> int:
    assert runs.stdout is not None
    return int(runs.stdout.readline())


def start(runs: subprocess.Popen[bytes]) -> int:
    """Start a run and return its process id; its exit status is the next line."""
    assert runs.stdin is not None
    runs.stdin.write(b"run\n")
    runs.stdin.flush()
    return line(runs)


def content(path: Path) -> tuple[str, pa.Table]:
    """Return the one version in a file and its rows; an error where it is no whole file of one."""
    with path.open("rb") as opened:
        found = pq.read_table(opened)
    [version] = found["version"].unique().to_pylist()
    assert f'"version": "{version}"'.encode() in found.schema.metadata[b"recgan"]
    assert len(found) == SHOPPERS * K
    return version, found.replace_schema_metadata()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root}/mlflow.db"
        make_project(root, Namespace(shoppers=SHOPPERS, items=ITEMS, history=10, rank=16))
        factors = rng.standard_normal((ITEMS, 16), dtype=np.float32)
        np.save(root / "models/low_rank/factors.npy", factors)
        environment = os.environ | {"PYTHONPATH": str(root / "packaged")}
        subprocess.run([sys.executable, "-c", REGISTER], cwd=root, check=True, env=environment)
        client, target = connect(root), root / "recommendations/recgan.parquet"
        runs = subprocess.Popen(
            [sys.executable, "-c", RUNS], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        expected, seconds = {}, 0.0
        for version in ("1", "2"):
            client.set_registered_model_alias("recgan", "champion", version)
            begin = time.perf_counter()
            start(runs)
            assert line(runs) == 0
            seconds = time.perf_counter() - begin
            expected[version] = content(target)[1]
        seen: Counter[str] = Counter()
        faults: list[str] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                try:
                    version, rows = content(target)
                    seen[version] += 1
                    if not rows.equals(expected[version]):
                        faults.append(f"other rows than an undisturbed run of version {version}")
                except Exception as error:
                    faults.append(repr(error))
                time.sleep(0.05)

        reader = threading.Thread(target=read)
        reader.start()
        outcomes: Counter[str] = Counter()
        champion, left = "1", 0
        client.set_registered_model_alias("recgan", "champion", champion)
        for number in range(options.runs):
            run = psutil.Process(start(runs))
            time.sleep(rng.uniform(0, seconds))
            children = []
            with suppress(psutil.NoSuchProcess):
                children = run.children(recursive=True)
                run.kill()
            ended = line(runs) == 0
            # The machine is more or less busy than it was: about one run in five is to end by itself.
            seconds *= 0.85 if ended else 1.04
            _, alive = psutil.wait_procs(children, timeout=30)
            left += len(alive)
            found = about(target)
            published = found is not None and found["version"] == champion
            work = root / "recommendations/.recgan.parquet.parts"
            parts = len(list(work.glob("*/part-*.parquet")))
            outcomes["ended before the kill" if ended else "killed"] += 1
            outcomes["published"] += published
            outcomes["left with some parts done"] += bool(parts)
            print(
                f"run {number + 1}: version {champion}, {parts} parts, published: {published}; in all "
                f"{dict(outcomes)}, reads {dict(seen)}, {len(faults)} faults, {left} processes left",
                flush=True,
            )
            if published:
                champion = "1" if champion == "2" else "2"
                client.set_registered_model_alias("recgan", "champion", champion)
        stop.set()
        reader.join()
        runs.communicate()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}: {options.runs} runs, work of {seconds:.1f} s undisturbed; "
        f"{dict(outcomes)}; {sum(seen.values()):,} reads ({dict(seen)}), {len(faults)} faults {faults[:3]}, "
        f"{left} processes left"
    )


if __name__ == "__main__":
    main()
