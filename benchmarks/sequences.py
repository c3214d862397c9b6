"""Rank what comes next with every candidate of an example, as the literature on sequences does.

    python benchmarks/sequences.py --data FOLDER --kept FOLDER [--params examples/beauty.yaml ...] [--seeds 3]
        [--threads 1] [--only NAME ...] [--skip NAME ...] [--change NAME=VALUE ...] [--refit] [--no-test]

--data is the data/features that the pipeline makes of an example (beauty.yaml, sports.yaml): each user's
last item is test, the one before validation. NDCG on validation chooses settings and epochs. Then test is
ranked once, the full catalogue without what the history holds, by the fit on train alone: that is what the
literature reports. --refit ranks by a fit on train and validation instead, which is what the pipeline serves.
A held-out item outside the vocabulary is a miss, for in the literature every item is in it. Beside each
classical candidate stands the same one without weights by age, and beside two stages their ablations. Each is
fitted in a process of its own, which is what CPU seconds and peak memory are of.

Each fit is kept in a file of its own below --kept, and a fit that is there is not made again. So the
candidates of several calls stand in one table and in one comparison over users, where each user's figure is
the mean over the seeds. --no-test reads validation alone, to try settings; each NAME=VALUE of --change is put
into the parameters, such as sequence.width=128. More candidates than the examples have: sequences.yaml here.
"""

import argparse
import json
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recgan.core.files import read_json
from recgan.evaluation.metrics import user_metrics
from recgan.evaluation.significance import compare
from recgan.features.held_out import HeldOut
from recgan.features.matrices import read_features
from recgan.recommenders.fit import fit, with_seed
from recgan.recommenders.protocol import recommend
from recgan.recommenders.settings import ClassicalGrid, seed_of
from recgan.recommenders.tune import choose, fit_with
from recgan.recommenders.widened import Widened
from recgan.settings import check_params, read_with_base

METRICS = ("ndcg_at_10", "recall_at_10")
K = 10


def measure(data: Path, name: str, section: Any, threads: int, refit: bool, test: bool, kept: Path) -> None:
    """Choose, fit and rank in a process that has done nothing else, and keep what came of it."""
    torch.set_num_threads(threads)
    features, start = read_features(data), time.process_time()
    others: dict[str, Any] = {}
    ablations: dict[str, float | None] = {}
    if isinstance(section, ClassicalGrid):
        settings, best = choose(section, features, K)
        served: Any = fit_with(section, settings, features, refit=refit)
        if not refit:
            served = Widened(served, features.train.shape[1])
        note = ", ".join(f"{one} {value}" for one, value in settings.items())
    else:
        with tempfile.TemporaryDirectory() as checkpoints:
            fitted, _ = fit(_refitted(section, refit), features, K, Path(checkpoints))
        assert fitted is not None
        served, best, note = (
            fitted.recommender,
            fitted.chosen.validation_ndcg,
            f"epoch {fitted.chosen.best_epoch}",
        )
        ablations = dict(fitted.chosen.ablations)
        others = dict(getattr(fitted.trained, "ablations", {}))
        if fitted.items != fitted.all_items:
            others = {one: Widened(other, fitted.items) for one, other in others.items()}
        if choice := getattr(fitted.trained, "choice", None):
            note = str(choice)
    cpu = time.process_time() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    users = {"": ranked(served, features.test)} if test else {}
    users |= {one: ranked(other, features.test) for one, other in others.items() if test}
    np.savez_compressed(
        kept.with_suffix(".npz"),
        **{f"{one}|{metric}": values for one, figures in users.items() for metric, values in figures.items()},
    )
    said = {
        "name": name,
        "validation": best,
        "ablations": ablations,
        "cpu": cpu,
        "mb": megabytes,
        "note": note,
    }
    kept.with_suffix(".json").write_text(json.dumps(said))


def _refitted(section: Any, refit: bool) -> Any:
    """Return a section that fits anew on validation, or does not, with the candidates inside it."""
    update = {}
    for name in type(section).model_fields:
        inside = getattr(section, name)
        if name == "refit":
            update[name] = refit
        elif hasattr(inside, "refit"):
            update[name] = _refitted(inside, refit)
    return section.model_copy(update=update)


def ranked(recommender: Any, held: HeldOut) -> dict[str, NDArray[np.float64]]:
    """Return each user's figures, 0 for those whose item is outside the vocabulary."""
    ranking, _ = recommend(recommender, held.history, K, ages=held.ages)
    metrics = user_metrics(ranking, held.came(), (K,))
    return {name: metrics[name] for name in METRICS}


def sections_of(paths: list[Path], changes: list[str], only: list[str], skip: list[str]) -> dict[str, Any]:
    """Return the candidates to measure, each classical one without weights by age beside it."""
    sections: dict[str, Any] = {}
    for path in paths:
        content = read_with_base(path)
        for change in changes:
            name, value = change.split("=", 1)
            *way, last = name.split(".")
            place = content["candidates"]
            for part in way:
                place = place[part]
            place[last] = json.loads(value)
        for name, section in check_params(content, path).candidates.items():
            if (only and name not in only) or name in skip:
                continue
            sections[name] = section
            if getattr(section, "half_life_days", (None,)) != (None,) and isinstance(section, ClassicalGrid):
                sections[f"{name}, no age"] = section.model_copy(update={"half_life_days": (None,)})
    return sections


def table(folder: Path) -> None:
    """Print all that is kept, the best on validation first, and compare it with each other one."""
    kept: dict[str, list[dict[str, Any]]] = {}
    users: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
    for path in sorted(folder.glob("*.json")):
        one = read_json(path)
        with np.load(path.with_suffix(".npz")) as arrays:
            figures = {key: arrays[key] for key in arrays.files}
        for ablation in sorted({key.split("|")[0] for key in figures} | {""}):
            name = f"{one['name']}: {ablation}" if ablation else one["name"]
            kept.setdefault(name, []).append(
                one | ({"validation": one["ablations"].get(ablation)} if ablation else {})
            )
            of_one = {m: figures[f"{ablation}|{m}"] for m in METRICS if f"{ablation}|{m}" in figures}
            users.setdefault(name, []).append(of_one)
    print(f"{'':26}{'seeds':>6}{'validation':>18}{'N@10':>18}{'R@10':>18}{'CPU s':>7}{'MB':>7}")
    order = sorted(kept, key=lambda name: -np.mean([one["validation"] or 0 for one in kept[name]]))
    for name in order:
        fits = kept[name]
        columns = [[one["validation"] for one in fits if one["validation"] is not None]]
        columns += [[float(one[m].mean()) for one in users[name] if m in one] for m in METRICS]
        shown = [
            (f"{np.mean(one):.4f}" + (f" ± {np.std(one):.4f}" if len(one) > 1 else "")) if one else "-"
            for one in columns
        ]
        cpu, megabytes = np.mean([one["cpu"] for one in fits]), max(one["mb"] for one in fits)
        print(
            f"{name:26}{len(fits):>6}"
            + "".join(f"{one:>18}" for one in shown)
            + f"{cpu:>7.0f}{megabytes:>7}",
            "" if ":" in name else fits[0]["note"],
        )
    means = {
        name: np.mean([one["ndcg_at_10"] for one in users[name]], axis=0)
        for name in order
        if all("ndcg_at_10" in one for one in users[name])
    }
    if len(means) < 2:
        return
    first, *_ = means
    best = means.pop(first)
    for one in compare(best, means, samples=10_000, confidence=0.95, seed=0):
        ends = f"[{one.low:+.4f}, {one.high:+.4f}]"
        print(f"  {first} - {one.name}: {one.difference:+.4f} {ends}, Holm {one.p_holm:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    example = Path(__file__).parents[1] / "examples" / "beauty.yaml"
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--params", type=Path, nargs="+", default=[example])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--skip", nargs="+", default=[])
    parser.add_argument("--change", nargs="+", default=[])
    parser.add_argument("--refit", action="store_true")
    parser.add_argument("--no-test", dest="test", action="store_false")
    asked = parser.parse_args()
    asked.kept.mkdir(parents=True, exist_ok=True)
    features = read_features(asked.data)
    for name, held in (("validation", features.validation), ("test", features.test)):
        outside = len(held.user_ids) - len(held.known().user_ids)
        print(f"{name}: {len(held.user_ids)} users, of {outside} the item is outside the vocabulary")
    for name, section in sections_of(asked.params, asked.change, asked.only, asked.skip).items():
        draws = not isinstance(section, ClassicalGrid) and seed_of(section) is not None
        for seed in range(asked.seeds if draws else 1):
            kept = asked.kept / f"{name}-{seed}".replace(", ", "-").replace(" ", "-")
            if kept.with_suffix(".json").exists():
                continue
            task = (asked.data, name, with_seed(section, seed) if draws else section, asked.threads)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                alone.submit(measure, *task, asked.refit, asked.test, kept).result()
            print(f"{name}, seed {seed}: kept", flush=True)
    table(asked.kept)


if __name__ == "__main__":
    main()
