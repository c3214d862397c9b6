"""Lockstep: accounts that come to the same products at the same time, far above those products' own rates.

A window of a product holds n distinct accounts, where m are to be expected. The measure of such a crowd is
the Poisson log likelihood ratio of n against t·m, n ln(n / tm) - (n - tm), as in scan statistics (Kulldorff,
"A spatial scan statistic", 1997), divided by √n: so it grows with the ratio and, slowly, with the crowd. The
tolerance t is what products do by themselves. What is expected is counted by how much goes on in the whole
log, as epidemiology counts cases by the people there: on the day of a sale everybody comes. A product's own
rate is the higher one of two outside the window, of all its time and of the weeks around: products have
seasons. Each is drawn towards that of an ordinary product, as in DuMouchel, "Bayesian data mining in large
frequency tables" (1999). That fraud shows in time where profiles hide it: Beutel et al., "CopyCatch" (2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recgan.accounts.log import Log

_MS = 86_400_000
"""In a day. Whole milliseconds: a log of dates alone has many events exactly one window apart."""
_PRIOR_DAYS = 7.0
"""Days at the rate of an ordinary product that each rate is based on too: a product that was launched in the
log's last days has no other time, and one that nobody else came to has no rate."""
_AROUND_DAYS = 21.0
"""Before and after a window: its season."""
_TOLERANCE = 3.0
"""So many times the expected accounts are nothing yet: an advertisement, a cold week."""
_LAUNCH_TOLERANCE = 15.0
"""The same in the first week of a product that the log saw coming: a hit fades."""
_LAUNCH_DAYS = 7.0
_QUIET = 0.25
"""Of a window's length it counts as at least, however little goes on in the log then."""


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

    def renewed(self, later: "Lockstep", stay: NDArray[np.bool_], left: NDArray[np.bool_]) -> "Lockstep":
        """Take over what was found without some accounts.

        Args:
            later: of a log with fewer pairs.
            stay: (pairs,) those it had.
            left: (users,) whose they are.
        """
        places = np.flatnonzero(stay)
        pairs = {name: getattr(self, name).copy() for name in ("crowds", "head", "days", "accounts", "ratio")}
        for name, own in pairs.items():
            own[places] = places[later.head] if name == "head" else getattr(later, name)
        return replace(
            self,
            lock_max=np.where(left, later.lock_max, self.lock_max),
            lock_mean=np.where(left, later.lock_mean, self.lock_mean),
            **pairs,
        )


def lockstep(log: Log, windows_days: Sequence[float], least_accounts: int) -> Lockstep:
    """Measure the crowds that each account was part of.

    Args:
        log: with times.
        windows_days: lengths of the windows. A window opens at any pair's first event. One that takes more
            than half of the log leaves too little to compare with, and is left out.
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
    launched = first[begin]
    end, arrivals = max(log.end, 1.0), np.sort(log.first)

    def passed(since: NDArray[np.float64], until: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how many mean days go on between instants: as large a share of all first events."""
        between = np.searchsorted(arrivals, until) - np.searchsorted(arrivals, since)
        return np.asarray(np.maximum(between, 0) * (end / max(n_pairs, 1)))

    sold = int((np.diff(starts) > 0).sum())
    prior = _PRIOR_DAYS * n_pairs / max(sold, 1) / end
    active = passed(launched, np.full(n_pairs, np.inf))
    # One axis for all items, on which no window and no weeks around one reach into the next item.
    gap = np.ceil(log.end + max(windows_days) + _AROUND_DAYS + 1)
    axis = np.rint((first + item * gap) * _MS).astype(np.int64)
    around = round(_AROUND_DAYS * _MS)
    earlier = np.searchsorted(axis, axis - around)
    tolerance = np.where(
        (first - launched < _LAUNCH_DAYS) & (launched > _LAUNCH_DAYS), _LAUNCH_TOLERANCE, _TOLERANCE
    )
    place = np.arange(n_pairs)
    best = np.zeros(n_pairs)
    head, days = place.copy(), np.zeros(n_pairs)
    accounts, ratio = np.ones(n_pairs, np.int32), np.ones(n_pairs)
    for width in windows_days:
        if 2 * width > log.end:
            continue
        reach = round(width * _MS)
        inside = np.searchsorted(axis, axis + reach) - place  # accounts from each pair's first event on
        length = np.maximum(passed(first, first + width), _QUIET * width)
        near = np.searchsorted(axis, axis + reach + around) - earlier - inside
        season = passed(np.maximum(first - _AROUND_DAYS, launched), first + width + _AROUND_DAYS) - length
        rate = np.maximum(
            (size - inside + prior) / (np.maximum(active - length, 0) + _PRIOR_DAYS),
            (near + prior) / (np.maximum(season, 0) + _PRIOR_DAYS),
        )
        expected = rate * length
        least = tolerance * expected
        crowd = (inside >= least_accounts) & (inside > least)
        measure = np.where(crowd, (inside * np.log(inside / least) - (inside - least)) / np.sqrt(inside), 0.0)
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
