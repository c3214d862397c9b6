"""The same shoppers in a month of the best sellers alone: what popularity would have sold all along.

Replay cannot tell that. Its histories hold what the champion's lists were opened for, and what was opened is
not shown again. So the champion's next lists are made of the rest, and lists that nobody was ever shown are
not: they keep their best products to the end.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.live.shop import HISTORY_DAYS, PLACES, Shop, Visits
from recgan.live.shoppers import Draws, Wants, act, expected
from recgan.package.packaged import PackagedRecommender


@dataclass
class Apart:
    """What shoppers have opened or had to do with, in the month in which the best sellers answer all."""

    shop: Shop
    seen: NDArray[np.bool_]
    """(shoppers, products)."""

    @classmethod
    def of(cls, shop: Shop) -> Self:
        """Begin with the log before the first day."""
        seen = np.zeros((len(shop.user_ids), len(shop.item_ids)), dtype=np.bool_)
        one = cls(shop, seen)
        user, product, _ = one._own(-HISTORY_DAYS, 0)
        seen[user, product] = True
        return one

    def day(
        self, day: int, visits: Visits, wanted: Wants, chance: Draws, packaged: PackagedRecommender
    ) -> NDArray[np.float64]:
        """Live through a day; return the expected purchases of each request, (requests,).

        Args:
            day: from 0.
            visits: who comes.
            wanted: what they want, a row for each request.
            chance: the same for whatever they are shown.
            packaged: popularity as of the last night, whose scores are the same for every history.
        """
        nobody = csr_array(np.zeros((1, len(packaged.item_ids)), dtype=np.float32))
        order = np.argsort(-packaged.recommender.score(nobody, None)[0], kind="stable")
        products = np.array([self.shop.position[item_id] for item_id in packaged.item_ids])[order]
        lists = np.full((len(visits.user), PLACES), -1)
        user, product, time = self._own(day, day + 1)
        done = 0
        for row, (who, now) in enumerate(zip(visits.user.tolist(), visits.time.tolist(), strict=True)):
            until = int(np.searchsorted(time, now))
            self.seen[user[done:until], product[done:until]] = True
            done = until
            shown = products[~self.seen[who, products]][:PLACES]
            lists[row, : len(shown)] = shown
            came = act(wanted, chance, lists[row : row + 1], slice(row, row + 1))
            self.seen[who, lists[row][came.opened[0]]] = True
        self.seen[user[done:], product[done:]] = True
        return expected(wanted.worth, lists)

    def _own(self, first: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return shopper, product and time (ms) of what is done without lists, in the order of time."""
        log = self.shop.own_log(first, end).to_pandas()
        log = log[log["user_id"].notna()].sort_values("timestamp", kind="stable")
        time = (log["timestamp"] - self.shop.start).dt.total_seconds() * 1000
        return (
            log["user_id"].map(self.shop.number).to_numpy(np.int64),
            log["item_id"].map(self.shop.position).to_numpy(np.int64),
            time.round().to_numpy(np.int64),
        )
