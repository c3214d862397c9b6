"""Time and memory of the screen on a simulated log: python benchmarks/screen.py --events 10000000.

The stage runs in a process of its own, so its peak is its own; simulating is not timed. The canaries are part
of the stage. The log has no fakes.
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

import pyarrow.parquet as pq
from features import kept_tables

from recgan.core.files import read_json
from recgan.data.events import write_tables
from recgan.data.quarantine import QUARANTINE

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=180)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        shutil.copy(ROOT / "examples/shop.yaml", root / "params.yaml")
        kept = root / "data" / "kept"
        kept.mkdir(parents=True)
        write_tables(kept_tables(options.events, options.days), kept)
        pq.write_table(QUARANTINE.empty_table(), kept / "quarantine.parquet")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "recgan", "screen"], cwd=root, check=True)
        seconds = time.perf_counter() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = read_json(root / "metrics" / "screening.json")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores: {options.events:,} events of "
        f"{summary['accounts']:,} accounts, {summary['quarantined']:,} left out, {summary['suspects']:,} "
        f"listed; {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU, "
        f"peak {usage.ru_maxrss / 2**20:.2f} GiB"  # KiB on Linux
    )


if __name__ == "__main__":
    main()
