"""Time and memory of the features stage on a simulated log: python benchmarks/features.py --events 10000000.

More than ten million events are that log again and again, each time of other shoppers, with the same products
and instants. The stage runs in a process of its own, and its children count (Spark's Java). Simulating is not
timed.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.accounts.tables import ACCOUNTS, GROUPS, Screened, write_screened
from recgan.core.files import read_json
from recgan.core.yaml12 import read_yaml
from recgan.data.events import EVENTS, ITEMS, USERS
from recgan.data.quarantine import QUARANTINE
from recgan.data.sources.shop import ShopSource, simulate_shop
from recgan.data.sources.shop_fakes import Fakes

ROOT = Path(__file__).parents[1]
_PART = 10_000_000


def write_kept(folder: Path, n_events: int, days: int) -> None:
    """Simulate a part of the log, and write it as often as the log is longer than it."""
    end = datetime(2026, 1, 1, tzinfo=UTC)
    fakes = Fakes(share=0, styles=("push",), labelled=0)
    source = ShopSource(
        source="shop",
        path=Path("raw"),
        feedback=None,
        seed=7,
        events=min(n_events, _PART),
        days=days,
        end=end,
        pictures=None,
        fakes=fakes,
    )
    tables = simulate_shop(source)
    events = tables.events.filter(pc.is_valid(tables.events["user_id"])).cast(EVENTS)
    (folder / "events.parquet").mkdir()
    at = EVENTS.get_field_index("user_id")
    for part in range(-(-n_events // _PART)):
        shoppers = pc.binary_join_element_wise(pa.scalar(f"{part:03}"), events["user_id"], "-")
        pq.write_table(
            events.set_column(at, "user_id", shoppers).cast(EVENTS),
            folder / "events.parquet" / f"part-{part:03}.parquet",
            compression="zstd",
        )
    pq.write_table(tables.items.cast(ITEMS), folder / "items.parquet")
    pq.write_table(USERS.empty_table(), folder / "users.parquet")
    pq.write_table(QUARANTINE.empty_table(), folder / "quarantine.parquet")


def watched(command: list[str], root: Path, environment: dict[str, str]) -> tuple[float, float, int]:
    """Run a command; return its seconds, those of CPU and its peak of resident bytes, with its children's."""
    start, peak, seconds = time.perf_counter(), 0, {}
    running = psutil.Popen(command, cwd=root, env=os.environ | environment)
    while running.poll() is None:
        resident = 0
        with suppress(psutil.NoSuchProcess):
            for one in (running, *running.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    resident += one.memory_info().rss
                    seconds[one.pid] = one.cpu_times().user + one.cpu_times().system
        peak = max(peak, resident)
        time.sleep(0.1)
    if running.returncode:
        sys.exit(f"the stage ends with {running.returncode}")
    return time.perf_counter() - start, sum(seconds.values()), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb")
    parser.add_argument("--kept", type=Path, help="a folder for the log, or of the one of an earlier call")
    parser.add_argument("--half-life", type=float, default=None, help="days; graded, not binary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        params = read_yaml(ROOT / "params.yaml")
        if options.half_life is not None:
            params["features"] |= {"binary": False, "half_life_days": options.half_life}
        (root / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
        (root / "data").mkdir()
        kept = (options.kept or root / "kept").resolve()
        if not kept.exists():
            kept.mkdir()
            # A process of its own gives its memory back.
            simulating = multiprocessing.get_context("spawn").Process(
                target=write_kept, args=(kept, options.events, options.days)
            )
            simulating.start()
            simulating.join()
        (root / "data" / "kept").symlink_to(kept)
        nobody = Screened(ACCOUNTS.empty_table(), GROUPS.empty_table())
        (root / "data" / "screened").mkdir()
        write_screened(nobody, root / "data" / "screened")
        seconds, cpu, peak = watched(
            [sys.executable, "-m", "recgan", "features"], root, {"RECGAN_ENGINE": options.engine}
        )
        summary = read_json(root / "metrics" / "features.json")
    train = summary["train"]
    cores, counted = len(os.sched_getaffinity(0)), summary["log"]["events"]
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, {options.engine}: {counted:,} events → "
        f"{train['users']:,} users × {train['items']:,} items, {train['interactions']:,} train interactions; "
        f"{seconds:.1f} s, {cpu:.1f} s of CPU, peak {peak / 2**30:.2f} GiB; md5 {summary['md5']}"
    )


if __name__ == "__main__":
    main()
