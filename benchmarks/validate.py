"""Time and memory of the stage validate on a simulated log: python benchmarks/validate.py --events 10000000.

The log is a shop of a million events a part, each part with shoppers of its own. The stage runs in a process
of its own, so its peak is its own; simulating is not timed. PYTHONPATH says whose code runs.
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

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.core.files import read_json
from recgan.core.yaml12 import read_yaml
from recgan.data.sources.shop import ShopSource, simulate_shop
from recgan.data.sources.shop_fakes import Fakes

ROOT = Path(__file__).parents[1]
PART = 1_000_000


def write_log(folder: Path, parts: int) -> int:
    fakes = Fakes(share=0.03, styles=("push", "drip"), labelled=0.3)
    source = ShopSource(
        source="shop",
        path=Path("raw"),
        feedback=None,
        seed=7,
        events=PART,
        days=180,
        end=datetime(2026, 1, 1, tzinfo=UTC),
        pictures=None,
        fakes=fakes,
    )
    tables = simulate_shop(source)
    (folder / "events.parquet").mkdir(parents=True)
    users = []
    for number in range(parts):
        events, own = (suffixed(table, number) for table in (tables.events, tables.users))
        pq.write_table(events, folder / "events.parquet" / f"part-{number:05}.parquet", compression="zstd")
        users.append(own)
    pq.write_table(pa.concat_tables(users), folder / "users.parquet")
    pq.write_table(tables.items, folder / "items.parquet")
    return parts * tables.events.num_rows


def suffixed(table: pa.Table, number: int) -> pa.Table:
    ids = pc.binary_join_element_wise(table["user_id"], f"-{number}", "")
    return table.set_column(table.schema.get_field_index("user_id"), table.schema.field("user_id"), ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        params = read_yaml(ROOT / "params.yaml")
        # The same rows without a user come in every part, as copies.
        params["validate"] |= {"max_quarantined_share": 1.0}
        (root / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
        events = write_log(root / "data" / "ingested", options.events // PART)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "recgan", "validate"], cwd=root, check=True)
        seconds = time.perf_counter() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = read_json(root / "metrics" / "validation.json")
    cores = len(os.sched_getaffinity(0))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores: {events:,} events, {summary['kept']:,} kept of "
        f"{summary['users']:,} users; {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU, "
        f"peak {usage.ru_maxrss / 2**20:.2f} GiB"  # KiB on Linux
    )


if __name__ == "__main__":
    main()
