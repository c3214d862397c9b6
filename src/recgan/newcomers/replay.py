"""How much new products are to be raised: the log's last days lived through again, each from its morning."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.newcomers.estimate import Estimator, Found
from recgan.newcomers.log import DAY
from recgan.newcomers.weights import top_k_of_both
from recgan.recommenders.ranking import ndcg

log = logging.getLogger(__name__)

LIFTS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Tried, in standard deviations of a shopper's scores."""
LIFT = 1.0
"""Taken where no day tells."""
DAYS = 14
"""That are lived through at most."""
_LEAST, _MOST = 100, 500  # lists in all to tell anything; lists of one day


@dataclass(frozen=True)
class Day:
    """The lists that shoppers could have had on a morning, and what they took that day."""

    start: int
    """Microseconds UTC."""
    users: NDArray[np.int32]
    """(rows,) places in `Log.user_ids`."""
    known: NDArray[np.float32]
    """(rows, known) scores, -inf where a product is left out."""
    new: NDArray[np.float32]
    """(rows, new) the same of the new products, without a lift."""
    spread: NDArray[np.float32]
    """(rows, 1) what a lift of 1 adds."""
    came: csr_array
    """(rows, known + new + others) 1 where a product came that day; no list can name the others, which that
    day sold first."""
    found: Found
    """The new products."""

    def ranking(self, lift: float, k: int, max_share: float) -> NDArray[np.int32]:
        """Return the lists (rows, k), in the columns of `came`."""
        raised = self.new + np.float32(lift) * self.spread
        return top_k_of_both(self.known, raised, k, max_share)[0]


def day_of(estimator: Estimator, start: int, end: int, exclude_seen: bool, most: int = 2**31) -> Day | None:
    """Live through one day; no event of it is read for its lists.

    Args:
        estimator: of the package that makes the lists.
        start: of the day, microseconds UTC.
        end: of the day.
        exclude_seen: leave out what the shopper has had.
        most: shoppers, evenly chosen of those who took something.

    Returns:
        None where nobody took anything.
    """
    events = estimator.log
    first, last = events.before(start), events.before(end)
    n_items = len(events.item_ids)
    cells = np.unique(events.users[first:last].astype(np.int64) * n_items + events.items[first:last])
    if exclude_seen:
        cells = cells[~np.isin(cells, events.users[:first].astype(np.int64) * n_items + events.items[:first])]
    if not len(cells):
        return None
    users = np.unique(cells // n_items)
    users = users[:: -(-len(users) // most)].astype(np.int32)
    found = estimator.at(start)
    known, user_items = estimator.scores(users, start)
    new, spread = estimator.placed(found, known), known.std(axis=1, keepdims=True)
    known = np.array(known, dtype=np.float32)  # our own copy
    if exclude_seen:
        known[np.repeat(np.arange(len(users)), np.diff(user_items.indptr)), user_items.indices] = -np.inf
        had = np.isin(found.buyers, users)
        new[np.searchsorted(users, found.buyers[had]), found.bought[had]] = -np.inf
    column = estimator.positions.astype(np.int64)
    column[found.codes] = estimator.n_known + np.arange(len(found.codes))
    rest = np.flatnonzero(column < 0)
    width = estimator.n_known + len(found.codes)
    column[rest] = width + np.arange(len(rest))
    cells = cells[np.isin(cells // n_items, users)]
    rows, columns = np.searchsorted(users, cells // n_items), column[cells % n_items]
    came = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(users), width + len(rest)))
    return Day(start, users, known, new, spread, came, found)


def choose_lift(
    estimator: Estimator, since: int, until: int, k: int, max_share: float, exclude_seen: bool
) -> tuple[float, float | None]:
    """Return the lift with the highest NDCG of all that came, known or new, and that NDCG.

    For each day, the products are estimated from the events before it. Every shopper who took something that
    day gets a list, which is measured by all that the shopper took.

    Args:
        estimator: of a package that was not trained on events from `since` on.
        since: microseconds UTC, where the first day begins at the earliest.
        until: where the last day ends.
        k: places of a list.
        max_share: of a list.
        exclude_seen: leave out what the shopper has had.

    Returns:
        `LIFT` and None where too few lists tell anything.
    """
    totals, lists = np.zeros(len(LIFTS)), 0
    for back in range(min(DAYS, (until - since) // DAY), 0, -1):
        start = until - back * DAY
        one = day_of(estimator, start, start + DAY, exclude_seen, _MOST)
        if one is not None:
            totals += [ndcg(one.ranking(lift, k, max_share), one.came, k).sum() for lift in LIFTS]
            lists += len(one.users)
    if lists < _LEAST:
        log.info("%d lists of the last days are too few to tell by: the lift is %g", lists, LIFT)
        return LIFT, None
    best = int(np.argmax(totals))
    return LIFTS[best], float(totals[best] / lists)
