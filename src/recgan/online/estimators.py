"""A policy's value from what was drawn by another one: estimates with intervals, and when there are none.

Names as in the Open Bandit Pipeline (Saito et al. 2021). The value is events for each answer. All are means
over answers that were drawn with known chances; none is right where the policy's items could not be drawn.

- ips: each event counts as often as the policy would have brought it about. Unbiased.
- snips: the same, each place over the sum of its weights. A little biased, of less variance.
- dr: what a model expects of the policy's lists, and what came beyond the model, counted as in ips. Unbiased
  whatever the model is, and of less variance where it is good (Dudík et al. 2014).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recgan.evaluation.significance import resampled_means
from recgan.online.plackett_luce import Floats
from recgan.online.policies import Form, Items

Estimator = Literal["ips", "snips", "dr"]
ESTIMATORS: tuple[Estimator, ...] = ("ips", "snips", "dr")


@dataclass(frozen=True)
class Estimate:
    """A policy's value."""

    form: Form
    estimator: Estimator
    value: float
    low: float
    high: float
    difference: float
    """From the answers that it is compared with."""
    difference_low: float
    difference_high: float


@dataclass(frozen=True)
class Effective:
    """How many answers of the policy itself would say as much (Kish 1965)."""

    answers: float
    """Harmonic mean over places."""
    events: float


def effective(weights: Floats, events: Floats, places: float) -> Effective:
    """Return effective answers and events.

    Args:
        weights: (answers, places)
        events: (answers, places)
        places: mean length of the policy's lists.
    """
    worth = (weights * events).sum(axis=1)
    return Effective(_kish(weights) / places if places else 0.0, _kish(worth))


def _kish(weights: Floats) -> float:
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True)
class Sums:
    """What the estimates are functions of, summed over each shopper's answers; (shoppers, columns)."""

    columns: Floats
    places: int

    @classmethod
    def of(
        cls,
        weights: Floats,
        events: Floats,
        wanted: Floats,
        of_shown: Floats,
        of_target: Floats,
        shopper: Items,
        n_shoppers: int,
    ) -> "Sums":
        """Sum up one form and kind of event.

        Args:
            weights: (answers, places), as the rest.
            events: what came.
            wanted: where the policy's lists have a place.
            of_shown: what a model expects of what was shown.
            of_target: and of the policy's lists.
            shopper: (answers,)
            n_shoppers: those of the answers to compare with too.
        """
        beyond = (of_target + weights * (events - of_shown)).sum(axis=1, keepdims=True)
        parts = [np.ones((len(shopper), 1)), beyond, wanted, weights, weights * events]
        each = np.hstack(parts)
        columns = np.zeros((n_shoppers, each.shape[1]))
        np.add.at(columns, shopper, each)
        return cls(columns, weights.shape[1])

    def estimates(self, means: Floats) -> dict[Estimator, Floats]:
        """Return the value by each estimator, (…,), of means (…, columns) over shoppers."""
        answers, beyond = means[..., 0], means[..., 1]
        wanted, weights, worth = np.split(means[..., 2:], 3, axis=-1)
        normed = np.divide(worth, weights, out=np.zeros_like(worth), where=weights > 0)
        return {
            "ips": _over(worth.sum(axis=-1), answers),
            "snips": _over((wanted * normed).sum(axis=-1), answers),
            "dr": _over(beyond, answers),
        }


def _over(sums: Floats, answers: Floats) -> Floats:
    # A sample without any answer says nothing: its value is left out of the interval.
    found: Floats = np.divide(sums, answers, out=np.full_like(sums, np.nan), where=answers > 0)
    return found


def _interval(draws: Floats, ends: list[float]) -> tuple[float, float]:
    told = draws[~np.isnan(draws)]
    low, high = np.quantile(told, ends) if len(told) else (np.nan, np.nan)
    return float(low), float(high)


def judge(
    forms: dict[Form, Sums], compared: Floats, samples: int, confidence: float, seed: int
) -> list[Estimate]:
    """Return each form's estimates with percentile bootstrap intervals, shoppers drawn with replacement.

    Args:
        forms: with the same shoppers.
        compared: (shoppers, 2) how many answers each had of those to compare with, and events of them.
        samples: number of bootstrap samples.
        confidence: 0.95 for a 95 % interval.
        seed: of the draws.

    Raises:
        RecganError: there is no shopper.
    """
    together = np.hstack([compared, *(one.columns for one in forms.values())])
    both = [together.mean(axis=0)[None], resampled_means(together, samples, seed)]
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    found, start = [], 2
    for form, sums in forms.items():
        part = slice(start, start := start + sums.columns.shape[1])
        point, draws = (sums.estimates(means[:, part]) for means in both)
        base = [_over(means[:, 1], means[:, 0]) for means in both]
        for estimator in ESTIMATORS:
            low, high = _interval(draws[estimator], ends)
            less, more = _interval(draws[estimator] - base[1], ends)
            value = float(point[estimator][0])
            beyond = value - float(base[0][0])
            found.append(Estimate(form, estimator, value, low, high, beyond, less, more))
    return found
