"""Recommend products that were never sold: the retail GAN against popularity, content and chance.

    python benchmarks/cold_start.py --data FOLDER --params FILE [--beside FOLDER] [--seeds 3] [--sold-only]

FOLDER is a data/features of the pipeline with a split in time, FILE has a candidate of the kind feature_gan.
It is trained as `recgan train` does: epoch chosen on validation, then trained anew on train + validation.
`--window validation` stops before that and measures validation instead, for choosing settings. The folder of
--beside is a data/evaluation of the same features: its rankings of known products stand beside ours.

New products are those without any event before the window: all that the shop lists, or with `--sold-only`
those that the window sells, for logs that have a price or a title only of what was sold. They are ranked for
every user who took one in the window, by:

    feature_gan     the nearest of the products to several draws, merged by rank
    one draw        the same trained generator without noise
    no adversary    trained anew by regression alone, one draw
    taste           the content's vectors: inner product of product and mean of the history, nothing learned
    popularity      of alike products: the mean number of users of the known products of its brand, else of
                    its category, else of all
    by content      the same by content: the least-squares picture of popularity in the content's vectors
    chance          its expected recall, candidates being as many as they are

First among the new products alone, then among the known ones too, of which each baseline has what it says of
them: popularity itself, and the seen ones left out. The p-values are of a paired bootstrap over users
(two-sided, Holm), a recommender's value for a user being the mean over seeds.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.evaluation.diversity import effective_categories, intra_list_distance
from recgan.evaluation.metrics import user_metrics
from recgan.evaluation.significance import compare
from recgan.features.matrices import ColdStart, Features, read_features
from recgan.recommenders.feature_gan.recommender import FeatureGAN
from recgan.recommenders.feature_gan.settings import FeatureGANParams
from recgan.recommenders.protocol import recommend, top_k
from recgan.recommenders.train import TrainParams, fit_and_choose
from recgan.settings import load_with_base

K = (10, 20)
Values = NDArray[np.float64]
Scores = NDArray[np.float32]


def train(settings: TrainParams, features: Features, k: int, refit: bool):
    chosen = fit_and_choose(settings, features, k)
    if not refit:
        return chosen
    return chosen.anew().fit(features.train_validation, epochs=chosen.training.best_epoch)


def served(recommender: FeatureGAN, **changes: object) -> FeatureGAN:
    """Return the same trained generator, served otherwise."""
    serving = recommender.settings.serving.model_copy(update=changes)
    settings = recommender.settings.model_copy(update={"serving": serving})
    other = FeatureGAN(settings, recommender.items, recommender.times)
    other._take(
        recommender.generator,
        recommender.content,
        recommender.vectors,
        recommender.factors,
        recommender.popularity,
    )
    return other


def alike_popularity(features: Features, popularity: Values, cold: ColdStart) -> Values:
    """Return the mean number of users of each new product's brand, else category, else of all."""
    items = features.items.head(len(popularity))
    found = np.full(len(cold.items), np.nan)
    for column in ("brand", "category"):
        means = items.assign(users=popularity).groupby(column)["users"].mean()
        values = cold.items[column].map(means).to_numpy(dtype=float)
        found = np.where(np.isnan(found), values, found)
    return np.where(np.isnan(found), popularity.mean(), found)


def recalls(scores: Scores, cold: ColdStart, seen: bool) -> dict[str, Values]:
    """Return recall of the new products (users,) at each k; with `seen` the known products stand first."""
    scores = np.array(scores, dtype=np.float32)
    n_known = scores.shape[1] - len(cold.items)
    if seen:
        rows = np.repeat(np.arange(len(scores)), np.diff(cold.history.indptr))
        scores[rows, cold.history.indices] = -np.inf
    ranking, _ = top_k(scores, max(K))
    new = np.where(ranking >= n_known, ranking - n_known, -1)
    return user_metrics(new, cold.held_out, K)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--sold-only", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--window", choices=["test", "validation"], default="test")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    params, features = load_with_base(arguments.params), read_features(arguments.data)
    final = arguments.window == "test"
    cold = features.cold_test if final else features.cold_validation
    whole = features.test if final else features.validation
    fitted_on = features.train_validation if final else features.train
    items = features.items.head(fitted_on.shape[1])
    ours = next((one for one in params.candidates.values() if isinstance(one, FeatureGANParams)), None)
    assert ours is not None, "no candidate of the params file is a feature_gan"
    assert cold is not None, "nothing is sold first in this window"
    assert whole is not None
    window = whole.known()
    if arguments.sold_only:
        sold = cold.items["first_sold"].to_numpy()
        held_out = csr_array(cold.held_out[:, np.flatnonzero(sold)])
        cold = replace(cold, items=cold.items[sold], held_out=held_out)
    alone = {
        "adversarial": 0,
        "mode_seeking": 0,
        "stability": ours.stability.model_copy(update={"feature_matching": 0}),
    }

    gans: dict[str, list[FeatureGAN]] = {"feature_gan": [], "one draw": [], "no adversary": []}
    for seed in range(arguments.seeds):
        for name, change in (("feature_gan", {}), ("no adversary", alone)):
            start = time.process_time()
            settings = ours.model_copy(update={**change, "seed": seed})
            trained = train(settings, features, params.evaluate.primary_k, final)
            print(
                f"{name}, seed {seed}: {trained.training.epochs} epochs, "
                f"alarms {trained.training.alarms or 'none'}, {time.process_time() - start:.0f} s of CPU",
                flush=True,
            )
            if name == "feature_gan":
                gans[name].append(trained)
                gans["one draw"].append(served(trained, draws=1))
            else:
                gans[name].append(served(trained, draws=1))

    some = gans["no adversary"][0]
    content, known = some.content.vectors(cold.items), some.vectors[:, some.factors :]
    popularity = np.bincount(fitted_on.indices, minlength=fitted_on.shape[1]).astype(float)
    sums = np.maximum(np.asarray(cold.history.sum(axis=1)), 1e-9)
    taste = (cold.history @ known) / sums[:, None]
    expected = popularity @ known / len(popularity)
    users = len(cold.user_ids)
    new_scores = {
        "taste": taste @ content.T,
        "popularity": np.tile(alike_popularity(features, popularity, cold), (users, 1)),
        "by content": np.tile(content @ expected, (users, 1)),
    }
    known_scores = {
        "taste": taste @ known.T,
        "popularity": np.tile(popularity, (users, 1)),
        "by content": np.tile(popularity, (users, 1)),
    }
    print(
        f"\n{users} users took {cold.held_out.nnz} new products, "
        f"{int(cold.items['first_sold'].sum())} different ones; "
        f"{len(cold.items)} products are new, {len(items)} known"
    )
    for among_known in (False, True):
        n = len(cold.items) + among_known * len(items)
        values: dict[str, dict[str, Values]] = {}
        for name, seeds in gans.items():
            each = [
                recalls(one.score_new(cold.history, cold.items, among_known), cold, among_known)
                for one in seeds
            ]
            values[name] = {metric: np.mean([one[metric] for one in each], axis=0) for metric in each[0]}
            for k in K:
                of_each = ", ".join(f"{one[f'recall_at_{k}'].mean():.4f}" for one in each)
                print(f"  {name}: R@{k} of each seed {of_each}")
        for name, scores in new_scores.items():
            whole = np.hstack([known_scores[name], scores]) if among_known else scores
            values[name] = recalls(whole.astype(np.float32), cold, among_known)
        values["chance"] = {f"recall_at_{k}": np.full(users, min(1, k / n)) for k in K}
        print(f"\namong {n} products, {'known and new' if among_known else 'all new'}")
        for name, metrics in values.items():
            print(f"{name:14}" + "".join(f"  R@{k} {metrics[f'recall_at_{k}'].mean():.4f}" for k in K))
        for k in K:
            metric = f"recall_at_{k}"
            others = {name: one[metric] for name, one in values.items() if name != "feature_gan"}
            for one in compare(values["feature_gan"][metric], others, 10_000, 0.95, 0):
                print(
                    f"  R@{k} against {one.name}: {one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}], "
                    f"p {one.p_value:.4f}, Holm {one.p_holm:.4f}"
                )

    print(f"\nknown products: {window.held_out.shape[0]} users")
    exclude_seen = not features.summary["repeat_purchases"]
    category = items["category"].to_numpy(dtype=object)

    def show(name: str, rankings: list[NDArray[np.int32]]) -> None:
        each = []
        for ranking in rankings:
            top = ranking[:, :10]
            metrics = user_metrics(top, window.held_out, (10,))
            each.append(
                [
                    metrics["ndcg_at_10"].mean(),
                    metrics["recall_at_10"].mean(),
                    len(np.unique(top[top >= 0])) / len(items),
                    np.nanmean(effective_categories(top, category))
                    if items["category"].notna().any()
                    else np.nan,
                    np.nanmean(intra_list_distance(top, known)),
                ]
            )
        mean, std = np.mean(each, axis=0), np.std(each, axis=0)
        names = ("N@10", "R@10", "coverage", "categories", "distance")
        shown = (f"{label} {m:.4f} ± {s:.4f}" for label, m, s in zip(names, mean, std, strict=True))
        print(f"{name:14}" + "  ".join(shown), flush=True)

    for name, seeds in gans.items():
        show(name, [recommend(one, window.history, 10, exclude_seen, ages=window.ages)[0] for one in seeds])
    show(
        "best of ranks",
        [
            recommend(served(one, merge="best"), window.history, 10, exclude_seen, ages=window.ages)[0]
            for one in gans["feature_gan"]
        ],
    )
    if arguments.beside is not None:
        with np.load(arguments.beside / "rankings.npz") as stored:
            for file in stored.files:
                show(file, [stored[file][np.diff(whole.held_out.indptr) > 0]])


if __name__ == "__main__":
    main()
