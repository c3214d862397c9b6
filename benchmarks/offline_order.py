"""Does an offline figure order recommenders as shoppers do, and why does a champion's lift fall?

    python benchmarks/offline_order.py order --shops 14
    python benchmarks/offline_order.py month --shops 3

All in the simulated shop of `make live`, without server or flow, by the shop's own probabilities.

`order` fits eleven settings of five classical recommenders on the log up to ten days before its end. There
NDCG@10 is of what was new in those days: all of it, what was bought, what was bought or put into a cart, and
the first product of each visit. Then each is fitted on the whole log and answers the requests of the next ten
days, none of which changes another. Of how many pairs of recommenders do both say the same?

`month` lets EASE, iALS and popularity answer thirty days each, without learning: with nothing that lists were
opened for left out of later ones, with that left out, and with it left out and in the histories besides.
"""

import argparse
from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from recgan.evaluation.metrics import user_metrics
from recgan.live.shop import FIRST_DAY, HISTORY_DAYS, PLACES, Shop, open_shop
from recgan.live.shoppers import act, best, draw, expected, wants
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.itemknn.recommender import ItemKNN
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import top_k
from recgan.recommenders.rp3beta.recommender import RP3beta

DAYS, STRETCH = 30, 5
VISIT = pd.Timedelta(minutes=30)
"""Without an event, and the next one begins a new visit."""

MADE: dict[str, Callable[[], Any]] = {
    "popularity": Popularity,
    "EASE 30": lambda: EASE(30),
    "EASE 100": lambda: EASE(100),
    "EASE 400": lambda: EASE(400),
    "iALS 16": lambda: IALS(16, 20, 2, 15, 0),
    "iALS 32": lambda: IALS(32, 20, 2, 10, 0),
    "iALS 64": lambda: IALS(64, 10, 4, 10, 0),
    "ItemKNN 100": lambda: ItemKNN(100, 10),
    "ItemKNN 20": lambda: ItemKNN(20, 10),
    "RP3beta .6": lambda: RP3beta(100, 0.6, 0.4),
    "RP3beta 1": lambda: RP3beta(200, 1.0, 0.2),
}


def log_of(shop: Shop) -> pd.DataFrame:
    """Return the log before the first day, with the numbers of shopper and product, in the order of time."""
    log = shop.own_log(-HISTORY_DAYS, 0).to_pandas()
    log = log[log["user_id"].notna()].sort_values("timestamp", kind="stable")
    return log.assign(user=log["user_id"].map(shop.number), item=log["item_id"].map(shop.position))


def matrix(events: pd.DataFrame, shop: Shop) -> csr_array:
    """Return which shopper had to do with which product, (shoppers, products) of 1."""
    shape = (len(shop.user_ids), len(shop.item_ids))
    ones = np.ones(len(events), np.float32)
    found = csr_array((ones, (events["user"].to_numpy(), events["item"].to_numpy())), shape=shape)
    found.sum_duplicates()
    found.data[:] = 1
    return found


def lists_of(
    scores: NDArray[np.float32], seen: NDArray[np.bool_], users: NDArray[np.int64] | slice
) -> NDArray[np.int64]:
    """Return the best products that were not seen, (users, places)."""
    return top_k(np.where(seen, -np.inf, scores)[users], PLACES)[0]


def kinds(late: pd.DataFrame, shop: Shop, seen: NDArray[np.bool_]) -> dict[str, csr_array]:
    """Return what was new in a window, counted in four ways."""
    begins = late.groupby("user")["timestamp"].diff().fillna(VISIT * 2) > VISIT
    parts = {
        "all": late,
        "bought": late[late["event"] == "purchase"],
        "carted or bought": late[late["event"].isin(["cart", "purchase"])],
        "first of a visit": late[begins],
    }
    return {name: csr_array(np.where(seen, 0, matrix(part, shop).toarray())) for name, part in parts.items()}


def order(shops: int) -> None:
    """Print how well each offline figure orders."""
    rows: list[dict[str, Any]] = []
    for seed in range(1, shops + 1):
        shop = open_shop(seed, 10)
        log = log_of(shop)
        cut = pd.Timestamp(FIRST_DAY - timedelta(days=10))
        early, whole = matrix(log[log["timestamp"] < cut], shop), matrix(log, shop)
        seen = early.toarray() > 0
        came = kinds(log[log["timestamp"] >= cut], shop, seen)
        visits = [shop.visits(day) for day in range(10)]
        users, times = (np.concatenate([getattr(one, name) for one in visits]) for name in ("user", "time"))
        wanted = wants(shop.world, users, times)
        for name, make in MADE.items():
            ranking = lists_of(make().fit(early).score(early), seen, slice(None))
            offline = {}
            for kind, held in came.items():
                some = np.flatnonzero(np.diff(held.indptr))
                figures = user_metrics(ranking[some], csr_array(held[some]), (PLACES,))
                offline[kind] = float(figures[f"ndcg_at_{PLACES}"].mean())
            lists = lists_of(make().fit(whole).score(whole), whole.toarray() > 0, users)
            sold = 100 * expected(wanted.worth, lists).mean()
            opened = 100 * expected(wanted.opens, lists).mean()
            rows.append({"shop": seed, "name": name, "sold": sold, "opened": opened, **offline})
        ideal = best(wanted.worth, (whole.toarray() > 0)[users], PLACES)
        print(f"shop {seed}: the best possible lists sell {100 * expected(wanted.worth, ideal).mean():.1f}")
    table = pd.DataFrame(rows)
    print(table.groupby("name").mean().drop(columns="shop").round(4).to_string())
    for kind in [*came, "opened"]:
        alike, pairs, ranks = 0, 0, []
        for _, one in table.groupby("shop"):
            ranks.append(spearmanr(one[kind], one["sold"]).statistic)
            for (a, b), (c, d) in combinations(zip(one[kind], one["sold"], strict=True), 2):
                alike, pairs = alike + ((a - c) * (b - d) > 0), pairs + 1
        print(f"{kind}: {alike} of {pairs} pairs as purchases, rank correlation {np.mean(ranks):.2f}")


def month(shops: int) -> None:
    """Print what lists sell in stretches of a month, for 100 of them."""
    for seed in range(7, 7 + shops):
        shop = open_shop(seed, DAYS)
        log = matrix(log_of(shop), shop)
        for name in ("EASE 100", "iALS 32", "popularity"):
            recommender = MADE[name]().fit(log)
            for how in ("nothing left out", "opened left out", "and in the histories"):
                history, sold = log.toarray(), []
                seen = history > 0
                for day in range(DAYS):
                    visits = shop.visits(day)
                    wanted = wants(shop.world, visits.user, visits.time)
                    chance = draw(len(visits.user), len(shop.item_ids), shop.draws(day))
                    scores = recommender.score(csr_array(history[visits.user]))
                    lists = lists_of(scores, seen[visits.user], slice(None))
                    sold.append(100 * expected(wanted.worth, lists).mean())
                    row, place = np.nonzero(act(wanted, chance, lists).opened)
                    if how != "nothing left out":
                        seen[visits.user[row], lists[row, place]] = True
                    if how == "and in the histories":
                        history[visits.user[row], lists[row, place]] = 1
                means = np.reshape(sold, (-1, STRETCH)).mean(axis=1)
                print(f"shop {seed}, {name}, {how}: " + " ".join(f"{one:.1f}" for one in means), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["order", "month"])
    parser.add_argument("--shops", type=int, default=3)
    asked = parser.parse_args()
    if asked.shops < 1:
        parser.error(f"--shops is {asked.shops}; one at least")
    (order if asked.what == "order" else month)(asked.shops)


if __name__ == "__main__":
    main()
