"""Overlap: accounts whose products are those of other accounts, far more than popularity lets expect.

Partners of an account are looked for in two ways. One is the products that few hold: each pair of accounts
that shares some of these is counted. The other is near-duplicate histories among the popular products, by
MinHash (Broder, "On the resemblance and containment of documents", 1997) and locality-sensitive hashing.

Two accounts share k products where their sizes and the popularity of their products let m be expected. The
measure is that of lockstep, without time: k ln(k / m) - (k - m), divided by √k. An account's figure is its
third largest measure. A couple that shares an account's taste is no campaign, four alike accounts may be.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.accounts.log import Log

_NEAREST = 8
"""Partners of each account that are looked at in either way."""
_COUNTED = 3
"""The partner whose measure is the account's figure."""
_COUNTS = 40_000_000
"""Pairs of accounts, summed over products, that may be counted: what bounds the cost."""
_BLOCK = 2_000_000
"""Of these at once."""
_LEAST_ITEMS = 5
"""Products of an account whose history is compared as a whole."""
_PERMUTATIONS, _ALIKE = 64, 0.5
"""Of MinHash, and the Jaccard similarity from which on two histories are probably found."""
_ROWS = 50_000


@dataclass(frozen=True)
class Overlap:
    """How much accounts share with other accounts; arrays (users,)."""

    figure: NDArray[np.float64]
    """Measure of the third nearest partner; 0 with fewer."""
    partner: NDArray[np.int64]
    """Position of the nearest partner; -1 without one."""
    shared: NDArray[np.int64]
    """Products shared with the nearest partner."""


def held(log: Log) -> csr_array:
    """Return (users, items) 1 for each pair of the log."""
    shape = (len(log.user_ids), len(log.item_ids))
    return csr_array((np.ones(len(log.user), np.float32), (log.user, log.item)), shape=shape)


def overlap(log: Log) -> Overlap:
    """Measure how much each account shares with the accounts nearest to it."""
    matrix = held(log)
    n_users = matrix.shape[0]
    found = np.concatenate([_by_rare_items(matrix), _by_minhash(matrix)])
    one, other = np.divmod(np.unique(np.concatenate([found, _turned(found, n_users)])), max(n_users, 1))
    shared = _shared(matrix, one, other)
    sizes = np.diff(matrix.indptr).astype(np.float64)
    popular = np.bincount(log.item, minlength=matrix.shape[1]) / max(len(log.item), 1)
    load = matrix @ popular  # of what another account takes, the share that hits one of this account's items
    expected = np.maximum(np.maximum(sizes[other] * load[one], sizes[one] * load[other]), 1e-9)
    measure = np.where(
        shared > expected,
        (shared * np.log(np.maximum(shared, 1) / expected) - (shared - expected))
        / np.sqrt(np.maximum(shared, 1)),
        0.0,
    )
    order = np.lexsort((other, -measure, one))
    one, other, shared, measure = one[order], other[order], shared[order], measure[order]
    rank = np.arange(len(one)) - np.searchsorted(one, one)
    figure = np.zeros(n_users)
    partner, most = np.full(n_users, -1), np.zeros(n_users, dtype=np.int64)
    third, first = rank == _COUNTED - 1, (rank == 0) & (measure > 0)
    figure[one[third]] = measure[third]
    partner[one[first]], most[one[first]] = other[first], shared[first]
    return Overlap(figure, partner, most)


def _by_rare_items(matrix: csr_array) -> NDArray[np.int64]:
    """Return pairs of accounts, coded, that share the most of the products that few hold."""
    n_users = matrix.shape[0]
    holders = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)
    order = np.argsort(holders, kind="stable")
    fits = order[np.cumsum(holders[order] * (holders[order] - 1)) <= _COUNTS]
    rare = csr_array(matrix[:, np.sort(fits[holders[fits] > 1])])
    worth = np.log(n_users / np.maximum(np.bincount(rare.indices, minlength=rare.shape[1]), 1))
    weighted, across = csr_array(rare.multiply(worth)), csr_array(rare.T)
    steps = np.cumsum(rare @ np.bincount(rare.indices, minlength=rare.shape[1]).astype(np.float64))
    # Blocks of accounts that share about equally much, so that the memory is bounded too.
    ends = np.searchsorted(steps, np.arange(0, steps.max(initial=0), _BLOCK))
    edges = np.unique(np.concatenate([[0], ends, [n_users]]))
    pairs = []
    for low, high in pairwise(edges.tolist()):
        near = csr_array(weighted[low:high] @ across).tocoo()
        one, other = near.row.astype(np.int64) + low, near.col.astype(np.int64)
        apart = one != other
        one, other, value = one[apart], other[apart], near.data[apart]
        by = np.lexsort((other, -value, one))
        one, other = one[by], other[by]
        nearest = np.arange(len(one)) - np.searchsorted(one, one) < _NEAREST
        pairs.append(one[nearest] * n_users + other[nearest])
    return np.concatenate([np.empty(0, dtype=np.int64), *pairs])


def _by_minhash(matrix: csr_array) -> NDArray[np.int64]:
    """Return pairs of accounts, coded, whose histories are probably alike.

    Accounts of one bucket are a ring, in which each is paired with those next to it. So a farm of ten
    thousand equal accounts costs no more than as many others.
    """
    from datasketch import MinHash, MinHashLSH

    n_users = matrix.shape[0]
    users = np.flatnonzero(np.diff(matrix.indptr) >= _LEAST_ITEMS)
    histories = (matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]].tolist() for user in users)
    index: Any = MinHashLSH(threshold=_ALIKE, num_perm=_PERMUTATIONS)
    hashes = MinHash.generator(histories, num_perm=_PERMUTATIONS, hashfunc=_itself)
    for user, minhash in zip(users.tolist(), hashes, strict=True):
        index.insert(user, minhash, check_duplication=False)
    one, other = [], []
    for table in index.hashtables:
        for bucket in table:
            if len(members := sorted(table.get(bucket))) > 1:
                for step in range(1, min(_NEAREST // 2, len(members) - 1) + 1):
                    one += members
                    other += members[step:] + members[:step]
    return np.asarray(one, dtype=np.int64) * n_users + np.asarray(other, dtype=np.int64)


def _itself(number: int) -> int:
    return number


def _turned(pairs: NDArray[np.int64], n_users: int) -> NDArray[np.int64]:
    one, other = np.divmod(pairs, max(n_users, 1))
    return np.asarray(other * n_users + one)


def _shared(matrix: csr_array, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    parts = [
        matrix[one[low : low + _ROWS]].multiply(matrix[other[low : low + _ROWS]]).sum(axis=1)
        for low in range(0, len(one), _ROWS)
    ]
    return np.concatenate([np.empty(0), *parts]).astype(np.int64)
