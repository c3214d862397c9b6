"""Propagation: what some labels tell of other accounts, along the products that they share."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from recgan.accounts.log import Log

_KEPT, _STEPS = 0.5, 10
"""Share of an account's mass that comes from its neighbours, and how often it is passed on."""


def graph(log: Log) -> csr_array:
    """Return (users, nodes) 1 for each pair: a node is a product, with each of its stars where it was rated.

    Those who found a product good and those who found it bad have less to do with each other than either has
    with others of the same mind.
    """
    rated = np.isfinite(log.stars)
    stars = np.where(rated, np.round(np.nan_to_num(log.stars)), 0).astype(np.int64)
    place = np.where(rated, stars - stars.min(initial=0) + 1, 0)
    width = int(place.max(initial=0)) + 1
    _, node = np.unique(log.item.astype(np.int64) * width + place, return_inverse=True)
    shape = (len(log.user_ids), int(node.max(initial=-1)) + 1)
    return csr_array((np.ones(len(node), np.float32), (log.user, node)), shape=shape)


def signed(matrix: csr_array, labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return how much nearer accounts are to labelled fakes than to labelled genuine accounts.

    Mass spreads from the labels over the graph of accounts and products as in Zhou et al., "Learning with
    local and global consistency" (NeurIPS 2003): F ← .5 S Sᵀ F + .5 Y, where S holds 1 / √(degree of the
    account · degree of the product). Fakes and genuine accounts start with equal mass, however many they are
    (class mass normalisation: Zhu, Ghahramani and Lafferty, ICML 2003).

    Args:
        matrix: what `graph` returns.
        labels: (users,) or (users, trials) 1 fake, 0 genuine, -1 unknown.

    Returns:
        As `labels`, (fake mass - genuine mass) / (their sum + its median where there is any): between -1 and
        1. The median keeps accounts of one product, where hardly any mass arrives, from being the surest of
        all. The figure of a labelled account holds its own label.
    """
    users, items = (np.asarray(matrix.sum(axis=axis), dtype=np.float64).ravel() for axis in (1, 0))
    each = csr_array(diags_array(_inverse_root(users)) @ matrix @ diags_array(_inverse_root(items)))
    back = csr_array(each.T)
    begin = np.stack([_equal_mass(labels == 1), _equal_mass(labels == 0)], axis=-1)
    start = begin.reshape(len(labels), -1)
    mass = start
    for _ in range(_STEPS):
        mass = _KEPT * (each @ (back @ mass)) + (1 - _KEPT) * start
    fake, genuine = np.moveaxis(mass.reshape(begin.shape), -1, 0)
    total = fake + genuine
    some = np.where(total > 0, total, np.nan)
    usual = np.nanmedian(some, axis=0) if total.any() else 1.0
    return np.asarray((fake - genuine) / (total + usual))


def from_positives(matrix: csr_array, labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the probability of fraud that arrives from labelled fakes alone.

    After Zhang et al., "Catch the black sheep: unified framework for shilling attack detection based on
    fraudulent action propagation" (IJCAI 2015): an item has the mean of its accounts, an account the mean of
    its items, and labelled fakes keep 1. Each edge counts alike here. It is the comparison, not a detector.

    Args:
        matrix: what `graph` returns.
        labels: (users,) 1 fake; all else is unknown.
    """
    users, items = (np.maximum(np.asarray(matrix.sum(axis=axis)).ravel(), 1e-9) for axis in (1, 0))
    back = csr_array(matrix.T)
    seeds = labels == 1
    fraud = seeds.astype(np.float64)
    for _ in range(_STEPS):
        fraud = (matrix @ ((back @ fraud) / items)) / users
        fraud[seeds] = 1.0
    return np.asarray(fraud)


def _equal_mass(which: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(which / np.maximum(which.sum(axis=0), 1))


def _inverse_root(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(1.0, np.sqrt(degrees), out=np.zeros(len(degrees)), where=degrees > 0))
