"""Train RC-GAN whole on a large catalogue: CPU seconds, peak memory, and NDCG on validation.

    python benchmarks/large_training.py [--users 30000] [--items 52000] [--mean 55] [--as-it-was]
        [--params examples/large-catalogue.yaml] [--change NAME=VALUE …] [--seed 0] [--only-epochs N]

Histories are those that benchmarks/catalogue.py writes, split in time: the two weeks before the last two are
validation, and an item or a user that has less than three entries before them is left out. The candidate
rcgan of --params is trained as the pipeline trains it before the refit.

--as-it-was is the yardstick: losses written out, looks judged by all users, each critic's share scored on its
own. Each NAME=VALUE changes the candidate, such as generator.batch_size=512.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from catalogue import histories
from scipy.sparse import csr_array

from recgan.features.matrices import Features, HeldOut
from recgan.recommenders.rcgan import game as rcgan_game
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.validation import Validation
from recgan.settings import read_with_base

K = 10
CUTS = 152, 166  # days of 180


def features(users: int, items: int, mean: float) -> Features:
    """Return the log that catalogue.py writes, as the stage of features splits it."""
    matrix, days = histories(users, items, mean=mean)
    rows = np.repeat(np.arange(users), np.diff(matrix.indptr))
    before, later = days < CUTS[0], (days >= CUTS[0]) & (days < CUTS[1])
    kept_items = np.flatnonzero(np.bincount(matrix.indices[before], minlength=items) >= 3)
    kept_users = np.flatnonzero(np.bincount(rows[before], minlength=users) >= 3)

    def part(chosen: np.ndarray) -> csr_array:
        ones = np.ones(chosen.sum(), np.float32)
        one = csr_array((ones, (rows[chosen], matrix.indices[chosen])), shape=matrix.shape)
        return csr_array(one[kept_users][:, kept_items])

    train, came = part(before), part(later)
    ids = np.char.add("u", kept_users.astype(str)).astype(object)
    some = np.flatnonzero(np.diff(came.indptr))
    window = HeldOut(ids[some], csr_array(train[some]), csr_array(came[some]))
    table = pd.DataFrame({"item_id": kept_items.astype(str)})
    return Features(train, train, ids, table, window, window, {"repeat_purchases": False, "md5": ""})


def settings(path: Path, changes: list[str]) -> RCGANParams:
    """Return the example's candidate rcgan with changes."""
    section: dict[str, Any] = read_with_base(path)["candidates"]["rcgan"]
    for change in changes:
        names, value = change.split("=", 1)
        inside, (*above, last) = section, names.split(".")
        for name in above:
            inside = inside[name]
        if last not in inside:
            raise SystemExit(f"rcgan has no {names}")
        inside[last] = yaml.safe_load(value)
    return RCGANParams.model_validate(section)


def timed(spent: list[float], judge: Callable[[Any], float]) -> Callable[[Any], float]:
    """Return the judge, its seconds counted."""

    def judged(recommender: Any) -> float:
        began = time.process_time()
        found = judge(recommender)
        spent.append(time.process_time() - began)
        return found

    return judged


def main() -> None:
    """Train once and print the curve and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=52_000)
    parser.add_argument("--mean", type=float, default=55)
    parser.add_argument("--as-it-was", action="store_true")
    parser.add_argument("--params", type=Path, default=Path("examples/large-catalogue.yaml"))
    parser.add_argument("--change", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    section = settings(options.params, [f"seed={options.seed}", *options.change])
    given = features(options.users, options.items, options.mean)
    held = given.validation
    assert held is not None
    validate: Any = Validation(held, K, exclude_seen=True)
    spent: list[float] = []
    if options.as_it_was:
        rcgan_game.pays = lambda *sizes: False
        section = section.model_copy(update={"look_users": None})
        validate = timed(spent, validate)
    print(f"{given.train.shape[0]:,} x {given.train.shape[1]:,}, {given.train.nnz:,} interactions", end="")
    print(f", {len(held.user_ids):,} users in validation", flush=True)
    began = time.process_time()
    recommender = RCGAN(section).fit(given.train, validate)
    seconds = time.process_time() - began
    training = recommender.training
    looks = [(row["epoch"], row["validation_ndcg"]) for row in training.curves if row["validation_ndcg"]]
    print(" ".join(f"{epoch}:{ndcg:.4f}" for epoch, ndcg in looks))
    found = {
        "epochs": training.epochs,
        "best": training.best_epoch,
        "share": recommender.critic_share,
        "ndcg": round(training.validation_ndcg or 0, 5),
        "cpu": round(seconds, 1),
        "judging": round(sum(spent), 1),
        "gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
