"""How far a campaign of fake accounts pushes its products, with a recommender's adversary and without it.

    python benchmarks/robustness.py --features data/features --params params.yaml --out FILE
        --candidates rcgan two_stage

The campaign is a segment attack (Mobasher et al., ACM TOIT 2007): for each of four rarely bought products,
fake accounts take 20 of the products that go together with a popular one, and the pushed product. They do so
in the last four weeks of train. Each candidate is fitted as `recgan train` does, on the attacked matrices.
Beside each stands what it is without its adversary, with the same seed: RC-GAN with `adversarial: 0`; of a
candidate in two stages its discriminator with fakes drawn uniformly, and its generator alone.

*pushed* is the share of genuine test shoppers whose ten have a pushed product that they did not have, the
mean over products. The clean figure of each is one fit on the log as it is, with the first seed. A shopper's
figure is the mean over seeds; p is of a paired bootstrap over shoppers (two-sided, Holm). Of the test window
the histories are read, not what came.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from recgan.evaluation.significance import compare
from recgan.features.matrices import Features, HeldOut, beside, read_features
from recgan.recommenders.fit import fit, with_seed
from recgan.recommenders.protocol import recommend
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.two_stage.settings import TwoStageParams
from recgan.settings import load_with_base

TARGETS, FILLERS, DAYS, K = 4, 20, 28, 10
RARE = (3, 10)
"""Buyers of a product that is pushed, at least and at most."""


def campaign(features: Features, share: float, rng: np.random.Generator) -> tuple[Features, list[int]]:
    """Return the features with fake accounts, and the pushed products' positions.

    Args:
        features: with times.
        share: fake accounts of one product, as a share of train's users.
        rng: draws products, fillers and times.
    """
    train, times = features.train, features.train_times
    assert times is not None
    bought = csr_array(train != 0).astype(np.float64)
    buyers = np.asarray(bought.sum(axis=0)).ravel()
    rare = np.flatnonzero((buyers >= RARE[0]) & (buyers <= RARE[1]))
    targets = rng.choice(rare, TARGETS, replace=False)
    anchors = rng.choice(np.argsort(-buyers)[:40], TARGETS, replace=False)
    fakes = max(1, round(share * train.shape[0]))
    end = float(times.max())
    rows, columns, days = [], [], []
    for number, (target, anchor) in enumerate(zip(targets, anchors, strict=True)):
        together = np.asarray((bought.T @ bought[:, [anchor]]).toarray()).ravel()
        together[target] = -1
        segment = np.argsort(-together, kind="stable")[: 2 * FILLERS]  # without the target: it has -1
        for fake in range(fakes):
            fillers = rng.choice(segment, FILLERS, replace=False)
            rows += [number * fakes + fake] * (FILLERS + 1)
            columns += [*fillers.tolist(), int(target)]
            when = np.sort(rng.uniform(max(0.01, end - DAYS), end, FILLERS + 1))
            days += when.tolist()
    n_fakes = TARGETS * fakes
    cells = (np.asarray(rows), np.asarray(columns))
    worth = np.full(len(rows), float(np.median(train.data)), dtype=np.float32)

    def more(matrix: csr_array, its_times: NDArray[np.float32]) -> tuple[csr_array, NDArray[np.float32]]:
        shape = (n_fakes, matrix.shape[1])
        below = csr_array((worth, cells), shape=shape)
        below_times = csr_array((np.asarray(days, dtype=np.float32), cells), shape=shape)
        both = csr_array(vstack([matrix, below], format="csr"))
        both_times = csr_array(vstack([beside(matrix, its_times), below_times], format="csr"))
        return both, both_times.data.astype(np.float32)

    assert features.train_validation_times is not None
    attacked, attacked_times = more(train, times)
    both, both_times = more(features.train_validation, features.train_validation_times)
    names = np.asarray([f"fake-{number}" for number in range(n_fakes)], dtype=object)
    changed = replace(
        features,
        train=attacked,
        train_times=attacked_times,
        train_validation=both,
        train_validation_times=both_times,
        user_ids=np.concatenate([features.user_ids, names]),  # of train_validation
    )
    return changed, targets.tolist()


def arms(section: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is fitted: the candidate, and RC-GAN without its adversary."""
    yield "", section
    if isinstance(section, RCGANParams) and section.adversarial:
        yield " without its adversary", section.model_copy(update={"adversarial": 0.0})


def reached(recommender: Any, window: HeldOut, targets: list[int]) -> NDArray[np.float64]:
    """Return each shopper's share of the pushed products in the ten; NaN where all are owned."""
    ten, _ = recommend(recommender, window.history, K, exclude_seen=True, ages=window.ages)
    hit = np.stack([(ten == target).any(axis=1) for target in targets], axis=1).astype(np.float64)
    owned = csr_array(window.history[:, targets]).toarray() != 0
    return np.nanmean(np.where(owned, np.nan, hit), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--candidates", nargs="+", required=True)
    parser.add_argument("--share", type=float, default=0.01, help="fake accounts of one product")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    features = read_features(options.features)
    sections = load_with_base(options.params).candidates
    users: dict[str, list[NDArray[np.float64]]] = {}
    validation: dict[str, list[float | None]] = {}
    clean: dict[str, float] = {}
    for step in range(options.seeds):
        rng = np.random.default_rng(step)
        attacked, targets = campaign(features, options.share, rng)
        print(
            f"seed {step}: {attacked.train.shape[0] - features.train.shape[0]} fakes push {targets}",
            flush=True,
        )
        for name in options.candidates:
            for arm, section in arms(with_seed(sections[name], step)):
                for log in (features, attacked) if step == 0 else (attacked,):
                    began = time.process_time()
                    with TemporaryDirectory() as folder:
                        fitted: Any
                        fitted, _ = fit(section, log, K, Path(folder))
                    recommenders = {name + arm: fitted.recommender}
                    if isinstance(section, TwoStageParams):
                        beside_it = fitted.recommender.ablations
                        recommenders |= {f"{name}, {key}": beside_it[key] for key in ("uniform", "generator")}
                    for told, one in recommenders.items():
                        found = reached(one, features.test, targets)
                        if log is features:
                            clean[told] = float(np.nanmean(found))
                            continue
                        users.setdefault(told, []).append(found)
                        ndcg = fitted.chosen.ablations.get(
                            told.removeprefix(f"{name}, "), fitted.chosen.validation_ndcg
                        )
                        validation.setdefault(told, []).append(ndcg)
                    taken = time.process_time() - began
                    print(
                        f"  {name}{arm}, {'clean' if log is features else 'attacked'}, {taken:.0f} s",
                        flush=True,
                    )
    mean = {told: np.nanmean(each, axis=0) for told, each in users.items()}
    lines = {
        told: {
            "pushed": float(np.nanmean(values)),
            "of each seed": [float(np.nanmean(one)) for one in users[told]],
            "clean, first seed": clean[told],
            "validation": validation[told],
        }
        for told, values in mean.items()
    }
    tests = {}
    for name in options.candidates:
        others = {told: values for told, values in mean.items() if told.startswith((f"{name},", f"{name} "))}
        both = ~np.isnan(np.stack([mean[name], *others.values()])).any(axis=0)
        compared = compare(
            mean[name][both], {key: values[both] for key, values in others.items()}, 10_000, 0.95, 0
        )
        tests[name] = [vars(one) for one in compared]
    options.out.write_text(json.dumps({"pushed": lines, "comparisons": tests}, indent=1))
    print(json.dumps(lines, indent=1))
    for name, compared_to in tests.items():
        for one in compared_to:
            print(f"{name} - {one['name']}: {one['difference']:+.4f}, p {one['p_holm']:.4f}")


if __name__ == "__main__":
    main()
