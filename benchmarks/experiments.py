"""How often experiments find a winner where there is none, and how soon they find one where there is.

    python benchmarks/experiments.py

Shoppers come with rates of their own, come back, and click with chances of their own. Each list of ten is
ranked out of thirty products by what the shopper would like and the noise of a version. A place is looked at
less often the lower it is. Every day somebody looks at each experiment, for thirty days, as the second gate
does. Results: docs/experiments/online.md.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recgan.online.sequences import difference, interval, preference
from recgan.settings import load_params

PARAMS = load_params(Path(__file__).resolve().parent.parent / "params.yaml").experiment
DAYS, K, PRODUCTS = 30, 10, 30
LOOKED_AT = 1 / np.log2(np.arange(K) + 2)
CLICKS, PURCHASES = 0.06, 0.1  # of what is looked at; of clicks


@dataclass
class Answers:
    """All answers of an experiment, in no order."""

    day: np.ndarray
    shopper: np.ndarray
    challenger: np.ndarray  # or, interleaved, who meets both
    likes: np.ndarray
    """How readily the shopper clicks."""


def answers(rng, shoppers, share):
    activity = 0.3 * rng.gamma(0.7, 1 / 0.7, shoppers)  # a few come daily, most seldom
    visits = rng.poisson(activity[:, None], (shoppers, DAYS))
    shopper, day = np.nonzero(visits)
    many = visits[shopper, day]
    shopper, day = np.repeat(shopper, many), np.repeat(day, many)
    likes = rng.gamma(4, 1 / 4, shoppers)
    return Answers(day, shopper, (rng.random(shoppers) < share)[shopper], likes[shopper])


def clicks(rng, found, wanted, order):
    """Which places of lists (answers, K) are clicked."""
    liking = np.exp(0.8 * np.take_along_axis(wanted, order, 1))
    return rng.random(order.shape) < np.minimum(1, CLICKS * LOOKED_AT * liking * found.likes[:, None])


def best(scores):
    return np.argsort(-scores, 1)[:, :K]


def drafted(rng, one, other):
    """Lists by team draft of two versions' scores, and which places are the other's (the challenger's)."""
    scores = np.stack([one, other])
    rows, first = np.arange(len(one)), rng.random((K // 2, len(one))) < 0.5
    order, theirs = np.empty((len(one), K), int), np.empty((len(one), K), bool)
    for place in range(K):
        team = first[place // 2] ^ (place % 2 == 1)
        order[:, place] = scores[team.astype(int), rows].argmax(1)
        theirs[:, place] = team
        scores[:, rows, order[:, place]] = -np.inf
    return order, theirs


def by_shopper(found, values, until):
    """Sum columns of the answers before a day over shoppers; who had none is left out."""
    known = found.day < until
    size = found.shopper.max() + 1
    count = np.bincount(found.shopper[known], minlength=size).astype(float)
    sums = [np.bincount(found.shopper[known], value[known].astype(float), size) for value in values]
    met = np.zeros(size, bool)
    met[found.shopper] = found.challenger
    there = count > 0
    return count[there], [column[there] for column in sums], met[there]


def looked_at(found, metric, split):
    """Look on each day; return 1, 0 or -1, the answers that met the challenger until then, the estimate."""
    estimate = None
    for until in range(1, DAYS + 1):
        count, sums, met = by_shopper(found, metric, until)
        if met.sum() < PARAMS.min_shoppers:
            continue
        if split:
            estimate = difference(count, sums[0], met)
        else:
            estimate = preference(count[met], sums[0][met], sums[1][met])
        within = interval(estimate, PARAMS.alpha, PARAMS.narrowest_at)
        if within is not None and (within.low > 0 or within.high < 0):
            return (1 if within.low > 0 else -1), int(count[met].sum()), estimate
    return 0, int((found.challenger).sum()), estimate


def experiment(seed, design, shoppers, share, noise, same=False):
    """One experiment; noise of champion and challenger; `same` gives both the very same scores."""
    rng = np.random.default_rng(seed)
    found = answers(rng, shoppers, share)
    if design == "interleave":  # the others do not count
        met = found.challenger
        found = Answers(found.day[met], found.shopper[met], met[met], found.likes[met])
    wanted = rng.normal(size=(len(found.day), PRODUCTS)).astype(np.float32)
    scores = [wanted + level * rng.normal(size=wanted.shape).astype(np.float32) for level in noise]
    if same:
        scores[1] = scores[0]
    if design == "split":
        shown = np.where(found.challenger[:, None], best(scores[1]), best(scores[0]))
        clicked = clicks(rng, found, wanted, shown)
        bought = clicked & (rng.random(clicked.shape) < PURCHASES)
        columns = {"click": [clicked.any(1)], "purchase": [bought.any(1)]}
    else:
        order, theirs = drafted(rng, *scores)
        clicked = clicks(rng, found, wanted, order)
        bought = clicked & (rng.random(clicked.shape) < PURCHASES)
        columns = {}
        for name, events in (("click", clicked), ("purchase", bought)):
            won = np.sign((events & theirs).sum(1) - (events & ~theirs).sum(1))
            columns[name] = [won, np.abs(won)]
    return {name: looked_at(found, columns[name], design == "split") for name in columns}


def table(name, seeds, **setting):
    began = time.process_time()
    found = [experiment(seed, **setting) for seed in seeds]
    for metric in found[0]:
        outcome = np.array([one[metric][0] for one in found])
        met = np.array([one[metric][1] for one in found])
        last = [one[metric][2] for one in found if one[metric][2] is not None]
        line = {
            "what": name,
            "design": setting["design"],
            "share": setting["share"],
            "metric": metric,
            "experiments": len(found),
            "better": int((outcome == 1).sum()),
            "worse": int((outcome == -1).sum()),
            "undecided": int((outcome == 0).sum()),
            "answers of the challenger until decided, median": (
                int(np.median(met[outcome != 0])) if (outcome != 0).any() else None
            ),
            "most": int(met[outcome != 0].max()) if (outcome != 0).any() else None,
            "mean estimate": round(float(np.mean([one.value for one in last])), 4),
        }
        print(json.dumps(line), flush=True)
    print(f"# {time.process_time() - began:.1f} CPU s", flush=True)


def main():
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    nulls, powers = range(many), range(1000, 1000 + many // 8)
    for share in (0.1, 0.5):
        table("A/A", nulls, design="split", shoppers=2000, share=share, noise=(1, 1), same=True)
        table("A/A", nulls, design="interleave", shoppers=2000, share=share, noise=(1, 1), same=True)
        table("as good", nulls, design="interleave", shoppers=2000, share=share, noise=(1, 1))
    for name, noise in (("better", (1.5, 1.0)), ("much better", (2.5, 1.0)), ("at random", (1.0, 100.0))):
        for design in ("split", "interleave"):
            table(name, powers, design=design, shoppers=8000, share=0.1, noise=noise)


if __name__ == "__main__":
    main()
