"""Exact against approximate ranking: python benchmarks/index.py [--items 50000 200000 500000].

CPU seconds of building an index, CPU milliseconds a shopper of either way, and the share of the best items
that the index misses. Vectors are drawn around two hundred tastes; a shopper's vector is the mean of the
history's. One thread. Every size runs in this process, so memory is not measured.
"""

import argparse
import time

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.approximate import Approximate
from recgan.recommenders.protocol import recommend


class Tastes:
    """Scores by products of vectors."""

    def __init__(self, n_items: int, width: int, noise: float, rng: np.random.Generator) -> None:
        tastes = rng.standard_normal((200, width), dtype=np.float32)
        self.taste = rng.integers(0, 200, n_items)
        self.items = tastes[self.taste] + noise * rng.standard_normal((n_items, width), dtype=np.float32)

    def fit(self, user_items: csr_array) -> "Tastes":
        return self

    def vectors(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        found: NDArray[np.float32] = user_items @ self.items / np.diff(user_items.indptr)[:, None]
        return found.astype(np.float32)

    def item_vectors(self) -> NDArray[np.float32]:
        return self.items

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        return self.vectors(user_items) @ self.items.T


def histories(tastes: Tastes, n_users: int, rng: np.random.Generator) -> csr_array:
    """Draw fifty items a shopper, four in five of one taste."""
    n_items = len(tastes.items)
    places = np.argsort(tastes.taste, kind="stable")
    starts = np.searchsorted(tastes.taste[places], np.arange(201))
    own = rng.integers(0, 200, n_users)
    low, high = starts[own][:, None], starts[own + 1][:, None]
    among = places[(low + rng.random((n_users, 50)) * (high - low)).astype(np.int64)]
    items = np.where(rng.random((n_users, 50)) < 0.8, among, rng.integers(0, n_items, (n_users, 50)))
    rows = np.repeat(np.arange(n_users), 50)
    matrix = csr_array((np.ones(rows.size, np.float32), (rows, items.ravel())), shape=(n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[50_000, 200_000, 500_000])
    parser.add_argument("--width", type=int, default=129, help="of a vector; RC-GAN's: 64 + 1 + 64")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--noise", type=float, default=0.7)
    options = parser.parse_args()
    for n_items in options.items:
        rng = np.random.default_rng(0)
        recommender = Tastes(n_items, options.width, options.noise, rng)
        asked = histories(recommender, options.users, rng)
        clock = time.process_time()
        index = Approximate(recommender)
        built = time.process_time() - clock
        clock = time.process_time()
        exact, _ = recommend(recommender, asked, 20)
        exactly = time.process_time() - clock
        clock = time.process_time()
        found, _ = index.recommend(asked, 20)
        nearly = time.process_time() - clock
        kept = np.mean([len(set(one) & set(other)) / 20 for one, other in zip(exact, found, strict=True)])
        each = [1000 * seconds / options.users for seconds in (exactly, nearly)]
        print(
            f"{n_items:,} items: built in {built:.1f} s, exact {each[0]:.2f} ms, index {each[1]:.2f} ms, "
            f"{each[0] / each[1]:.1f} times cheaper, misses {1 - kept:.2%}; pays from "
            f"{1000 * built / max(each[0] - each[1], 1e-9):,.0f} shoppers",
            flush=True,
        )


if __name__ == "__main__":
    main()
