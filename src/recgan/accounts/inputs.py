"""What the learned detector knows of each account: its behaviour, and labelled accounts near to it.

No input holds an id, a place in the file, or how long before the log's end an account came. These tell how a
labelled set was made rather than what a fake account does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.accounts.lockstep import lockstep
from recgan.accounts.log import Log
from recgan.accounts.overlap import overlap
from recgan.accounts.profiles import mean_popularity, pca_varselect, sizes_of
from recgan.accounts.propagation import graph, signed
from recgan.data.settings import EVENT_KINDS

_PRIOR = 2.0
"""Labelled accounts whose mean share of fakes each node is given beforehand."""

Figures = dict[str, NDArray[np.float64]]
"""Name → (users,)."""


def figures(log: Log, windows_days: Sequence[float] = (1, 3, 7), least_accounts: int = 3) -> Figures:
    """Return the figures of the detectors that need no label, the higher the more suspect.

    They are raw: not yet compared with accounts of the same size.

    Args:
        log: the pairs.
        windows_days: of lockstep, as `least_accounts`.
        least_accounts: fewer are no crowd.
    """
    found = {
        "overlap": overlap(log).figure,
        "popularity": -np.log(mean_popularity(log)),
        "pca": -np.log(np.maximum(pca_varselect(log), 1e-12)),
    }
    if log.first is not None:
        step = lockstep(log, windows_days, least_accounts)
        found |= {"lock_max": step.lock_max, "lock_mean": step.lock_mean}
    return found


def behaviour(log: Log, known: Figures) -> NDArray[np.float64]:
    """Return (users, inputs) what an account does, without any label; NaN where it does not say.

    Args:
        log: the pairs.
        known: what `figures` returns.
    """
    sizes = sizes_of(log)
    events = np.bincount(log.user, log.events, len(sizes))
    columns = [*known.values(), sizes.astype(np.float64), events / np.maximum(sizes, 1)]
    for place in range(len(EVENT_KINDS)):
        columns.append(_mean(log, (log.kinds >> place & 1).astype(np.float64)))
    columns += _popularity(log, sizes)
    if np.isfinite(log.stars).any():
        columns += _ratings(log)
    if log.first is not None:
        columns += _times(log, log.first, sizes)
    return np.column_stack(columns)


def near_labels(log: Log, labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return what labelled accounts tell of the accounts that share their products.

    Args:
        log: the pairs.
        labels: (users, trials) 1 fake, 0 genuine, -1 unknown.

    Returns:
        (users, trials, inputs) the signed propagation; and mean and largest of the shares of fakes among the
        labelled accounts of an account's nodes. Its own label is in its own inputs: give labels without those
        of the accounts that are learned from or judged.
    """
    matrix = graph(log)
    back = csr_array(matrix.T)
    fake, genuine = (back @ (labels == label).astype(np.float64) for label in (1, 0))
    n_fake, n_genuine = ((labels == label).sum() for label in (1, 0))
    prior = n_fake / max(n_fake + n_genuine, 1)  # of all trials: one for each would tell how many are hidden
    share = (fake + _PRIOR * prior) / (fake + genuine + _PRIOR)  # (nodes, trials)
    sizes = sizes_of(log)
    there = np.flatnonzero(sizes)
    starts = _starts(sizes)[there]
    largest = np.zeros(labels.shape)
    for trial in range(labels.shape[1]):  # one at a time: (pairs, trials) would be large
        largest[there, trial] = np.maximum.reduceat(share[matrix.indices, trial], starts)
    mean = matrix @ share / np.maximum(sizes, 1)[:, None]
    return np.stack([signed(matrix, labels), mean, largest], axis=-1)


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each account's pairs begin: the log is sorted by account."""
    return np.cumsum(sizes) - sizes


def _mean(log: Log, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of what is known of an account's pairs."""
    n_users = len(log.user_ids)
    there = np.isfinite(values)
    count = np.bincount(log.user[there], minlength=n_users)
    sums = np.bincount(log.user[there], values[there], n_users)
    return np.asarray(np.divide(sums, count, out=np.full(n_users, np.nan), where=count > 0))


def _spread(log: Log, values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = _mean(log, values)
    return np.asarray(np.sqrt(_mean(log, (values - mean[log.user]) ** 2)))


def _popularity(log: Log, sizes: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Return spread, least and most popularity of an account's products, and the share of rare ones."""
    popularity = np.log(np.bincount(log.item, minlength=len(log.item_ids))[log.item])
    order = np.lexsort((popularity, log.user))
    there = np.flatnonzero(sizes)
    starts = _starts(sizes)[there]
    columns = [_spread(log, popularity), _mean(log, (popularity < np.log(5)).astype(np.float64))]
    for place in (starts, starts + sizes[there] // 2, starts + sizes[there] - 1):
        column = np.full(len(sizes), np.nan)
        column[there] = popularity[order][place]
        columns.append(column)
    return columns


def _ratings(log: Log) -> list[NDArray[np.float64]]:
    """Return mean and spread of the stars, the shares of the lowest and highest, and their deviations.

    Deviations are from the mean of the product's ratings: absolute, and over the number of its ratings and
    the square of that (RDMA, WDMA: Chirita, Nejdl and Zamfir, WIDM 2005; Burke et al., KDD 2006).
    """
    stars = log.stars.astype(np.float64)
    there = np.isfinite(stars)
    n_items = len(log.item_ids)
    count = np.maximum(np.bincount(log.item[there], minlength=n_items), 1)
    mean = np.bincount(log.item[there], stars[there], n_items) / count
    apart, number = np.abs(stars - mean[log.item]), count[log.item]
    extremes = [np.where(there, stars == edge, np.nan) for edge in (stars[there].min(), stars[there].max())]
    deviations = [_mean(log, one) for one in (apart, apart / number, apart / number**2)]
    return [_mean(log, stars), _spread(log, stars), *(_mean(log, one) for one in extremes), *deviations]


def _times(log: Log, first: NDArray[np.float64], sizes: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Return days between first and last product, products a day, days with a new one, the busiest's share.

    Each is of the first events of an account's pairs.
    """
    n_users = len(sizes)
    earliest, latest = np.full(n_users, np.inf), np.full(n_users, -np.inf)
    np.minimum.at(earliest, log.user, first)
    np.maximum.at(latest, log.user, first)
    span = np.where(sizes > 0, latest - earliest, np.nan)
    day = log.user.astype(np.int64) * 2**32 + np.floor(first).astype(np.int64)
    days, count = np.unique(day, return_counts=True)
    active = np.bincount(days // 2**32, minlength=n_users)
    busiest = np.zeros(n_users)
    np.maximum.at(busiest, days // 2**32, count)
    total = np.maximum(sizes, 1)
    return [span, sizes / (span + 1), active / total, busiest / total]
