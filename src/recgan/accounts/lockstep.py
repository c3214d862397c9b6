"""Lockstep: accounts that come to the same products at the same time, far above those products' own rates.

A window of a product holds n distinct accounts, where its rate elsewhere lets m be expected. That rate is
drawn towards the one of an ordinary product, as in DuMouchel, "Bayesian data mining in large frequency
tables" (1999). The measure of such a crowd is the Poisson log likelihood ratio n ln(n / m) - (n - m), as in
scan statistics (Kulldorff, "A spatial scan statistic", 1997), divided by √n: so it grows with the ratio and,
slowly, with the crowd. That fraud shows in time where profiles hide it: Beutel et al., "CopyCatch" (2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recgan.accounts.log import Log

_MS = 86_400_000
"""In a day. Whole milliseconds: a log of dates alone has many events exactly one window apart."""
_PRIOR_DAYS = 7.0
"""Days at the rate of an ordinary product that each rate elsewhere is based on too: a product that was
launched in the log's last days has no elsewhere, and one that nobody else came to has no rate."""


@dataclass(frozen=True)
class Lockstep:
    """How far each account acts in crowds."""

    lock_max: NDArray[np.float64]
    """(users,) measure of the largest crowd that the account was part of; 0 without one."""
    lock_mean: NDArray[np.float64]
    """(users,) mean over all items of the account."""
    crowds: NDArray[np.float64]
    """(pairs,) measure of the largest crowd at the pair's first event, in the order of the log."""
    head: NDArray[np.int64]
    """(pairs,) the pair whose first event opens that crowd's window; its own without a crowd."""
    days: NDArray[np.float64]
    """(pairs,) length of that window; 0 without a crowd."""
    accounts: NDArray[np.int32]
    """(pairs,) accounts in it."""
    ratio: NDArray[np.float64]
    """(pairs,) by how much they exceed what was to be expected."""


def lockstep(log: Log, windows_days: Sequence[float], least_accounts: int) -> Lockstep:
    """Measure the crowds that each account was part of.

    Args:
        log: with times.
        windows_days: lengths of the windows. A window opens at any pair's first event.
        least_accounts: fewer in a window are no crowd.

    Raises:
        ValueError: the log has no times.
    """
    if log.first is None:
        raise ValueError("lockstep needs times")
    n_pairs, n_users = len(log.user), len(log.user_ids)
    order = np.lexsort((log.first, log.item))
    item, first = log.item[order], log.first[order]
    starts = np.searchsorted(item, np.arange(len(log.item_ids) + 1))
    begin, size = starts[item], np.diff(starts)[item]
    active = np.maximum(log.end - first[begin], 1.0)  # days since it was first sold
    ordinary = n_pairs / max(len(log.item_ids), 1) / max(log.end, 1.0)  # accounts of a product and day
    # One axis for all items, on which no window reaches into the next one.
    axis = np.rint((first + item * np.ceil(log.end + max(windows_days) + 1)) * _MS).astype(np.int64)
    place = np.arange(n_pairs)
    best = np.zeros(n_pairs)
    head, days = place.copy(), np.zeros(n_pairs)
    accounts, ratio = np.ones(n_pairs, np.int32), np.ones(n_pairs)
    for width in windows_days:
        reach = round(width * _MS)
        inside = np.searchsorted(axis, axis + reach) - place  # accounts from each pair's first event on
        elsewhere = (size - inside + _PRIOR_DAYS * ordinary) / (np.maximum(active - width, 0) + _PRIOR_DAYS)
        expected = elsewhere * width
        measure = np.where(
            (inside >= least_accounts) & (inside > expected),
            (inside * np.log(inside / expected) - (inside - expected)) / np.sqrt(inside),
            0.0,
        )
        opening = np.searchsorted(axis, axis - reach, side="right")  # the earliest window that holds the pair
        top = _argmax_between(measure, opening, place)
        better = measure[top] > best
        best = np.where(better, measure[top], best)
        head, days = np.where(better, top, head), np.where(better, width, days)
        accounts = np.where(better, inside[top], accounts).astype(np.int32)
        ratio = np.where(better, inside[top] / expected[top], ratio)
    back = np.empty(n_pairs, dtype=np.int64)
    back[order] = place
    crowds = best[back]
    count = np.maximum(np.bincount(log.user, minlength=n_users), 1)
    largest = np.zeros(n_users)
    np.maximum.at(largest, log.user, crowds)
    return Lockstep(
        largest,
        np.bincount(log.user, crowds, n_users) / count,
        crowds,
        order[head[back]],
        days[back],
        accounts[back],
        ratio[back],
    )


def _argmax_between(
    values: NDArray[np.float64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the place of the largest value in each closed range [low, high].

    Of each power of two one level is held: the largest of so many values from each place on.
    """
    top = np.arange(len(values))
    found = top.copy()
    level = np.frexp(high - low + 1)[1] - 1  # of the largest power of two that the range holds
    for power in range(int(level.max(initial=0)) + 1):
        asked = np.flatnonzero(level == power)
        left, right = top[low[asked]], top[high[asked] - 2**power + 1]
        found[asked] = np.where(values[left] >= values[right], left, right)
        later = top[np.minimum(np.arange(len(values)) + 2**power, len(values) - 1)]
        top = np.where(values[top] >= values[later], top, later)
    return found
