"""Train CFGAN twenty times with every loss and constraint, and once so that it must collapse.

    python benchmarks/stability.py --data FOLDER [--epochs 30] [--seeds 2] [--only NAME]

FOLDER holds ML100K.train of github.com/Bigdasgit/CFGAN. A random 20 % of each user's train items is held out
and looked at every ten epochs; test is not read. Item view, generator 400, discriminator 125, learning rates
5e-4, batches of 64, two discriminator and four generator passes an epoch, zero reconstruction .03, both
shares .7. A line for each training: validation NDCG@20 at the last epoch, and what the diagnostics called
out.
"""

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.cfgan.settings import CFGANParams
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.ranking import ndcg
from recgan.settings import read_with_base

EXAMPLE = Path(__file__).parents[1] / "examples/cfgan-ml100k.yaml"

SIDES = {
    "generator": {"hidden": [400], "learning_rate": 5e-4, "l2": 0.001, "batch_size": 64, "steps": 4},
    "discriminator": {"hidden": [125], "learning_rate": 5e-4, "l2": 0, "batch_size": 64, "steps": 2},
}
ALARMS = {"grace": 5, "win_rate": 0.97, "gradient_growth": 10, "effective_items": 50, "effective_rank": 4}
NO_MOMENTUM = {"betas": [0, 0.9], "clip_gradient": None}
CALM = {"generator": NO_MOMENTUM, "discriminator": NO_MOMENTUM}

SETTINGS: dict[str, dict[str, Any]] = {
    "non-saturating": {},
    "saturating": {"loss": "saturating"},
    "least squares": {"loss": "least_squares"},
    "least squares, smoothing .1": {"loss": "least_squares", "stability": {"label_smoothing": 0.1}},
    "hinge, spectral norm": {"loss": "hinge", "stability": {"constraints": {"spectral_norm": True}}},
    "wasserstein, clip .05": {"loss": "wasserstein", "stability": {"constraints": {"clip_weights": 0.05}}},
    "wasserstein, penalty 10": {
        "loss": "wasserstein",
        "stability": {"constraints": {"gradient_penalty": 10}, **CALM},
    },
    "relativistic, R1 1, R2 1": {
        "loss": "relativistic",
        "stability": {"constraints": {"r1": 1, "r2": 1}, **CALM},
    },
    "non-saturating, R1 1": {"stability": {"constraints": {"r1": 1}, **CALM}},
    "non-saturating, matching 1, EMA .99": {"stability": {"feature_matching": 1, "schedule": {"ema": 0.99}}},
}
COLLAPSING = "rates 1e-2 and 5e-2"
RATES = {
    name: {**side, "learning_rate": rate}
    for (name, side), rate in zip(SIDES.items(), (1e-2, 5e-2), strict=True)
}


def settings(epochs: int, seed: int, changes: dict[str, Any]) -> CFGANParams:
    """Return the common setting with some changes, nested ones merged into it."""
    paper = read_with_base(EXAMPLE)["candidates"]["cfgan"]
    paper["trainer"]["accelerator"] = "cpu"
    common = {**paper, **SIDES, "epochs": epochs, "evaluate_every": 10, "seed": seed}
    common["stability"]["alarms"] = ALARMS
    return CFGANParams.model_validate(merged(common, changes))


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for name, value in new.items():
        result[name] = merged(old[name], value) if isinstance(value, dict) else value
    return result


def cut(matrix: csr_array) -> tuple[csr_array, csr_array]:
    """Return train and validation: 20 % of the entries of each row with five or more."""
    rng = np.random.default_rng(0)
    held = np.zeros(matrix.nnz, dtype=bool)
    for low, high in zip(matrix.indptr, matrix.indptr[1:], strict=False):
        held[low + rng.permutation(high - low)[: (high - low) // 5]] = True
    table = matrix.tocoo()
    parts = []
    for part in (~held, held):
        row, col = table.row[part], table.col[part]
        parts.append(csr_array((np.ones(len(row), dtype=np.float32), (row, col)), shape=matrix.shape))
    return parts[0], parts[1]


def read(path: Path) -> csr_array:
    """Read a part of the published split, whose ids count from 0."""
    users, items = np.loadtxt(path, usecols=(0, 1), dtype=np.int64, unpack=True)
    return csr_array((np.ones(len(users), dtype=np.float32), (users, items)))


def score(recommender: Recommender, train: csr_array, validation: csr_array) -> float:
    ranking, _ = recommend(recommender, train, 20)
    asked = np.diff(validation.indptr) > 0
    values: NDArray[np.float64] = ndcg(ranking, validation, 20)[asked]
    return float(values.mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=[*SETTINGS, COLLAPSING])
    arguments = parser.parse_args()
    logging.getLogger("recgan").setLevel(logging.ERROR)  # the table shows the alarms
    torch.set_num_threads(1)
    train, validation = cut(read(arguments.data / "ML100K.train"))
    trainings = [(name, changes, arguments.seeds) for name, changes in SETTINGS.items()]
    trainings.append((COLLAPSING, RATES, 1))
    failed, total = 0, 0
    for name, changes, seeds in trainings:
        if arguments.only not in (None, name):
            continue
        scores, seconds = [], []
        for seed in range(seeds):
            total += 1
            chosen = settings(arguments.epochs, seed, changes)
            recommender, start = CFGAN(chosen), time.perf_counter()
            try:
                recommender.fit(train, validate=lambda fitted: score(fitted, train, validation))
            except RecganError as error:
                failed += 1
                print(f"{name}, seed {seed}: {error}", flush=True)
                continue
            seconds.append(time.perf_counter() - start)
            training = recommender.training
            last, wins = training.curves[-1], [row["win_rate"] for row in training.curves[5:]]
            norms = [row["g_grad_norm"] for row in training.curves]
            scores.append(last["validation_ndcg"] or 0.0)
            alarms = ", ".join(f"{measure} (epoch {epoch})" for measure, epoch in training.alarms.items())
            print(
                f"{name}, seed {seed}: N@20 {scores[-1]:.4f} (best {training.validation_ndcg:.4f} "
                f"in epoch {training.best_epoch}), win rate {min(wins):.2f}-{max(wins):.2f}, "
                f"generator's gradient {norms[0]:.2g} -> {norms[-1]:.2g}, "
                f"items {last['effective_items']:.0f}, rank {last['effective_rank']:.1f}, "
                f"{seconds[-1]:.0f} s; alarms: {alarms or 'none'}",
                flush=True,
            )
        if len(scores) > 1:
            print(
                f"{name}: N@20 {np.mean(scores):.4f}, from {min(scores):.4f} to {max(scores):.4f}", flush=True
            )
    print(f"{failed} of {total} trainings ended in NaN")


if __name__ == "__main__":
    main()
