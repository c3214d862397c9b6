"""Groups: accounts that are left out together, by the crowds that they share."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recgan.accounts.lockstep import Lockstep
from recgan.accounts.log import DAY, Log
from recgan.accounts.tables import GROUPS

_ITEMS = 20
"""That are named of a group."""


def groups_of(
    log: Log, found: Lockstep | None, accounts: NDArray[np.bool_], least: float
) -> tuple[pa.Table, NDArray[np.int32]]:
    """Find the groups of some accounts: those that were in a crowd together, and whoever was with them.

    Args:
        log: the pairs.
        found: their crowds; None where nothing looked for any.
        accounts: (users,) which are grouped.
        least: measure that a crowd must exceed to tie accounts together.

    Returns:
        The table of groups, the largest first, numbered from 1; and each account's group, -1 without one.
    """
    group = np.full(len(log.user_ids), -1, dtype=np.int32)
    if found is None or log.first is None or log.start is None:
        return GROUPS.empty_table(), group
    pairs = np.flatnonzero(accounts[log.user] & (found.crowds > least))
    if not len(pairs):
        return GROUPS.empty_table(), group
    users, user = np.unique(log.user[pairs], return_inverse=True)
    crowd = _joined(log, found, pairs)
    ties = coo_array(
        (np.ones(len(pairs)), (user, len(users) + crowd)), shape=(len(users) + crowd.max() + 1,) * 2
    )
    _, component = connected_components(ties, directed=False)
    component = component[: len(users)]
    _, first, sizes = np.unique(component, return_index=True, return_counts=True)
    number = np.empty(len(sizes), dtype=np.int32)
    number[np.lexsort((first, -sizes))] = np.arange(1, len(sizes) + 1)
    _, place = np.unique(component, return_inverse=True)
    group[users] = number[place]
    own = group[log.user[pairs]]
    rows = [_row(log, found, pairs[own == one], one) for one in range(1, len(sizes) + 1)]
    return pa.Table.from_pylist(rows, GROUPS), group


def _joined(log: Log, found: Lockstep, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the crowds of pairs: windows of one product that overlap are one crowd."""
    assert log.first is not None
    start = log.first[found.head[pairs]] + log.item[pairs] * (log.end + found.days.max() + 1)
    order = np.argsort(start, kind="stable")
    ends = np.maximum.accumulate((start + found.days[pairs])[order])
    new = np.concatenate([[False], start[order][1:] >= ends[:-1]])
    crowd = np.empty(len(pairs), dtype=np.intp)
    crowd[order] = np.cumsum(new)
    return crowd


def _row(log: Log, found: Lockstep, pairs: NDArray[np.intp], number: int) -> dict[str, object]:
    """Tell of a group by the pairs of its accounts in their crowds."""
    assert log.first is not None
    assert log.start is not None
    days, crowds = log.first[pairs], found.crowds[pairs]
    items, item = np.unique(log.item[pairs], return_inverse=True)
    telling = items[np.argsort(-np.bincount(item, crowds), kind="stable")]
    names = [str(log.item_ids[one]) for one in telling[:_ITEMS]]
    size, most = len(np.unique(log.user[pairs])), pairs[np.argmax(crowds)]
    more = f" and {len(telling) - 1:,} more products" if len(telling) > 1 else ""
    since = round(log.start.timestamp() * 1e6)
    first, last = (
        datetime.fromtimestamp((since + round(day * DAY)) / 1e6, UTC) for day in (days.min(), days.max())
    )
    return {
        "group_id": number,
        "accounts": size,
        "first": first,
        "last": last,
        "items": names,
        "reason": (
            f"{size:,} accounts came to {names[0]}{more} within {days.max() - days.min():.2g} days, "
            f"up to {found.ratio[most]:.3g} times the usual rate"
        ),
        "quarantined": True,
    }
