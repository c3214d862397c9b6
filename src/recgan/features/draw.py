"""A number between 0 and 1 for each user and item: a function of their ids and the seed, of nothing else.

So a pair keeps its number, and with it its window, whatever else the log comes to hold.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from recgan.features.confidence import Pairs

DRAW = "blake2b+splitmix64"
"""Name of the draw, part of a split's identity: change it with whatever changes a number."""


def pair_draws(pairs: Pairs, seed: int) -> NDArray[np.float64]:
    """Draw a number of [0, 1) for each row of the pairs, (rows,)."""
    users, items = pairs.rows["user"].to_numpy(), pairs.rows["item"].to_numpy()
    return draws(pair_hashes(pairs.user_ids, pairs.item_ids, users, items, seed))


def draws(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Turn hashes into numbers of [0, 1): the upper 53 bits, as many as a double holds."""
    return np.asarray((hashes >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def pair_hashes(
    user_ids: Iterable[str],
    item_ids: Iterable[str],
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    seed: int,
) -> NDArray[np.uint64]:
    """Hash pairs of ids.

    Each id by BLAKE2b, keyed by the seed; the pair by the finaliser of SplitMix64 (Steele et al. 2014) of
    the sum of both. Whole numbers alone, so equal on every machine.

    Args:
        user_ids: what `users` counts into.
        item_ids: what `items` counts into.
        users: (pairs,) codes.
        items: (pairs,) codes.
        seed: of the draw.

    Returns:
        (pairs,)
    """
    hashed = (
        _hash_ids(user_ids, seed, b"recgan user")[users] + _hash_ids(item_ids, seed, b"recgan item")[items]
    )
    hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashed ^ (hashed >> np.uint64(31))


def _hash_ids(ids: Iterable[str], seed: int, person: bytes) -> NDArray[np.uint64]:
    key = seed.to_bytes(8, "little")
    digests = (hashlib.blake2b(one.encode(), digest_size=8, key=key, person=person).digest() for one in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
