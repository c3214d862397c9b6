"""Rank a test window with tuned baselines, GAN recommenders, and these without what makes them adversarial.

    python benchmarks/quality.py --data FOLDER [--params FILE] [--beside FILE …] [--seeds 3] [--threads 1]

FOLDER holds ML100K.train and ML100K.test (`user item rating`) from github.com/Bigdasgit/CFGAN, with
examples/rcgan-ml100k.yaml for settings and grids; or it is a data/features of the pipeline and FILE the
params.yaml that made it. The first GAN among the candidates of FILE is compared; those of the files named by
--beside stand beside it. On validation (of the published split a random 20 % of each user's train items) NDCG
chooses the baselines' settings and what each recommender leaves open (the epoch, shares, ridges); then each
is fitted on train + validation and test is ranked once: the full catalogue, the mean over all test users.
Indented below each stands its ablation, trained and chosen alike.

The p-values are of a paired bootstrap over users (two-sided, Holm over the comparisons made), a recommender's
value for a user being the mean over seeds. The best baseline is the one that is best on test, which can only
make it harder to beat.
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.evaluation.metrics import user_metrics
from recgan.evaluation.significance import Comparison, compare
from recgan.features.draw import draws, pair_hashes
from recgan.features.matrices import Features, HeldOut, read_features
from recgan.features.settings import PublishedSplit
from recgan.features.split import TRAIN, VALIDATION, published_windows
from recgan.recommenders.feature_gan.settings import FeatureGANParams
from recgan.recommenders.irgan.settings import IRGANParams
from recgan.recommenders.protocol import recommend
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.settings import ClassicalGrid
from recgan.recommenders.student.settings import StudentParams
from recgan.recommenders.train import TrainParams, fit_and_choose
from recgan.recommenders.tune import tune
from recgan.settings import Params, load_with_base

EXAMPLE = Path(__file__).parents[1] / "examples" / "rcgan-ml100k.yaml"
Metrics = dict[str, NDArray[np.float64]]  # metric → (users,)


@dataclass
class Measured:
    """The results of one recommender, a list entry for each seed."""

    metrics: list[Metrics]
    seconds: list[float]
    """CPU seconds to choose and to train."""
    note: str


def trained(params: Params) -> TrainParams:
    """Return the first candidate that is trained adversarially."""
    return next(one for one in params.candidates.values() if not isinstance(one, ClassicalGrid))


def read(folder: Path, split: PublishedSplit) -> Features:
    """Read the published split and cut validation from its train."""
    tables = {part: np.loadtxt(folder / f"ML100K.{part}", usecols=(0, 1)) for part in ("train", "test")}
    pairs = {part: np.unique(table.astype(np.int32), axis=0) for part, table in tables.items()}
    shape = tuple(np.concatenate(list(pairs.values())).max(axis=0) + 1)

    def matrix(chosen: NDArray[np.int32]) -> csr_array:
        return csr_array((np.ones(len(chosen), np.float32), (chosen[:, 0], chosen[:, 1])), shape=shape)

    given = pairs["train"]
    ids = [np.arange(size).astype(str).tolist() for size in shape]
    drawn = draws(pair_hashes(*ids, *given.T, split.seed))
    windows = published_windows(drawn, given[:, 1], np.full(len(given), TRAIN, np.int8), split)
    train, held_out = matrix(given[windows == TRAIN]), matrix(given[windows == VALIDATION])
    everyone = np.arange(shape[0]).astype(str).astype(object)
    return Features(
        train=train,
        train_validation=matrix(given),
        user_ids=everyone,
        items=pd.DataFrame({"item_id": np.arange(shape[1]).astype(str)}),
        validation=window(everyone, train, held_out),
        test=window(everyone, matrix(given), matrix(pairs["test"])),
        summary={"repeat_purchases": False, "md5": ""},
    )


def window(users: NDArray[np.object_], history: csr_array, held_out: csr_array) -> HeldOut:
    """Leave out the users with nothing held out."""
    some = np.diff(held_out.indptr) > 0
    return HeldOut(users[some], csr_array(history[some]), csr_array(held_out[some]))


def seeded(settings: TrainParams, seed: int) -> TrainParams:
    """Give another seed; a student's is its first teacher's, the others follow."""
    if isinstance(settings, StudentParams):
        teacher = settings.teacher.model_copy(update={"seed": seed * settings.teachers})
        return settings.model_copy(update={"teacher": teacher})
    return settings.model_copy(update={"seed": seed})


def ablations(settings: TrainParams) -> dict[str, TrainParams]:
    """Return the same recommender without its adversary, and without more."""
    changed = settings.model_copy
    match settings:
        case RCGANParams():
            return {
                "no adversary": changed(update={"adversarial": 0}),
                "generator alone": changed(update={"adversarial": 0, "critic_shares": (0,)}),
            }
        case StudentParams():
            teacher = settings.teacher.model_copy(update={"adversarial": 0})
            return {
                "teacher alone": changed(update={"teacher": teacher}),
                "real rows alone": changed(update={"generated_weights": (0,)}),
            }
        case FeatureGANParams():
            stability = settings.stability.model_copy(update={"feature_matching": 0})
            return {
                "no adversary": changed(update={"adversarial": 0, "mode_seeking": 0, "stability": stability})
            }
        case IRGANParams():
            pretraining = settings.pretraining.model_copy(update={"epochs": settings.epochs})
            return {"likelihood alone": changed(update={"pretraining": pretraining})}
    return {}


def line(name: str, values: Iterable[str]) -> str:
    return f"{name:18}" + "".join(f"{value:>17}" for value in values)


def shown(measured: Measured, names: Sequence[str]) -> list[str]:
    means = np.array([[metrics[name].mean() for name in names] for metrics in measured.metrics])
    spread = means.std(axis=0)
    if len(means) == 1:
        return [f"{mean:.4f}" for mean in means[0]]
    return [f"{mean:.4f} ± {std:.4f}" for mean, std in zip(means.mean(axis=0), spread, strict=True)]


def told(comparison: Comparison) -> str:
    return (
        f"  against {comparison.name}: {comparison.difference:+.4f} "
        f"[{comparison.low:+.4f}, {comparison.high:+.4f}], "
        f"p {comparison.p_value:.4f}, Holm {comparison.p_holm:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=EXAMPLE)
    parser.add_argument("--beside", type=Path, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    params = load_with_base(arguments.params)
    if (arguments.data / "ML100K.train").exists():
        features = read(arguments.data, params.features.split)
    else:
        features = read_features(arguments.data)
    test, k = features.test, params.evaluate.primary_k
    came = test.came()
    names = [f"{metric}_at_{cut}" for metric in ("precision", "recall", "ndcg", "mrr") for cut in (5, k)]
    exclude_seen = not features.summary["repeat_purchases"]

    def measure(ranking: NDArray[np.int32]) -> Metrics:
        return user_metrics(ranking, came, (5, k))

    baselines: dict[str, Measured] = {}
    print(line("", names), flush=True)
    for name, grid in params.candidates.items():
        if not isinstance(grid, ClassicalGrid):
            continue
        start = time.process_time()
        best = tune(grid, features, k)
        ranking, _ = recommend(best.recommender, test.history, k, exclude_seen, ages=test.ages)
        note = ", ".join(f"{setting} {value}" for setting, value in best.settings.items())
        baselines[name] = Measured([measure(ranking)], [time.process_time() - start], note)
        print(
            line(name, shown(baselines[name], names)),
            f"  {baselines[name].seconds[0]:.0f} s  {note}",
            flush=True,
        )

    contestants: dict[str, TrainParams] = {}
    for settings in (trained(params), *(trained(load_with_base(file)) for file in arguments.beside)):
        contestants[settings.recommender] = settings
        contestants |= {f"  {name}": changed for name, changed in ablations(settings).items()}
    gans: dict[str, Measured] = {}
    for name, settings in contestants.items():
        gans[name] = Measured([], [], "")
        for seed in range(arguments.seeds):
            start = time.process_time()
            chosen = fit_and_choose(seeded(settings, seed), features, k)
            fitted = chosen.anew().fit(features.train_validation, epochs=chosen.training.best_epoch)
            gans[name].seconds.append(time.process_time() - start)
            ranking, _ = recommend(fitted, test.history, k, exclude_seen, ages=test.ages)
            gans[name].metrics.append(measure(ranking))
            gans[name].note += f"  {chosen.training.best_epoch} epochs"
        seconds = float(np.mean(gans[name].seconds))
        print(line(name, shown(gans[name], names)), f"  {seconds:.0f} s{gans[name].note}", flush=True)

    best_baseline = max(baselines, key=lambda name: baselines[name].metrics[0][f"ndcg_at_{k}"].mean())
    for metric in (f"ndcg_at_{k}", "ndcg_at_5", "precision_at_5"):
        users = {
            name: np.mean([metrics[metric] for metrics in one.metrics], axis=0)
            for name, one in (baselines | gans).items()
        }
        ours, *beside = gans
        others = {name.strip(): users[name] for name in (best_baseline, *beside)}
        print(f"{ours}, {metric}, {len(test.user_ids)} users")
        for comparison in compare(users[ours], others, samples=10_000, confidence=0.95, seed=0):
            print(told(comparison))


if __name__ == "__main__":
    main()
