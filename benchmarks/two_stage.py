"""What a second stage earns: proposals against uniform fakes, the generator alone, the blend; and its speed.

    python benchmarks/two_stage.py earn --features data/features --section FILE --seeds 3 --out two.json
    python benchmarks/two_stage.py speed --items 10000 100000 --out speed.json

`earn` trains the candidate of FILE with several seeds, on train with everything chosen on validation, then on
train + validation, and reads the test window once for each. With `--users` of all test users, held-out items
outside the vocabulary count as misses. A recommender's figure of a user is the mean over seeds. The
comparisons are paired over users, Holm over all of them.
"""

import argparse
import json
import logging
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from recgan.core.yaml12 import read_yaml
from recgan.evaluation.significance import compare
from recgan.features.matrices import beside, read_features
from recgan.recommenders.fit import fit, with_seed
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.ranking import user_ndcg
from recgan.recommenders.two_stage.discriminator import Discriminator, Scale
from recgan.recommenders.two_stage.judged import Judged
from recgan.recommenders.two_stage.pairs import FEATURES
from recgan.recommenders.two_stage.settings import TwoStageParams
from recgan.recommenders.two_stage.statistics import Statistics
from recgan.recommenders.widened import Widened


def earn(options: argparse.Namespace) -> dict[str, Any]:
    features = read_features(options.features)
    if options.without_content:
        kept = [name for name in features.items if name not in ("title", "category", "brand", "price")]
        object.__setattr__(features, "items", features.items[kept])
    section = TwoStageParams.model_validate(read_yaml(options.section))
    seen = not features.summary["repeat_purchases"]
    users = options.users or features.test.held_out.shape[0]
    of_users: dict[str, list[Any]] = {}
    validation: dict[str, list[float | None]] = {}
    spent, checkpoints = [], options.out.parent / "checkpoints"
    for step in range(options.seeds):
        began = time.process_time()
        fitted, place = fit(with_seed(section, section.seed + step), features, options.k, checkpoints)
        assert place is not None
        shutil.rmtree(place, ignore_errors=True)
        spent.append(time.process_time() - began)
        ours: Any = fitted.trained
        validation.setdefault("two_stage", []).append(fitted.chosen.validation_ndcg)
        for name, ndcg in fitted.chosen.ablations.items():
            validation.setdefault(name, []).append(ndcg)
        print(f"seed {section.seed + step}: the test window is read", ours.choice, flush=True)
        for name, one in {"two_stage": ours, **ours.ablations}.items():
            if fitted.items != fitted.all_items:  # not fitted anew: it knows the items of train alone
                one = Widened(one, fitted.items)
            of_users.setdefault(name, []).append(user_ndcg(one, features.test, options.k, seen)[1])
            print(name, of_users[name][-1].sum() / users, flush=True)
    weights = dict(zip(FEATURES, ours.served.discriminator.linear.tolist(), strict=True))
    missing = np.zeros(users - len(of_users["two_stage"][0]))
    mean = {name: np.append(np.mean(seeds, axis=0), missing) for name, seeds in of_users.items()}
    others = {name: values for name, values in mean.items() if name != "two_stage"}
    found = compare(mean["two_stage"], others, 10_000, 0.95, 0)
    return {
        "validation": validation,
        "test": {name: [float(one.sum() / users) for one in seeds] for name, seeds in of_users.items()},
        "comparisons": [vars(one) for one in found],
        "choice": ours.choice,
        "linear": weights,
        "cpu_seconds": spent,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Take the processor time of one answer: factors as the generator, both stages, and as it is served."""
    rows = []
    rng = np.random.default_rng(0)
    for n_items in options.items:
        users, length = 4_000, 20
        popular = (n_items * rng.random((users, length)) ** 3).astype(np.int32)
        indptr = np.arange(users + 1) * length
        matrix = csr_array(
            (np.ones(users * length, np.float32), popular.ravel(), indptr), shape=(users, n_items)
        )
        matrix.sum_duplicates()
        times = rng.random(matrix.nnz).astype(np.float32) * 100
        items = pd.DataFrame(
            {
                "title": [f"thing {n % 97} of kind {n % 1013}" for n in range(n_items)],
                "category": [f"c{n % 50}" for n in range(n_items)],
                "brand": [f"b{n % 500}" for n in range(n_items)],
                "price": 1 + rng.random(n_items) * 50,
            }
        )
        known = Statistics.fit(matrix, times, items)
        generator = IALS(32, 10, 1, 2, 0).fit(matrix)
        size = len(FEATURES)
        scale = Scale(*(np.full(size, value, np.float32) for value in (-9, 9, 0, 1)))
        parts = (rng.normal(size=shape).astype(np.float32) for shape in (size, (size, 32), 32, 32))
        judged = Judged(generator, known, Discriminator(scale, *parts), 100, True)
        ages = beside(matrix, times)
        asked = {
            "generator": generator.score,
            "two_stage": judged.score,
            # As the server asks for ten items beside a history of twenty.
            "served": lambda row, since, judged=judged: judged.best(row, since, 30),
        }
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for user in range(options.answers):
            row, since = csr_array(matrix[[user]]), csr_array(ages[[user]])
            for name, ask in asked.items():
                began = time.thread_time()
                ask(row, since)
                taken[name].append(1000 * (time.thread_time() - began))
        rows.append(
            {"items": n_items}
            | {
                f"{name}_p{q}_ms": round(float(np.percentile(values[20:], q)), 2)
                for name, values in taken.items()
                for q in (50, 99)
            }
        )
        print(rows[-1], flush=True)
    return {"speed": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("earn")
    one.add_argument("--features", type=Path, required=True)
    one.add_argument("--section", type=Path, required=True)
    one.add_argument("--seeds", type=int, default=3)
    one.add_argument("--k", type=int, default=10)
    one.add_argument("--users", type=int, help="all test users, those with unknown items alone among them")
    one.add_argument("--without-content", action="store_true")
    one.set_defaults(run=earn)
    two = commands.add_parser("speed")
    two.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    two.add_argument("--answers", type=int, default=300)
    two.set_defaults(run=speed)
    for command in (one, two):
        command.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.write_text(json.dumps(options.run(options), indent=1))


if __name__ == "__main__":
    main()
