"""Rank the shop's test window by its true probabilities: what no recommender can beat but by luck.

    python benchmarks/oracle.py --data FOLDER [--continuations 2000]

FOLDER is a project with the simulated shop: its params.yaml and data/features. The shop is simulated again up
to the instant at which the test window begins. From there it goes on many times by the same rules with other
random numbers, for each shopper of the window. A product's score is how often it is met, each time weighed by
the ideal DCG of that continuation, so that the ranking is the one of the highest expected NDCG@10.

The oracle is given all that the simulator knows at the cut: each shopper's tastes, which taste is foremost in
which weeks, price level and last day; each product's cell, quality and popularity, launches to come included;
every visit so far, and which purchases and visits have brought about another one by then. What they still
bring about is drawn under the condition that it has not come before the cut. Nothing after the cut is given.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.data.sources.shop import Hidden, ShopSource, simulate_with_hidden
from recgan.data.sources.shop_choice import Seen, World
from recgan.data.sources.shop_occasions import Causes, Sort, Visits, begin, day_weights_of, together
from recgan.data.sources.shop_visits import Generation, generations
from recgan.data.sources.shop_world import DAY, Shoppers
from recgan.features.matrices import read_features
from recgan.recommenders.protocol import top_k
from recgan.recommenders.ranking import ndcg
from recgan.settings import load_params

K = 10
_AT_ONCE = 100  # continuations; 10 million views of 1,000 shoppers would not fit


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--continuations", type=int, default=2000)
    options = parser.parse_args()
    params = load_params(options.data / "params.yaml").ingest
    features = read_features(options.data / "data/features")
    assert isinstance(params, ShopSource)
    began = time.process_time()
    shop = simulate_with_hidden(params)[1]
    window = features.test
    outside = [] if window.outside is None else window.outside.item_ids.tolist()
    ids = features.items["item_id"].tolist() + outside
    position = pd.Index(ids).get_indexer(shop.item_ids)  # (items of the simulation,), -1 for what nobody met
    cut = milliseconds(features.summary["cuts"]["test_start"], params)
    number = {user_id: place for place, user_id in enumerate(shop.user_ids)}
    # Fake accounts that nobody has left out are no shoppers: the simulation does not go on with them.
    genuine = np.flatnonzero([user_id in number for user_id in window.user_ids])
    shoppers = np.array([number[user_id] for user_id in window.user_ids[genuine]])
    history = csr_array(window.history[genuine])
    seen = csr_array((history.data, history.indices, history.indptr), (len(shoppers), len(ids)))
    score = expected(shop, params, cut, shoppers, position, seen, options.continuations)
    score[seen.nonzero()] = -np.inf
    came = csr_array(window.came()[genuine])
    print(
        f"{len(shoppers)} shoppers, {options.continuations} continuations, "
        f"{time.process_time() - began:.0f} CPU s"
    )
    for name, n in (("all products", len(ids)), ("products of the vocabulary", len(features.items))):
        ranking = top_k(score[:, :n], K)[0]
        known = ndcg(ranking, csr_array(came[:, :n]), K)[np.diff(window.held_out.indptr)[genuine] > 0]
        print(f"oracle over {name}: all N@10 {ndcg(ranking, came, K).mean():.4f}", end="")
        print(f", known N@10 {known.mean():.4f}" if n < len(ids) or not outside else "")


def milliseconds(instant: str, params: ShopSource) -> int:
    """Return an instant as the simulator counts: from the log's start."""
    end = params.end.replace(tzinfo=UTC) if params.end.tzinfo is None else params.end
    return round((datetime.fromisoformat(instant) - end).total_seconds() * 1000) + params.days * DAY


def expected(
    shop: Hidden,
    params: ShopSource,
    cut: int,
    shoppers: NDArray[np.int64],
    position: NDArray[np.int64],
    seen: csr_array,
    continuations: int,
) -> NDArray[np.float32]:
    """Return how often each shopper meets each product after the cut, (shoppers, products), weighed."""
    rng = np.random.default_rng(params.seed + 1)
    n, n_items = len(shoppers), seen.shape[1]
    had = np.zeros((n, n_items), dtype=bool)
    had[seen.nonzero()] = True
    ideal = np.cumsum(1 / np.log2(np.arange(2, K + 2)))
    total = np.zeros(n * n_items)
    for left in range(continuations, 0, -_AT_ONCE):
        copies = min(left, _AT_ONCE)
        world = tiled(shop.world, shoppers, copies)
        met = []
        for user, item, at in continued(shop, params, world, cut, shoppers, copies, rng):
            there = (at > cut) & (position[item] >= 0)
            met.append(user[there] * n_items + position[item[there]])
        pairs = np.unique(np.concatenate(met))  # of (copy, shopper, product)
        user, item = np.divmod(pairs, n_items)
        new = ~had[user % n, item]
        user, item = user[new], item[new]
        size = np.bincount(user, minlength=n * copies)[user]
        total += np.bincount(user % n * n_items + item, 1 / ideal[np.minimum(size, K) - 1], n * n_items)
    return (total / continuations).reshape(n, n_items).astype(np.float32)


def tiled(world: World, shoppers: NDArray[np.int64], copies: int) -> World:
    """Return the same world with each of some shoppers several times."""
    columns = {field.name: getattr(world.shoppers, field.name)[shoppers] for field in fields(Shoppers)}
    tile = {name: np.tile(column, (copies, *[1] * (column.ndim - 1))) for name, column in columns.items()}
    return replace(world, shoppers=Shoppers(**tile))


def continued(
    shop: Hidden,
    params: ShopSource,
    world: World,
    cut: int,
    shoppers: NDArray[np.int64],
    copies: int,
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (shopper, product, time) of the views after the cut."""
    # Visits that begin of themselves: as many as their share of all leads to expect, at random.
    weights = np.concatenate([[0.0], np.cumsum(day_weights_of(params))])
    real = shop.world.shoppers
    open_weight = real.activity * (weights[real.last_day] - weights[real.first_day])
    rate = shop.first_visits / open_weight.sum() * world.shoppers.activity
    first = np.maximum(world.shoppers.first_day, cut // DAY)
    low, high = weights[first], weights[np.maximum(world.shoppers.last_day, first)]
    user = np.repeat(np.arange(len(rate)), rng.poisson(rate * (high - low)))
    day = np.searchsorted(weights, low[user] + rng.random(len(user)) * (high - low)[user], side="right") - 1
    fresh = kept(begin(user, np.minimum(day, params.days - 1), world, rng), cut)
    past = shop.generations[0].views
    here = past.own & (past.time <= cut) & (past.visit < shop.first_visits)
    which, owner = copied(past.user, here, shoppers, copies)
    before = Seen(owner, past.time[which], past.item[which])
    pending = together(
        [
            one
            for part in shop.generations
            for one in due(part, shop.first_visits, world, cut, shoppers, copies, rng)
        ]
    )
    for start, known in ((fresh, before), (pending, None)):
        for one in generations(start, known, world, rng):
            yield one.views.user, one.views.item, one.views.time


def due(
    generation: Generation,
    n_first_visits: int,
    world: World,
    cut: int,
    shoppers: NDArray[np.int64],
    copies: int,
    rng: np.random.Generator,
) -> Iterator[Visits]:
    """Yield what causes of before the cut bring about after it, given that they had not by then."""
    for draw, causes, brought in generation.sorts:
        done = np.zeros(len(causes.user), dtype=bool)
        done[brought.cause[brought.start <= cut]] = True
        here = (causes.time <= cut) & ~done & (generation.origin[causes.visit] < n_first_visits)
        which, owner = copied(causes.user, here, shoppers, copies)
        columns = {name: column[which] for name, column in vars(causes).items()}
        yield conditional(draw, Causes(**columns | {"user": owner}), world, cut, rng)


def conditional(draw: Sort, causes: Causes, world: World, cut: int, rng: np.random.Generator) -> Visits:
    """Draw what causes bring about after the cut, anew for as long as any of it lies before."""
    found, open_rows = [], np.arange(len(causes.user))
    while True:
        visits = draw(
            Causes(**{name: column[open_rows] for name, column in vars(causes).items()}), world, rng
        )
        found.append(kept(visits, cut))
        if not (early := visits.start <= cut).any():
            return together(found)
        open_rows = open_rows[visits.cause[early]]


def kept(visits: Visits, cut: int) -> Visits:
    """Return the visits after the cut."""
    later = visits.start > cut
    return Visits(**{name: column[later] for name, column in vars(visits).items()})


def copied(
    user: NDArray[np.int64], which: NDArray[np.bool_], shoppers: NDArray[np.int64], copies: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of some shoppers, again for each copy, and whose they are among all copies."""
    place = np.full(max(user.max(initial=0), shoppers.max()) + 1, -1)
    place[shoppers] = np.arange(len(shoppers))
    rows = np.flatnonzero(which & (place[user] >= 0))
    owner = place[user[rows]] + np.arange(copies)[:, None] * len(shoppers)
    return np.tile(rows, copies), owner.ravel()


if __name__ == "__main__":
    main()
