"""Time and memory of the features stage on a simulated log: python benchmarks/features.py --events 10000000.

The stage runs in a process of its own, so its peak is its own; simulating is not timed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.accounts.tables import ACCOUNTS, GROUPS, Screened, write_screened
from recgan.core.files import read_json
from recgan.core.yaml12 import read_yaml
from recgan.data.events import Tables, write_tables
from recgan.data.quarantine import QUARANTINE
from recgan.data.sources.shop import ShopSource, simulate_shop
from recgan.data.sources.shop_fakes import Fakes

ROOT = Path(__file__).parents[1]


def kept_tables(n_events: int, days: int) -> Tables:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    fakes = Fakes(share=0, styles=("push",), labelled=0)
    source = ShopSource(
        source="shop",
        path=Path("raw"),
        seed=7,
        events=n_events,
        days=days,
        end=end,
        pictures=None,
        fakes=fakes,
    )
    tables = simulate_shop(source)
    events = tables.events.filter(pc.is_valid(tables.events["user_id"]))
    return Tables(events, tables.items, tables.users)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--half-life", type=float, default=None, help="days; graded, not binary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        params = read_yaml(ROOT / "params.yaml")
        if options.half_life is not None:
            params["features"] |= {"binary": False, "half_life_days": options.half_life}
        (root / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
        (root / "data" / "kept").mkdir(parents=True)
        write_tables(kept_tables(options.events, options.days), root / "data" / "kept")
        pq.write_table(QUARANTINE.empty_table(), root / "data" / "kept" / "quarantine.parquet")
        nobody = Screened(ACCOUNTS.empty_table(), GROUPS.empty_table())
        (root / "data" / "screened").mkdir()
        write_screened(nobody, root / "data" / "screened")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "recgan", "features"], cwd=root, check=True)
        seconds = time.perf_counter() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = read_json(root / "metrics" / "features.json")
    train = summary["train"]
    cores = len(os.sched_getaffinity(0))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores: {summary['log']['events']:,} events → "
        f"{train['users']:,} users × {train['items']:,} items, {train['interactions']:,} train interactions; "
        f"{seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU, "
        f"peak {usage.ru_maxrss / 2**20:.2f} GiB"  # KiB on Linux
    )


if __name__ == "__main__":
    main()
