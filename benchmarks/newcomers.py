"""New products in one list with the known ones, day by day: content, first buyers, the cap, a slot.

    python benchmarks/newcomers.py --root FOLDER --candidate NAME [--seeds 3] [--max-share 0.2]

FOLDER is a project with params.yaml, whose split is one in time, and data/kept. The candidate is trained
as `recgan train` does, twice: on the log that ends where the test window begins, and on the whole log. The
last window of the first is for choosing: each arm's lift (src/recgan/newcomers/replay.py), or the slot's
days. The last window of the second is measured once, with that choice. Each day's lists know the events
before the day and nothing else. They are made for every shopper who took something that day, and measured by
all that the shopper took, known or new. A shopper's figure is the mean over the days and seeds, the table's
the mean over shoppers.

    alone          the package alone: no list names a new product
    slot           the most bought new product of the last days at place 10
    content        what the content of a product says; at most --max-share of a list new
    no exposure    content and buyers, every shopper taken to have seen every product; capped too
    capped         content and buyers with exposure; at most --max-share of a list new
    free           the same without a cap
    own factors    with --native and iALS: its own factors in place of those out of its scores; capped

p is of a paired bootstrap over shoppers against the package alone (two-sided, Holm). At the end, a flood on
the last day: a launch of 1,000 products, each with the content of a known one and three buyers of the day
before; and the time that one list takes with 1,000 new products beside one without.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core import layout
from recgan.data.screened import read_quarantined
from recgan.evaluation.significance import compare
from recgan.features.build import features_of
from recgan.newcomers import estimate
from recgan.newcomers.estimate import Estimator
from recgan.newcomers.file import read_newcomers, write_newcomers
from recgan.newcomers.log import DAY, Log, read_log
from recgan.newcomers.replay import LIFTS, Day, day_of
from recgan.newcomers.tastes import Standing, fold_in
from recgan.newcomers.weights import Origin
from recgan.package.packaged import Confidence, PackagedRecommender
from recgan.recommenders.fit import fit, with_seed
from recgan.recommenders.ranking import held_out_sizes, hits, ndcg
from recgan.serving.histories import History
from recgan.serving.model import ServedModel
from recgan.settings import load_params

SLOT_DAYS = (1, 2, 3, 5, 7, 14)
PLACE = 10
FLOOD = 1_000
Rank = Callable[[Day, int], NDArray[np.int32]]
Figures = dict[str, pd.Series]


def micro(instant: datetime) -> int:
    return int((instant - datetime.fromtimestamp(0, instant.tzinfo)) / timedelta(microseconds=1))


def measured(rank: Rank, days: list[Day], n_known: int) -> Figures:
    """Return each shopper's figures, the mean over the days; `rank` makes a day's lists of some length."""
    total: dict[str, dict[int, list[float]]] = {}
    for one in days:
        known, new = csr_array(one.came[:, :n_known]), csr_array(one.came[:, n_known:])
        of_known, of_new = held_out_sizes(known), held_out_sizes(new)
        ten, twenty = rank(one, 10), rank(one, 20)
        found_new = (hits(twenty, one.came) & (twenty >= n_known)).sum(axis=1)
        values = {
            "all N@10": ndcg(ten, one.came, 10),
            "all N@20": ndcg(twenty, one.came, 20),
            "known N@10": np.where(of_known > 0, ndcg(np.where(ten < n_known, ten, -1), known, 10), np.nan),
            "new R@20": np.where(of_new > 0, found_new / np.maximum(of_new, 1), np.nan),
            "share": (ten >= n_known).mean(axis=1),
        }
        for name, column in values.items():
            for user, value in zip(one.users.tolist(), column.tolist(), strict=True):
                if not np.isnan(value):
                    total.setdefault(name, {}).setdefault(user, []).append(value)
    return {
        name: pd.Series({user: float(np.mean(values)) for user, values in users.items()}).sort_index()
        for name, users in total.items()
    }


class Window:
    """A window's days, as each arm sees them."""

    def __init__(self, recommender, features, params, log: Log, end: int, max_share: float, native: bool):
        section = params.features
        weights = {str(kind): weight for kind, weight in section.weights.items()}
        packaged = PackagedRecommender(
            recommender,
            features.items["item_id"].astype(str).tolist(),
            features.items["popularity"].to_numpy(np.float32),
            confidence=Confidence(weights, section.binary, section.min_rating, section.half_life_days),
        )
        start = micro(datetime.fromisoformat(features.summary["cuts"]["test_start"]))
        self.log, self.max_share, self.exclude_seen = log, max_share, not section.repeat_purchases
        began = time.perf_counter()
        self.estimator = Estimator(packaged, log, start)
        self.seconds = time.perf_counter() - began
        self.n_known = self.estimator.n_known
        self.spans = [(begin, min(begin + DAY, end)) for begin in range(start, end, DAY)]
        seen_by_all = patch.object(
            estimate, "fold_in", lambda prior, buyers, gram, _: fold_in(prior, buyers, gram, 1.0)
        )
        nothing_bought = patch.object(estimate, "fold_in", lambda prior, *_: prior)
        self.days = {"alone": self._days(self.estimator)}
        self.days |= dict.fromkeys(("slot", "capped", "free"), self.days["alone"])
        with nothing_bought:
            self.days["content"] = self._days(self.estimator)
        with seen_by_all:
            self.days["no exposure"] = self._days(self.estimator)
        if native:
            self.days["own factors"] = self._days(with_own_factors(packaged, log, start))

    def figures(self, arm: str, choice: float) -> Figures:
        rank: Rank = {
            "alone": lambda one, k: one.ranking(0.0, k, 0.0),
            "slot": lambda one, k: self._slot(one, k, int(choice)),
            "free": lambda one, k: one.ranking(choice, k, 1.0),
        }.get(arm, lambda one, k: one.ranking(choice, k, self.max_share))
        return measured(rank, self.days[arm], self.n_known)

    def _days(self, estimator: Estimator) -> list[Day]:
        found = (day_of(estimator, *span, self.exclude_seen) for span in self.spans)
        return [one for one in found if one is not None]

    def _slot(self, one: Day, k: int, last: int) -> NDArray[np.int32]:
        """Put the most bought new product of the last days at its place."""
        ranking, place = one.ranking(0.0, k, 0.0), np.full(len(self.log.item_ids), -1)
        place[one.found.codes] = np.arange(len(one.found.codes))
        days = slice(self.log.before(one.start - last * DAY), self.log.before(one.start))
        pairs = np.unique(self.log.users[days].astype(np.int64) * len(place) + self.log.items[days])
        bought = place[pairs % len(place)]
        counts = np.bincount(bought[bought >= 0], minlength=len(one.found.codes))
        if not counts.any():
            return ranking
        theirs = np.where(np.isneginf(one.new), 0, counts)  # of those that the shopper has not had
        best = np.where(theirs.any(axis=1), self.n_known + theirs.argmax(axis=1), -1)
        shifted = np.insert(ranking, PLACE - 1, best, axis=1)[:, :k]
        return np.where(best[:, None] >= 0, shifted, ranking)


class OwnFactors:
    """The way from scores to iALS's own factors, in place of `Tastes`."""

    def __init__(self, item_factors):
        self.back = np.linalg.pinv(item_factors).T  # s = q Yᵀ, so q = s Y (YᵀY)⁻¹

    def factors(self, scores):
        return scores @ self.back

    def standing(self, scores):
        return self.factors(scores), scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)


class RawScores(Standing):
    """A new product's q · v as it is: iALS's own scale."""

    def score(self, scores, vectors, lift):
        q, _, spread = self.tastes.standing(scores)
        return (q @ vectors.T + lift * spread).astype(np.float32)


def with_own_factors(packaged: PackagedRecommender, log: Log, start: int) -> Estimator:
    Y = packaged.recommender.arrays()["item_factors"].astype(np.float64)
    with (
        patch.object(estimate, "fit_tastes", lambda scores: OwnFactors(Y)),
        patch.object(estimate, "known_vectors", lambda factors, user_items: Y),
    ):
        found = Estimator(packaged, log, start)
    found.standing = RawScores(found.tastes, found.standing.mean, found.standing.covariance)
    return found


def flood(window: Window, lift: float, rng: np.random.Generator) -> None:
    """Measure the last day with a launch the day before; and the time of a list."""
    log = window.log
    start, end = next(  # the window may end within moments of a day's beginning
        span
        for span in reversed(window.spans)
        if day_of(window.estimator, *span, window.exclude_seen) is not None
    )
    before = log.before(start)
    yesterday = np.unique(log.users[log.before(start - DAY) : before])
    known = rng.choice(np.flatnonzero(window.estimator.positions >= 0), FLOOD)
    names = np.array([f"flood-{number}" for number in range(FLOOD)], dtype=object)
    table = log.table.set_index("item_id").reindex(log.item_ids[known]).reset_index(drop=True)
    users = rng.choice(yesterday, 3 * FLOOD)
    items = np.tile(np.arange(FLOOD, dtype=np.int32) + len(log.item_ids), 3)
    flooded = replace(
        log,
        item_ids=np.concatenate([log.item_ids, names]),
        users=np.insert(log.users, before, users),
        items=np.insert(log.items, before, items),
        times=np.insert(log.times, before, np.sort(rng.integers(start - DAY, start, 3 * FLOOD))),
        worth=np.insert(log.worth, before, np.ones(3 * FLOOD)),
        table=pd.concat([log.table, table.assign(item_id=names)], ignore_index=True),
    )
    order = np.argsort(flooded.times, kind="stable")
    flooded = replace(
        flooded, **{name: getattr(flooded, name)[order] for name in ("users", "items", "times", "worth")}
    )
    estimator = Estimator(window.estimator.packaged, flooded, window.spans[0][0])
    latency(estimator, start, lift, window.max_share)
    for name, one in (
        ("the last day", day_of(window.estimator, start, end, window.exclude_seen)),
        ("the last day after a launch of 1,000", day_of(estimator, start, end, window.exclude_seen)),
    ):
        if one is None:
            continue
        for arm, share in (("alone", 0.0), ("capped", window.max_share), ("free", 1.0)):
            found = measured(lambda day, k, share=share: day.ranking(lift, k, share), [one], window.n_known)
            most = (one.ranking(lift, 10, share) >= window.n_known).sum(axis=1).max()
            shown = ", ".join(f"{key} {values.mean():.4f}" for key, values in found.items())
            print(f"{name}, {arm}: {shown}; {most} of 10 at most are new", flush=True)


def latency(estimator: Estimator, until: int, lift: float, max_share: float) -> None:
    """Time one list of 10 in this process, with and without the new products."""
    origin = Origin("benchmark", "1", "run", "", datetime.now(UTC))
    found = estimator.newcomers(estimator.at(until), origin, lift, max_share)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        began = time.perf_counter()
        write_newcomers(found, path)
        read_newcomers(path)
        taken = time.perf_counter() - began
        print(f"a file of {len(found)} new products: {path.stat().st_size / 2**20:.1f} MiB, ", end="")
        print(f"written and read in {taken:.2f} s")
    users = np.unique(estimator.log.users)[:300]
    user_items, _ = estimator.histories(users, until)
    for name, new in (("without", None), (f"with {len(found)}", found)):
        served, times = ServedModel("benchmark", "1", estimator.packaged, new), []
        for row in range(len(users)):
            positions = user_items[[row]].indices
            history = History(positions, np.ones(len(positions), dtype=np.float32), positions)
            began = time.perf_counter()
            served.rank(history, 10)
            times.append(1000 * (time.perf_counter() - began))
        p50, p99 = np.percentile(times, [50, 99])
        print(
            f"a list of 10 among {estimator.n_known} {name} new products: p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--candidate", required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--max-share", type=float, default=0.2)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--choose-only", action="store_true", help="stop before the test window is read")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    params = load_params(arguments.root / layout.PARAMS)
    section, kept = params.candidates[arguments.candidate], arguments.root / layout.KEPT
    left_out = read_quarantined(arguments.root / layout.SCREENED)
    whole = features_of(kept, left_out, params.features)
    test_start = datetime.fromisoformat(whole.summary["cuts"]["test_start"])
    earlier = features_of(kept, left_out, params.features, test_start)
    weights = {str(kind): weight for kind, weight in params.features.weights.items()}
    log = read_log(kept, left_out, Confidence(weights, True, params.features.min_rating, None))
    ends = (micro(test_start), int(log.times[-1]) + 1)
    found: dict[str, list[Figures]] = {}
    for seed in range(arguments.seeds):
        seeded = section if arguments.seeds == 1 else with_seed(section, seed)
        choices: dict[str, float] = {}
        for features, end, final in ((earlier, ends[0], False), (whole, ends[1], True)):
            if final and arguments.choose_only:
                break
            with TemporaryDirectory() as folder:
                fitted, _ = fit(seeded, features, params.evaluate.primary_k, Path(folder))
            assert fitted is not None
            window = Window(
                fitted.recommender, features, params, log, end, arguments.max_share, arguments.native
            )
            new = np.concatenate([one.came.indices for one in window.days["alone"]]) >= window.n_known
            print(
                f"seed {seed}, {'test' if final else 'validation'}: {len(window.days['alone'])} days, "
                f"{sum(len(one.users) for one in window.days['alone'])} lists, {new.mean():.1%} of what came "
                f"is new, {[len(one.found.codes) for one in window.days['alone']][::7]} new products; "
                f"tastes in {window.seconds:.1f} s",
                flush=True,
            )
            for arm in window.days:
                if not final:
                    grid = {"alone": (0.0,), "slot": SLOT_DAYS}.get(arm, LIFTS)
                    tried = {one: window.figures(arm, one) for one in grid}
                    choices[arm] = max(grid, key=lambda one, tried=tried: tried[one]["all N@10"].mean())
                    figures = tried[choices[arm]]
                else:
                    figures = window.figures(arm, choices[arm])
                    found.setdefault(arm, []).append(figures)
                shown = "  ".join(f"{name} {values.mean():.4f}" for name, values in figures.items())
                print(f"  {arm:12} {choices[arm]:4g}  {shown}", flush=True)
    if not found:
        return
    print(f"\n{arguments.candidate}, test, mean of {arguments.seeds} seeds")
    users = {
        arm: {name: pd.concat([one[name] for one in each], axis=1).mean(axis=1) for name in each[0]}
        for arm, each in found.items()
    }
    alone = users["alone"]
    for arm, figures in users.items():
        gain = figures["all N@10"].mean() / alone["all N@10"].mean() - 1
        shown = "  ".join(
            f"{name} {values.mean():.4f}"
            + (f" ± {np.std([one[name].mean() for one in found[arm]]):.4f}" if arguments.seeds > 1 else "")
            for name, values in figures.items()
        )
        print(f"  {arm:12} {shown}  ({gain:+.1%})")
    for metric in ("all N@10", "all N@20"):
        others = {arm: -figures[metric].to_numpy() for arm, figures in users.items() if arm != "alone"}
        for one in compare(-alone[metric].to_numpy(), others, 10_000, 0.95, 0):
            print(f"  {metric}: {one.name} − alone {one.difference:+.4f}, Holm p {one.p_holm:.4f}")
    print()
    flood(window, choices["capped"], np.random.default_rng(0))


if __name__ == "__main__":
    main()
