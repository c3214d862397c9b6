"""Rank what comes next with every candidate of an example, as the literature on sequences does.

    python benchmarks/sequences.py --data FOLDER [--params examples/beauty.yaml] [--seeds 3] [--threads 1]
        [--only NAME …] [--change NAME=VALUE …] [--no-test]

FOLDER is the data/features that the pipeline makes of FILE (examples/beauty.yaml, examples/sports.yaml):
each user's last item is test, the one before validation. NDCG on validation chooses settings and epochs.
Then test is ranked, the full catalogue without what the history holds: once by the fit on train alone, which
is what the literature reports, and once by a fit on train and validation, which is what the pipeline serves.
A held-out item outside the vocabulary is a miss, for in the literature every item is in it. Beside each
classical candidate stands the same one without weights by age. Each is fitted in a process of its own, which
is what CPU seconds and peak memory are of.

--no-test reads validation alone, to try settings. Each NAME=VALUE of --change is put into FILE, such as
sequence.width=128.
"""

import argparse
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recgan.evaluation.metrics import user_metrics
from recgan.evaluation.significance import compare
from recgan.features.held_out import HeldOut
from recgan.features.matrices import read_features
from recgan.recommenders.fit import with_seed
from recgan.recommenders.protocol import recommend
from recgan.recommenders.settings import ClassicalGrid
from recgan.recommenders.train import fit_and_choose
from recgan.recommenders.tune import choose, fit_with
from recgan.recommenders.widened import Widened
from recgan.settings import check_params, read_with_base

METRICS = ("ndcg_at_10", "recall_at_10")


@dataclass(frozen=True)
class Measured:
    """One fit; figures are of all held-out items, (users,) each."""

    validation: float
    alone: dict[str, NDArray[np.float64]]
    """On test, fitted on train alone as the literature does; validation is in the histories only."""
    test: dict[str, NDArray[np.float64]]
    """On test, fitted on train and validation as the pipeline does."""
    cpu: float
    """Seconds to choose and to fit anew."""
    megabytes: int
    note: str


def measure(data: Path, section: Any, threads: int, test: bool) -> Measured:
    """Choose, fit anew and rank, in a process that has done nothing else."""
    torch.set_num_threads(threads)
    features, start = read_features(data), time.process_time()
    if isinstance(section, ClassicalGrid):
        settings, best = choose(section, features, 10)
        alone, both = (
            fit_with(section, settings, features, refit=one) if test else None for one in (False, True)
        )
        note = ", ".join(f"{name} {value}" for name, value in settings.items())
    else:
        chosen = fit_and_choose(section, features, 10)
        best, epoch = chosen.training.validation_ndcg, chosen.training.best_epoch
        alone = chosen
        both = chosen.anew().fit(features.train_validation, epochs=epoch) if test else None
        note = f"epoch {epoch}"
    cpu = time.process_time() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if not test:
        return Measured(best, {}, {}, cpu, megabytes, note)
    widened = Widened(alone, features.train.shape[1])
    before, after = (ranked(one, features.test) for one in (widened, both))
    return Measured(best, before, after, cpu, megabytes, note)


def ranked(recommender: Any, held: HeldOut) -> dict[str, NDArray[np.float64]]:
    """Return each user's figures, 0 for those whose item is outside the vocabulary."""
    ranking, _ = recommend(recommender, held.history, 10, ages=held.ages)
    metrics = user_metrics(ranking, held.came(), (10,))
    return {name: metrics[name] for name in METRICS}


def sections_of(path: Path, changes: list[str], only: list[str]) -> dict[str, Any]:
    """Return the candidates to measure, each classical one without weights by age beside it."""
    content = read_with_base(path)
    for change in changes:
        name, value = change.split("=", 1)
        *way, last = name.split(".")
        place = content["candidates"]
        for part in way:
            place = place[part]
        place[last] = json.loads(value)
    sections: dict[str, Any] = {}
    for name, section in check_params(content, path).candidates.items():
        if only and name not in only:
            continue
        sections[name] = section
        if getattr(section, "half_life_days", (None,)) != (None,) and isinstance(section, ClassicalGrid):
            sections[f"{name}, no age"] = section.model_copy(update={"half_life_days": (None,)})
    return sections


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path(__file__).parents[1] / "examples" / "beauty.yaml")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--change", nargs="+", default=[])
    parser.add_argument("--no-test", dest="test", action="store_false")
    arguments = parser.parse_args()
    features = read_features(arguments.data)
    for name, held in (("validation", features.validation), ("test", features.test)):
        outside = len(held.user_ids) - len(held.known().user_ids)
        print(f"{name}: {len(held.user_ids)} users, of {outside} the item is outside the vocabulary")
    read = [f"{fit} {metric}" for fit in ("train:", "both:") for metric in METRICS if arguments.test]
    names = ["validation", *read, "CPU s", "MB"]
    print(f"{'':22}" + "".join(f"{name:>20}" for name in names))
    users: dict[str, NDArray[np.float64]] = {}
    for name, section in sections_of(arguments.params, arguments.change, arguments.only).items():
        seeds = 1 if isinstance(section, ClassicalGrid) else arguments.seeds
        found: list[Measured] = []
        for seed in range(seeds):
            chosen = section if isinstance(section, ClassicalGrid) else with_seed(section, seed)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                task = (arguments.data, chosen, arguments.threads, arguments.test)
                found.append(alone.submit(measure, *task).result())
        columns = [[one.validation for one in found]]
        if arguments.test:
            fits = [[one.alone for one in found], [one.test for one in found]]
            columns += [[one[metric].mean() for one in fit] for fit in fits for metric in METRICS]
        shown = [f"{np.mean(one):.4f}" + (f" ± {np.std(one):.4f}" if seeds > 1 else "") for one in columns]
        shown += [f"{np.mean([one.cpu for one in found]):.0f}", str(max(one.megabytes for one in found))]
        print(f"{name:22}" + "".join(f"{one:>20}" for one in shown), "", found[0].note, flush=True)
        if arguments.test:
            users[name] = np.mean([one.test["ndcg_at_10"] for one in found], axis=0)
    if arguments.test and "sequence" in users and len(users) > 1:
        others = {name: values for name, values in users.items() if name != "sequence"}
        for one in compare(users["sequence"], others, samples=10_000, confidence=0.95, seed=0):
            ends = f"[{one.low:+.4f}, {one.high:+.4f}]"
            print(f"  sequence - {one.name}: {one.difference:+.4f} {ends}, Holm {one.p_holm:.4f}")


if __name__ == "__main__":
    main()
