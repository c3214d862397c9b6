"""Time and memory of the evaluate stage: python benchmarks/evaluation.py --users 30000 --items 40000.

Histories and held-out items are drawn, popularity by a power law. An RC-GAN is trained for one epoch on 3,000
of the users (this measures the evaluation, not what it learned); it is the challenger, and ranks as all
other candidates do. These are popularity and a few with drawn neighbours, as many as ItemKNN keeps.

Then three things take turns, each in a process of its own so that its peak is its own:

- the stage, and what its parts take
- bare: what no ranking by this recommender can do without, its matrix products and a bare top-k: one
  argpartition, one sort, without regard to ties, to what was seen, or to places that stay empty
- the same without the critic's share: history @ W1, tanh, @ W2, top-k
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan import stages
from recgan.core.files import read_json, write_json, write_text
from recgan.core.yaml12 import read_yaml
from recgan.evaluation import evaluate as evaluation
from recgan.evaluation import page, report
from recgan.features import matrices
from recgan.features.matrices import Features, HeldOut, read_features, write_features
from recgan.recommenders import loading
from recgan.recommenders.classical import save_classical
from recgan.recommenders.curves import curves_csv
from recgan.recommenders.itemknn.recommender import ItemKNN
from recgan.recommenders.neighbours import Neighbours
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.settings import load_with_base

SHOP = Path(__file__).parents[1] / "examples" / "shop.yaml"
OURS = "rcgan"
NEIGHBOURS = 100
KNN = {"neighbours": NEIGHBOURS, "shrink": 0, "asymmetry": 0.5}
RANK = "score and rank"
CELLS = 2**24
"""Scores of the bare product at a time."""
PARTS = {
    (matrices, "read_features"): "read the features",
    (loading, "load_recommender"): "load the recommenders",
    (evaluation, "recommend"): RANK,
    (evaluation, "user_metrics"): "metrics of each user",
    (evaluation, "system_metrics"): "metrics of each recommender",
    (evaluation, "intervals"): "bootstrap intervals",
    (evaluation, "compare"): "significance",
    (evaluation, "segments"): "segments",
    (evaluation, "_segment"): "segments",
    (page, "page"): "page",
    (report, "report"): "page",
}
"""Functions of the stage, each with its module → the part that they are told as."""


def histories(sizes: NDArray[np.int64], n_items: int, rng: np.random.Generator) -> csr_array:
    """Draw rows of about these sizes; the item in place i of popularity has a share like 1 / i."""
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    items = (np.exp(rng.random(indptr[-1]) * np.log(n_items + 1)) - 1).astype(np.int32)
    matrix = csr_array((np.ones(len(items), np.float32), items, indptr), shape=(len(sizes), n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def drawn_neighbours(history: csr_array, rng: np.random.Generator) -> ItemKNN:
    """Return an ItemKNN whose items have neighbours at random, the popular ones more often."""
    n_items = history.shape[1]
    positions = (n_items * rng.random((n_items, NEIGHBOURS)) ** 3).astype(np.int32)
    strengths = rng.random((n_items, NEIGHBOURS), dtype=np.float32)
    return ItemKNN(**KNN).fit(history, Neighbours(positions, strengths))


def make_project(root: Path, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    sizes = np.minimum(1 + rng.pareto(1.2, options.users) * 8, 500).astype(np.int64)
    sizes[rng.random(options.users) < 0.02] = 0  # new users
    history = histories(sizes, options.items, rng)
    held_out = histories(rng.poisson(3, options.users).clip(1), options.items, rng)
    held_out = csr_array(held_out - held_out.multiply(history))
    held_out.eliminate_zeros()
    users = np.array([f"shopper-{user:08}" for user in range(options.users)], dtype=object)
    first_seen = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 300, options.items), unit="D"
    )
    items = pd.DataFrame(
        {"item_id": [f"item-{item:07}" for item in range(options.items)], "first_seen": first_seen}
    )
    cuts = {
        "validation_start": "2025-10-20T00:00:00+00:00",
        "test_start": "2025-11-01T00:00:00+00:00",
    }
    summary = {"md5": "0" * 32, "repeat_purchases": False, "cuts": cuts}
    window = HeldOut(users, history, held_out)
    (root / "data/features").mkdir(parents=True)
    write_features(Features(history, history, users, items, None, window, summary), root / "data/features")
    content = read_yaml(SHOP)
    content["candidates"] = {name: content["candidates"][name] for name in (OURS, "popularity", "itemknn")}
    (root / "params.yaml").write_text(json.dumps(content), encoding="utf-8")
    for name, one in (("popularity", Popularity().fit(history)), ("itemknn", drawn_neighbours(history, rng))):
        folder = made(root, name, 0.1, curves_csv([]))
        save_classical(folder, name, one, KNN, 0.1)
    settings = load_with_base(SHOP).candidates[OURS]
    assert isinstance(settings, RCGANParams)
    sides = {
        side: getattr(settings, side).model_copy(update={"hidden": (options.hidden,)})
        for side in ("generator", "critic")
    }
    on_cpu = settings.trainer.model_copy(update={"accelerator": "cpu"})
    settings = settings.model_copy(update={**sides, "trainer": on_cpu})
    some = rng.choice(options.users, min(3000, options.users), replace=False)
    recommender = RCGAN(settings, options.share).fit(csr_array(history[some]), epochs=1)
    recommender.save(made(root, OURS, 0.2, curves_csv(recommender.training.curves)))


def made(root: Path, name: str, ndcg: float, curves: str) -> Path:
    """Write a candidate's figures, and return its empty folder."""
    write_json(root / f"metrics/candidates/{name}.json", {"validation_ndcg": ndcg})
    write_text(root / f"reports/curves/{name}.csv", curves)
    folder = root / "models" / name
    folder.mkdir(parents=True)
    return folder


def evaluate() -> None:
    """Run the stage here, and write spent.json: part → wall and CPU seconds, and the peak after it in GiB."""
    spent: dict[str, list[float]] = {}
    running: list[str] = []

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def one(*arguments: Any, **settings: Any) -> Any:
            if len(running) > 1:  # the intervals of a segment belong to the segments
                return function(*arguments, **settings)
            running.append(part)
            start, cpu = time.perf_counter(), time.process_time()
            found = function(*arguments, **settings)
            running.pop()
            of = f"{part}, {type(arguments[0]).__name__}" if part == RANK else part
            wall, used, _ = spent.get(of, (0.0, 0.0, 0.0))
            spent[of] = [wall + time.perf_counter() - start, used + time.process_time() - cpu, peak()]
            return found

        return one

    for (module, name), part in PARTS.items():
        setattr(module, name, timed(part, getattr(module, name)))
    timed("the whole stage", stages.evaluate)()
    write_json(Path("spent.json"), spent)


def bare(critic: bool, k: int) -> None:
    """Multiply and pick, and write spent.json: part → wall and CPU seconds, and the peak after it in GiB."""
    history = read_features(Path("data/features")).test.history
    recommender = RCGAN.load(Path("models") / OURS)
    read, write = (one.numpy() for one in (recommender.generator.first, recommender.generator.output.weight))
    folded, out = recommender._seen, recommender._hidden.T
    n_users, n_items = history.shape
    spent = {"products": [0.0, 0.0, 0.0], "top-k": [0.0, 0.0, 0.0]}

    def note(part: str, start: float, cpu: float) -> None:
        wall, used, _ = spent[part]
        spent[part] = [wall + time.perf_counter() - start, used + time.process_time() - cpu, peak()]

    block = max(1, CELLS // n_items)
    for first in range(0, n_users, block):
        start, cpu = time.perf_counter(), time.process_time()
        hidden = np.tanh(history[first : first + block] @ read)
        scores = hidden @ write.T
        if critic:
            scores += (hidden @ folded) @ out
        note("products", start, cpu)
        start, cpu = time.perf_counter(), time.process_time()
        best = np.argpartition(scores, n_items - k, axis=1)[:, n_items - k :]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        np.take_along_axis(best, order, axis=1)
        note("top-k", start, cpu)
    write_json(Path("spent.json"), spent)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux


def own_process(root: Path, *part: str) -> dict[str, list[float]]:
    """Run a part in a process that this one's memory is not the beginning of."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--part", *part]
    subprocess.run(command, cwd=root, check=True)
    spent: dict[str, list[float]] = read_json(root / "spent.json") if part[0] != "make" else {}
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--share", type=float, default=0.5, help="of the critic in the served score")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        name, *rest = options.part
        match name:
            case "make":
                make_project(Path(), options)
            case "stage":
                evaluate()
            case _:
                bare(name == "critic", int(rest[0]))
        return
    k = str(max(load_with_base(SHOP).evaluate.k))
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        own_process(root, "make")
        measured = {"stage": own_process(root, "stage")}
        if options.share:
            measured["bare"] = own_process(root, "critic", k)
        measured["bare, generator alone"] = own_process(root, "generator", k)
        page = (root / "reports/evaluation.html").stat().st_size
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, load {load:.1f}, OMP_NUM_THREADS "
        f"{os.environ.get('OMP_NUM_THREADS', 'not set')}: {options.users:,} users × {options.items:,} items, "
        f"hidden {options.hidden}, the critic's share {options.share:g}, k = {k}; "
        f"the page has {page / 1024:.0f} KiB"
    )
    for name, spent in measured.items():
        for part, (wall, cpu, gib) in spent.items():
            print(f"{name:22} {part:29} {wall:6.1f} s wall {cpu:6.1f} s CPU, peak by then {gib:5.2f} GiB")
    ranking = measured["stage"][f"{RANK}, {RCGAN.__name__}"]
    for name, spent in measured.items():
        if name != "stage":
            wall, cpu = (sum(part[i] for part in spent.values()) for i in range(2))
            print(f"{RANK} / {name}: {ranking[0] / wall:.2f} in wall, {ranking[1] / cpu:.2f} in CPU")


if __name__ == "__main__":
    main()
