"""Is the difference more than luck: paired bootstrap over users, intervals, Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from recgan.core.errors import RecganError

_POWER = 0.8  # share of tests in which a detectable difference shows; customary (Cohen 1988)

_BLOCK_CELLS = 4_000_000  # resampled users held in memory at a time


@dataclass(frozen=True)
class Interval:
    """A mean over users and its bootstrap confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The challenger against one other recommender, user by user."""

    name: str
    """Of the other recommender."""
    mean_challenger: float
    mean_other: float
    difference: float
    """Challenger minus other."""
    low: float
    high: float
    """Confidence interval of the difference."""
    p_value: float
    """Two-sided: small when either of the two is better; look at `difference` for which."""
    p_holm: float
    """The same after Holm over all comparisons made together."""
    detectable: float
    """The smallest true difference that this many users would show in four of five such tests."""


@dataclass(frozen=True)
class NonInferiority:
    """The challenger against another recommender, of whose mean it may lose a share."""

    comparison: Comparison
    """Of the two alone, so p_holm is p_value: which of them is better."""
    margin: float
    """The most that the mean may lose: the share of `mean_other`."""
    p_value: float
    """One-sided: small when the loss is below the margin."""
    detectable_margin: float
    """The smallest margin with which an equally good challenger passes in four of five such tests."""


def resampled_means(values: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Draw users with replacement and average each column over every such sample.

    All columns see the same draws, so differences between columns are paired (Efron & Tibshirani 1993).

    Args:
        values: (users, columns), one row a user.
        samples: number of bootstrap samples.
        seed: of the draws.

    Returns:
        (samples, columns).

    Raises:
        RecganError: there is no user.
    """
    n_users, n_columns = values.shape
    if n_users == 0:
        raise RecganError("no user to resample: nothing is held out in the test window; lengthen it")
    rng = np.random.default_rng(seed)
    means = np.empty((samples, n_columns))
    block = max(1, _BLOCK_CELLS // n_users)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        draws = rng.integers(0, n_users, size=(size, n_users))
        draws += np.arange(size)[:, None] * n_users
        times_drawn = np.bincount(draws.ravel(), minlength=size * n_users).reshape(size, n_users)
        means[start : start + size] = times_drawn @ values / n_users
    return means


def intervals(values: NDArray[np.float64], samples: int, confidence: float, seed: int) -> list[Interval]:
    """Return the mean and percentile bootstrap interval of each column.

    Args:
        values: (users, columns).
        samples: number of bootstrap samples.
        confidence: 0.95 for a 95 % interval.
        seed: of the draws.
    """
    means = resampled_means(values, samples, seed)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return [
        Interval(mean=float(mean), low=float(low[column]), high=float(high[column]))
        for column, mean in enumerate(values.mean(axis=0))
    ]


def p_greater(differences: NDArray[np.float64]) -> float:
    """Return the one-sided p-value of "the mean difference is above 0".

    (1 + resampled means ≤ 0) / (1 + samples): the observed sample counts as one of the draws, so p is never 0
    (Davison & Hinkley 1997, §4.2). It inverts the percentile interval.

    Args:
        differences: (samples,) resampled means of the difference.
    """
    return float((1 + np.count_nonzero(differences <= 0)) / (1 + differences.size))


def p_two_sided(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of "the mean difference is not 0".

    Twice the smaller of the two one-sided values, at most 1.

    Args:
        differences: (samples,) resampled means of the difference.
    """
    return min(1.0, 2 * min(p_greater(differences), p_greater(-differences)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for testing several hypotheses at once (Holm 1979, step-down).

    The i-th smallest of m is multiplied by m - i + 1, kept monotone and at most 1; rejecting all adjusted
    values below alpha keeps the chance of any false rejection below alpha.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(
        1.0, np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors)
    )
    return [float(p) for p in adjusted]


def detectable_difference(differences: NDArray[np.float64], confidence: float) -> float:
    """Return the smallest true difference that a two-sided test finds with a power of 80 %.

    (z of (1 + confidence) / 2 + z of 0.8) · standard error: 2.8 standard errors at a confidence of 95 %,
    before Holm (the minimum detectable effect of Bloom 1995).

    Args:
        differences: (samples,) resampled means of the difference; their standard deviation is the error.
        confidence: 1 minus the level of the test.
    """
    return float(_detectable_errors(confidence) * differences.std())


def detectable_words(users: int, confidence: float) -> str:
    """Say what a detectable difference is, and by which formula."""
    return (
        f"Detectable: the smallest true difference that {users:,} users show in four of five such tests, "
        f"{_detectable_errors(confidence):.2f} bootstrap standard errors (two-sided at {1 - confidence:.2g}, "
        "before Holm). A smaller one may be there without being shown."
    )


def _detectable_errors(confidence: float, sides: int = 2) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - (1 - confidence) / sides) + normal.inv_cdf(_POWER)


def compare(
    challenger: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    samples: int,
    confidence: float,
    seed: int,
) -> list[Comparison]:
    """Compare a challenger with others by a paired bootstrap over users, Holm over the comparisons.

    Args:
        challenger: (users,) a metric of each user, such as NDCG.
        others: name → (users,) the same metric of the same users.
        samples: number of bootstrap samples.
        confidence: of the interval of the difference.
        seed: of the draws.

    Returns:
        One comparison for each of `others`, in their order.

    Raises:
        RecganError: there is no user.
    """
    if not others:
        return []
    differences = challenger[:, None] - np.stack(list(others.values()), axis=1)  # (users, others)
    means = resampled_means(differences, samples, seed)  # (samples, others)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    p_values = [p_two_sided(means[:, column]) for column in range(len(others))]
    return [
        Comparison(
            name=name,
            mean_challenger=float(challenger.mean()),
            mean_other=float(other.mean()),
            difference=float(differences[:, column].mean()),
            low=float(low[column]),
            high=float(high[column]),
            p_value=p_values[column],
            p_holm=p_holm,
            detectable=detectable_difference(means[:, column], confidence),
        )
        for column, ((name, other), p_holm) in enumerate(zip(others.items(), holm(p_values), strict=True))
    ]


def non_inferiority(
    challenger: NDArray[np.float64],
    other: NDArray[np.float64],
    max_loss: float,
    samples: int,
    confidence: float,
    seed: int,
    name: str,
) -> NonInferiority:
    """Test that a challenger loses less than a share of another's mean, by a paired bootstrap over users.

    The hypothesis to reject is mean(challenger) ≤ (1 - max_loss) · mean(other). Of each user we resample
    challenger - (1 - max_loss) · other, so the margin is drawn with the users and not taken for known (the
    linear form of a ratio test; Laster & Johnson 2003).

    Args:
        challenger: (users,) a metric of each user, such as NDCG.
        other: (users,) the same metric of the same users.
        max_loss: share of the other's mean, above 0 and below 1.
        samples: number of bootstrap samples.
        confidence: of the interval of the difference.
        seed: of the draws.
        name: of the other.

    Raises:
        RecganError: there is no user.
    """
    (comparison,) = compare(challenger, {name: other}, samples, confidence, seed)
    kept = challenger - (1 - max_loss) * other
    means = resampled_means(kept[:, None], samples, seed)[:, 0]
    return NonInferiority(
        comparison=comparison,
        margin=max_loss * comparison.mean_other,
        p_value=p_greater(means),
        detectable_margin=float(_detectable_errors(confidence, sides=1) * means.std()),
    )
