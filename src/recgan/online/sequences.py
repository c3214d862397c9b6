"""Confidence sequences: intervals that hold at all times together, so that anybody may look at any time.

The unit is the shopper, since one shopper's answers are alike. What is estimated is a mean over answers, and
its standard error comes from sums over shoppers (a ratio's linearised, cluster-robust one).

The boundary is the normal mixture of Howard, Ramdas, McAuliffe, Sekhon: "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49(2), 2021, equation 14. As the variance is
estimated, it holds for many shoppers: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: "Time-uniform central
limit theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024.

It is drawn for sums with independent steps. A shopper who comes back makes later steps like earlier ones. A
Gaussian process whose values are more alike passes a boundary less often (Slepian's inequality), so this does
not make the sequence too narrow; benchmarks/experiments.py tries it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import lambertw

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over answers, or a difference of two, with what its confidence sequence needs."""

    value: float
    standard_error: float
    """0 where nothing varied: then there is no interval."""
    answers: float
    """Independent answers of each arm that would give this standard error."""


@dataclass(frozen=True)
class Interval:
    """One look at a confidence sequence."""

    low: float
    high: float


def difference(requests: Floats, events: Floats, challenger: NDArray[np.bool_]) -> Estimate:
    """Estimate how many more of the challenger's answers have an event than of the champion's.

    The standard error is the greater one of two: each arm by itself, and both as if they were equal. With
    rare events a small arm without any would else look certain.

    Args:
        requests: (shoppers,) answers of each.
        events: (shoppers,) those answers with an event.
        challenger: (shoppers,) whether the challenger answered.
    """
    arms = [(requests[who], events[who]) for who in (challenger, ~challenger)]
    if any(len(n) < 2 for n, _ in arms):
        return Estimate(0.0, 0.0, 0.0)
    rates = [float(y.sum() / n.sum()) for n, y in arms]
    rate = float(events.sum() / requests.sum())
    apart = sum(_variance(n, y - own * n) for (n, y), own in zip(arms, rates, strict=True))
    residuals = float(((events - rate * requests) ** 2).mean())
    equal = residuals * sum(len(n) / float(n.sum()) ** 2 for n, _ in arms)
    variance = max(apart, equal)
    return _estimate(rates[0] - rates[1], variance, 2 * rate * (1 - rate))


def preference(requests: Floats, wins: Floats, decided: Floats) -> Estimate:
    """Estimate by how much more often the challenger's items win in interleaved lists than the champion's.

    Args:
        requests: (shoppers,) answers of each.
        wins: (shoppers,) answers in which the challenger's items had more events, less those in which fewer.
        decided: (shoppers,) answers in which the two differ.
    """
    if len(requests) < 2:
        return Estimate(0.0, 0.0, 0.0)
    total = float(requests.sum())
    mean = float(wins.sum()) / total
    variance = max(_variance(requests, wins), _variance(requests, wins - mean * requests))
    return _estimate(mean, variance, float(decided.sum()) / total)


def interval(estimate: Estimate, alpha: float, narrowest_at: float) -> Interval | None:
    """Return one look at the confidence sequence; None where nothing varied.

    Args:
        estimate: at the time of the look.
        alpha: with this probability at most, any look ever misses the truth.
        narrowest_at: answers at which it is narrowest for its kind; fixed before the first look.
    """
    if estimate.standard_error == 0 or estimate.answers == 0:
        return None
    rho = narrowest_at / (-lambertw(-(alpha**2) / math.e, -1).real - 1)
    n = estimate.answers
    times = math.sqrt((n + rho) / n * math.log((n + rho) / (rho * alpha**2)))
    radius = times * estimate.standard_error
    return Interval(estimate.value - radius, estimate.value + radius)


def _variance(requests: Floats, residuals: Floats) -> float:
    """Return the variance of a mean over answers, from sums over shoppers."""
    many = len(requests)
    return many / (many - 1) * float((residuals**2).sum()) / float(requests.sum()) ** 2


def _estimate(value: float, variance: float, of_one: float) -> Estimate:
    """Return an estimate.

    Args:
        value: of it.
        variance: of it.
        of_one: its variance if each arm had one independent answer.
    """
    return Estimate(value, math.sqrt(variance), 0.0 if variance == 0 else of_one / variance)
