"""Time and memory of ingest on a folder of monthly exports: python benchmarks/ingest.py --rows 12000000.

Three nights: all parts but the last, one part more, nothing new. Each runs in a process of its own;
simulating is not timed. `--code` names `src` folders of other versions, which ingest the same files then.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from recgan.settings import load_with_base

ROOT = Path(__file__).parents[1]
COLUMNS = {
    "user_id": "customer",
    "item_id": "sku",
    "event": "action",
    "timestamp": "at",
    "price": "eur",
    "session_id": "visit",
}


def write_month(path: Path, number: int, rows: int) -> None:
    """Write a month of a growing shop: half of the shoppers come again, each visit has three events."""
    random = np.random.default_rng(number)
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=30 * number)
    visits = np.sort(random.integers(0, rows // 3, rows)) + number * rows
    shoppers = random.integers(0, (number + 2) * rows // 20, rows // 3 + 1)[visits - number * rows]
    seconds = int(start.timestamp()) + (visits - number * rows) * (30 * 86_400 * 3 / rows)
    table = pa.table(
        {
            "customer": pa.array(shoppers + 10_000),
            "sku": pc.binary_join_element_wise(
                "SKU", pa.array((random.pareto(1, rows) * 300 % 40_000).astype(int)).cast(pa.string()), "-"
            ),
            "action": np.array(["view", "view", "cart", "purchase"])[random.integers(0, 4, rows)],
            "at": pc.strftime(
                pa.array(seconds.astype("int64")).cast(pa.timestamp("s")), "%Y-%m-%dT%H:%M:%SZ"
            ),
            "eur": np.round(random.gamma(2, 15, rows), 2),
            "visit": visits,
            "agent": np.array(["phone", "desktop"])[random.integers(0, 2, rows)],
        }
    )
    pacsv.write_csv(table, path, pacsv.WriteOptions(quoting_style="none"))


def ingest(root: Path, code: Path) -> str:
    """Run the stage in a process of its own, and say what it took."""
    environment = os.environ | {"PYTHONPATH": str(code)}
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "recgan", "ingest"], cwd=root, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit("ingest failed")
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20  # KiB on Linux
    return f"{cpu:.1f} s of CPU, {time.perf_counter() - start:.1f} s, peak {peak:.2f} GiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--parts", type=int, default=24)
    parser.add_argument("--code", type=Path, nargs="*", default=[], help="src folders of other versions")
    options = parser.parse_args()
    params = load_with_base(ROOT / "examples/own-files.yaml").model_dump(mode="json", by_alias=True)
    params["ingest"] |= {
        "path": "raw", "events": "log-*.csv", "columns": COLUMNS, "items": None, "users": None,
        "item_columns": {"price": "eur"}, "user_columns": {}, "event": None, "event_names": {},
        "fill_down": None, "leave_out": {}, "time_format": None,
    }  # fmt: skip
    for code in [ROOT / "src", *options.code]:
        with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
            root = Path(folder)
            (root / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
            (root / "raw").mkdir()
            months = [root / f"raw/log-{number:03d}.csv" for number in range(options.parts)]
            for number, month in enumerate(months):
                write_month(month, number, options.rows // options.parts)
            size = sum(month.stat().st_size for month in months)
            print(
                f"{datetime.now(UTC):%Y-%m-%d}, {code}: {options.rows:,} rows, {size / 2**30:.2f} GiB",
                flush=True,
            )
            last = months[-1].rename(root / "last")
            print(f"  first night, {options.parts - 1} parts: {ingest(root, code)}", flush=True)
            last.rename(months[-1])
            print(f"  one part more: {ingest(root, code)}", flush=True)
            print(f"  nothing new: {ingest(root, code)}", flush=True)


if __name__ == "__main__":
    main()
