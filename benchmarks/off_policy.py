"""What off-policy estimates are worth: against the truth of a shop of our own, and on a published log.

    python benchmarks/off_policy.py [--logs 50] [--obd FOLDER]

The shop: shoppers with tastes and products with traits, of which a recommender knows the first ones well. A
place is looked at the less the lower it is. An item that is looked at is viewed with a probability by taste
and quality. In the cascade a view may end the looking, so an event depends on the items above it.

FOLDER has random.csv and bts.csv of the Open Bandit Dataset (Saito et al. 2021): one shop's answers by a
uniform draw and by Bernoulli Thompson sampling. Each one's clicks are estimated from the other's log.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recgan.evaluation.exploration_settings import OffPolicyParams
from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.significance import intervals
from recgan.online import plackett_luce
from recgan.online.estimators import ESTIMATORS, Sums, effective, judge
from recgan.online.judging import Judged, Seen, judge_all
from recgan.online.plackett_luce import Floats
from recgan.online.policies import FORMS, Items, Logged, Target
from recgan.online.reward_model import FOLDS, ItemRates
from recgan.settings import load_params

USERS, ITEMS, K, TRAITS = 1_000, 40, 5, 8
LOOKED_AT = 1 / np.arange(1, K + 1) ** 0.7
"""The probability that a place is looked at."""
ENDS = 0.8  # the probability that a view ends the looking, in the cascade
BOUGHT = 0.08  # of the views
TEMPERATURE = 0.7


@dataclass(frozen=True)
class Shop:
    """Shoppers and products."""

    appeal: Floats
    """(users, items) the probability of a view of what is looked at."""
    tastes: Floats
    traits: Floats
    quality: Floats

    def scores(self, known: int, noise: float, seed: int) -> Floats:
        """Return the scores of a recommender that knows some of the traits, and those with noise."""
        rng = np.random.default_rng(seed)
        tastes = self.tastes[:, :known] + rng.normal(0, noise, (USERS, known))
        return self.quality + tastes @ self.traits[:, :known].T

    def views(self, users: Items, lists: Items, cascade: bool) -> Floats:
        """Return the probability of a view of each place (…, places), were all above it not viewed."""
        return np.take_along_axis(self.appeal[users], lists, axis=1) * (1 if cascade else LOOKED_AT)

    def seen(self, users: Items, lists: Items, cascade: bool, rng: np.random.Generator) -> Floats:
        """Draw the views of lists (answers, places)."""
        views = (rng.random(lists.shape) < self.views(users, lists, cascade)).astype(float)
        if cascade:
            ended = np.cumsum(views * (rng.random(lists.shape) < ENDS), axis=1)
            views[:, 1:] *= ended[:, :-1] == 0
        return views

    def value(self, lists: Items, cascade: bool) -> float:
        """Return the expected views of an answer, of each shopper's lists (users, draws, places)."""
        flat = lists.transpose(1, 0, 2)
        return float(np.mean([self._value(one, cascade) for one in flat]))

    def _value(self, lists: Items, cascade: bool) -> float:
        views = self.views(np.arange(USERS), lists, cascade)
        if cascade:
            goes_on = np.cumprod(1 - ENDS * views, axis=1)
            views[:, 1:] *= goes_on[:, :-1]
        return float(views.sum(axis=1).mean())


def make_shop(seed: int) -> Shop:
    rng = np.random.default_rng(seed)
    tastes, traits = rng.normal(0, 1, (USERS, TRAITS)), rng.normal(0, 0.5, (ITEMS, TRAITS))
    quality = rng.normal(0, 0.7, ITEMS)
    appeal = 1 / (1 + np.exp(2.6 - quality - tastes @ traits.T))
    return Shop(appeal, tastes, traits, quality)


def best(scores: Floats, n: int) -> Items:
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]


def policy(scores: Floats, drawn: bool, candidates: int, draws: int, seed: int) -> Target:
    """Return a recommender's best lists, or those that it draws."""
    if not drawn:
        return Target(best(scores, K)[:, None])
    among = best(scores, candidates)
    logs = plackett_luce.log_weights(np.take_along_axis(scores, among, axis=1), TEMPERATURE)
    return Target.drawn(among, logs, np.full(USERS, K), draws, seed)


def of_users(target: Target, users: Items) -> Target:
    """Return a policy for requests of shoppers."""
    if target.candidates is None or target.log_weights is None:
        return Target(target.lists[users])
    return Target(target.lists[users, :16], target.candidates[users], target.log_weights[users])


def simulate(
    shop: Shop, scores: Floats, answers: int, candidates: int, cascade: bool, seed: int
) -> tuple[Seen, Items]:
    """Log drawn answers of a recommender, and five times as many of its best lists."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, USERS, answers)
    among = best(scores, candidates)
    logs = plackett_luce.log_weights(np.take_along_axis(scores, among, axis=1), TEMPERATURE)
    places, chances = plackett_luce.draw(logs[users], K, rng)
    shown = np.take_along_axis(among[users], places, axis=1)
    views = shop.seen(users, shown, cascade, rng)
    others = rng.integers(0, USERS, 5 * answers)
    compared = shop.seen(others, among[others, :K], cascade, rng)
    return (
        Seen(
            Logged(shown, chances, among[users], logs[users]),
            users,
            {"view": views, "purchase": views * (rng.random(views.shape) < BOUGHT)},
            others,
            {
                "view": compared.sum(axis=1),
                "purchase": (compared * (rng.random(compared.shape) < BOUGHT)).sum(axis=1),
            },
            ITEMS,
        ),
        users,
    )


@dataclass(frozen=True)
class Case:
    """A log of one recommender and the policy of another one."""

    name: str
    answers: int
    candidates: int
    cascade: bool
    drawn: bool
    known: int
    """Traits that the other recommender knows; the logged one knows 4."""


CASES = (
    Case("best lists of a better one", 4_000, ITEMS, False, False, 8),
    Case("its drawn lists", 2_000, ITEMS, False, True, 8),
    Case("best lists of a worse one", 4_000, ITEMS, False, False, 0),
    Case("ten times fewer answers", 400, ITEMS, False, False, 8),
    Case("drawn from the best 10 alone", 4_000, 10, False, False, 8),
    Case("cascade, best lists of a better one", 4_000, ITEMS, True, False, 8),
    Case("cascade, its drawn lists", 2_000, ITEMS, True, True, 8),
)


def judged(case: Case, logs: int, limits: OffPolicyParams, evaluate: EvaluateParams) -> Iterator[str]:
    """Yield lines of a table."""
    shop = make_shop(0)
    logging, other = shop.scores(4, 0.5, 1), shop.scores(case.known, 0.3, 2)
    target = policy(other, case.drawn, case.candidates, 300, 3)
    truth = shop.value(target.lists, case.cascade)
    compared = policy(logging, case.drawn, case.candidates, 300, 3)
    base = shop.value(compared.lists, case.cascade)
    found: dict[str, list[Judged]] = {"view": [], "purchase": []}
    for seed in range(logs):
        seen, users = simulate(shop, logging, case.answers, case.candidates, case.cascade, seed)
        for one in judge_all(of_users(target, users), seen, limits, evaluate):
            found[one.kind].append(one)
    yield f"\n{case.name}: truth {truth:.4f}, compared with {base:.4f}, {case.answers:,} drawn answers"
    for kind, rate in (("view", 1.0), ("purchase", BOUGHT)):
        said = pd.Series([one.verdict for one in found[kind]]).value_counts().to_dict()
        yield f"  {kind}: verdicts {said}"
        for form in FORMS:
            size = np.mean([one.effective[form].answers for one in found[kind]])
            events = np.mean([one.effective[form].events for one in found[kind]])
            for estimator in ESTIMATORS:
                some = [
                    next(one for one in each.estimates if (one.form, one.estimator) == (form, estimator))
                    for each in found[kind]
                ]
                values = np.array([one.value for one in some])
                inside = np.mean([one.low <= rate * truth <= one.high for one in some])
                better = np.mean(
                    [one.difference_low <= rate * (truth - base) <= one.difference_high for one in some]
                )
                width = np.mean([one.high - one.low for one in some])
                yield (
                    f"    {form} {estimator}: bias {values.mean() - rate * truth:+.4f} "
                    f"(±{values.std() / np.sqrt(logs):.4f}), RMSE "
                    f"{np.sqrt(np.mean((values - rate * truth) ** 2)):.4f}, width {width:.4f}, coverage "
                    f"{inside:.2f}, of the difference {better:.2f}, effective answers {size:.0f}, "
                    f"events {events:.0f}"
                )


OBD_ITEMS, OBD_PLACES = 34, 3


def read_obd(path: Path) -> tuple[Items, Floats, Floats]:
    """Return item (impressions, places; -1 but at its place), clicks of that shape, and propensities."""
    log = pd.read_csv(path)
    row, place = np.arange(len(log)), log["position"].to_numpy() - 1
    shown = np.full((len(log), OBD_PLACES), -1, dtype=np.int64)
    clicks = np.zeros(shown.shape)
    shown[row, place], clicks[row, place] = log["item_id"], log["click"]
    return shown, clicks, log["propensity_score"].to_numpy()


def shares(shown: Items) -> Floats:
    """Return how often each place showed each item, (items, places).

    The policy changes with time, and the log has the probability of what was shown alone. A mean of those
    would be too high: an item is shown more often while it is likelier. Shares of impressions are right.
    """
    often = [np.bincount(column[column >= 0], minlength=OBD_ITEMS) for column in shown.T]
    return np.stack([one / one.sum() for one in often], axis=1)


def obd(folder: Path) -> Iterator[str]:
    """Yield lines: each policy's clicks from the other's log, beside its own log's mean."""
    logs = {name: read_obd(folder / f"{name}.csv") for name in ("random", "bts")}
    uniform = np.full((OBD_ITEMS, OBD_PLACES), 1 / OBD_ITEMS)
    for name, other, chances in (("bts", "random", shares(logs["bts"][0])), ("random", "bts", uniform)):
        own = intervals(logs[name][1].sum(axis=1)[:, None], 10_000, 0.95, 0)[0]
        shown, clicks, propensity = logs[other]
        there, row = shown >= 0, np.arange(len(shown))
        mine = np.take_along_axis(chances, np.maximum(shown, 0), axis=0) * there
        weights = mine / propensity[:, None]
        of_shown, of_target = np.zeros(shown.shape), np.zeros(shown.shape)
        for fold in range(FOLDS):
            held = row % FOLDS == fold
            rates = ItemRates.fit(shown[~held], clicks[~held], OBD_ITEMS)
            of_shown[held] = rates.of(shown[held])
            of_target[held] = (chances * np.outer(rates.items, rates.places)).sum(axis=0) * there[held]
        sums = Sums.of(weights, clicks, there.astype(float), of_shown, of_target, row, len(row))
        size = effective(weights, clicks, 1.0)
        yield (
            f"{name}: own log {1000 * own.mean:.2f} clicks of 1,000 ({1000 * own.low:.2f} to "
            f"{1000 * own.high:.2f}); from the log of {other}, effective impressions {size.answers:.0f}, "
            f"clicks {size.events:.1f}:"
        )
        for one in judge({"independent": sums}, np.ones((len(row), 2)), 10_000, 0.95, 0):
            value, low, high = (1000 * each for each in (one.value, one.low, one.high))
            yield f"    {one.estimator} {value:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--logs", type=int, default=50)
    parser.add_argument("--obd", type=Path)
    parser.add_argument("--cases", type=int, nargs="*")
    options = parser.parse_args()
    params = load_params()
    if options.obd is not None:
        print("\n".join(obd(options.obd)))
    evaluate = params.evaluate.model_copy(update={"bootstrap_samples": 1_000})
    for number, case in enumerate(CASES):
        if options.cases is not None and number not in options.cases:
            continue
        began = time.process_time()
        print("\n".join(judged(case, options.logs, params.off_policy, evaluate)))
        print(f"  {time.process_time() - began:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
