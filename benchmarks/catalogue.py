"""Fit the candidates of params.yaml to a large catalogue: seconds, and the peak memory of each.

    python benchmarks/catalogue.py [--users 30000] [--items 41000] [--density 0.0025] [--memory 16]
        [--ranked 2048] [--only NAME …]
    python benchmarks/catalogue.py --write FOLDER [--users 30000] [--items 52000] [--mean 55]

Simulated histories: their lengths are lognormal; an item's popularity follows a power law within its topic,
and four in five items of a shopper are from three topics. Each recommender is fitted with one setting, in a
process of its own, and then ranks some of the shoppers. RC-GAN plays one epoch with the settings of
examples/shop.yaml. One that states a need above --memory GiB is skipped.

--write puts such histories as a log of purchases over 180 days into FOLDER/events.csv, one row an event,
which `recgan use large-catalogue --folder FOLDER` takes. Of the numbers shown, 1.1 million purchases, about
41,000 items have three buyers before the test window.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv
from scipy.sparse import csr_array

from recgan.core.memory import Need
from recgan.recommenders.catalogue import TRAINED, fitted_of, settings_of, trained_class
from recgan.recommenders.protocol import recommend
from recgan.settings import load_params

SETTINGS: dict[str, dict[str, float]] = {
    "popularity": {"half_life_days": 3},
    "personal": {"half_life_days": 30},
    "itemknn": {"neighbours": 200, "shrink": 10, "asymmetry": 0.5},
    "rp3beta": {"neighbours": 200, "alpha": 0.6, "beta": 0.4},
    "ease": {"l2": 300},
    "sparse_ease": {"l2": 300, "density": 0.0025},
    "ials": {"factors": 64, "regularization": 20, "alpha": 2, "iterations": 15},
    "rcgan": {"epochs": 1},
}
TOPICS = 400
END = np.datetime64("2026-01-01", "us")
SHOP = Path(__file__).parents[1] / "examples/shop.yaml"


def histories(
    users: int, items: int, seed: int = 0, mean: float = 38
) -> tuple[csr_array, NDArray[np.float32]]:
    """Draw (users, items) of ones, and beside them the day of each entry."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(mean) - 0.5, 1, users), 8, items // 20).astype(int)
    rows = np.repeat(np.arange(users, dtype=np.int32), lengths)
    topics = rng.integers(0, TOPICS, (users, 3))[rows, rng.integers(0, 3, len(rows))]
    topics = np.where(rng.random(len(rows)) < 0.2, rng.integers(0, TOPICS, len(rows)), topics)
    places = (rng.pareto(0.9, len(rows)) * 4).astype(np.int64) % (items // TOPICS)
    columns = (places * TOPICS + topics).astype(np.int32)
    matrix = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(users, items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix, (rng.random(matrix.nnz) * 180).astype(np.float32)


def write_log(users: int, items: int, mean: float, folder: Path) -> None:
    """Write the histories as a log that `ingest.source: files` reads; its last instant is 2026-01-01, UTC."""
    user_items, days = histories(users, items, mean=mean)
    rows = np.repeat(np.arange(users), np.diff(user_items.indptr))
    order = np.argsort(days, kind="stable")
    instants = END - ((180 - days[order].astype(np.float64)) * 86_400_000_000).astype("timedelta64[us]")
    ids = {"user_id": ("u", rows), "item_id": ("i", user_items.indices)}
    columns = {name: np.char.add(letter, values[order].astype(str)) for name, (letter, values) in ids.items()}
    table = pa.table({**columns, "event": np.full(len(order), "purchase"), "timestamp": instants})
    folder.mkdir(parents=True, exist_ok=True)
    csv.write_csv(table, folder / "events.csv")
    print(f"{folder / 'events.csv'}: {len(table):,} purchases of {users:,} users")


def peak() -> float:
    """Return the most memory that this process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit one recommender and let it rank."""
    user_items, times = histories(arguments.users, arguments.items)
    recommender: Any
    before, wall, cpu = peak(), time.perf_counter(), time.process_time()
    if name in TRAINED:
        recommender = trained_class(name)(section_of(name)).fit(user_items)
    else:
        _, recommender = next(fitted_of(name)(grid(name), user_items, 0, times))
    fit = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak()}
    wall = time.perf_counter()
    recommend(recommender, user_items[: arguments.ranked], 10)
    ranking = (time.perf_counter() - wall) / min(arguments.ranked, arguments.users)
    if name in TRAINED:
        numbers = recommender.parameters
    else:
        numbers = sum(array.size for array in recommender.arrays().values())
    return {**fit, "before": before, "ranking": ranking, "numbers": numbers, "peak_ranking": peak()}


def grid(name: str) -> dict[str, tuple[float]]:
    """Return the one setting as a grid."""
    return {setting: (value,) for setting, value in SETTINGS[name].items()}


def section_of(name: str) -> Any:
    """Return a trained candidate's section: the shop's, with the settings above."""
    section = load_params(SHOP).candidates[name]
    return section.model_copy(update=SETTINGS[name])


def needs(name: str, n_users: int, n_items: int) -> Iterator[Need]:
    """Yield what the one setting says that it takes."""
    if name in TRAINED:
        yield from section_of(name).needs(n_users, n_items, on_gpu=False)
    else:
        section: Any = settings_of(name).model_construct(**grid(name))
        yield from section.needs(n_items)


def main() -> None:
    """Measure each in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=41_000)
    parser.add_argument("--mean", type=float, default=38, help="items drawn for a user of the written log")
    parser.add_argument("--density", type=float, default=0.0025, help="of sparse EASE")
    parser.add_argument("--memory", type=float, default=16, help="GiB")
    parser.add_argument("--ranked", type=int, default=2_048)
    parser.add_argument("--only", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="a log, and measure nothing")
    parser.add_argument("--here", choices=SETTINGS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_log(arguments.users, arguments.items, arguments.mean, arguments.write)
        return
    SETTINGS["sparse_ease"]["density"] = arguments.density
    if arguments.here:
        print(json.dumps(measure(arguments.here, arguments)))
        return
    sizes = [f"--{size}={getattr(arguments, size)}" for size in ("users", "items", "density", "ranked")]
    user_items, _ = histories(arguments.users, arguments.items)
    print(f"{arguments.users:,} x {arguments.items:,}, {user_items.nnz:,} interactions\n")
    print("| recommender | setting | fit: wall | CPU | peak | numbers kept | ms to rank a shopper | peak |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in arguments.only:
        setting = ", ".join(f"{one} {value:g}" for one, value in SETTINGS[name].items())
        for need in needs(name, arguments.users, arguments.items):
            if need.bytes > arguments.memory * 2**30:
                print(f"| {name} | {setting} | skipped: {need.bytes / 2**30:.1f} GiB for {need.why} |||||||")
                break
        else:
            command = [sys.executable, __file__, "--here", name, *sizes]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            fit = f"{found['wall']:.1f} s | {found['cpu']:.1f} s | {found['peak']:.2f} GiB"
            ranking = f"{found['ranking'] * 1000:.2f} | {found['peak_ranking']:.2f} GiB"
            print(f"| {name} | {setting} | {fit} | {found['numbers']:,} | {ranking} |", flush=True)


if __name__ == "__main__":
    main()
