"""The vocabulary, fitted on the train window only."""

import numpy as np
from numpy.typing import NDArray


def k_core(
    users: NDArray[np.int32], items: NDArray[np.int32], min_user_items: int, min_item_users: int
) -> NDArray[np.bool_]:
    """Find the largest set of pairs in which every user and every item has enough of the other.

    Leaving out a user can leave an item with too few, and the other way round, hence the loop.

    Args:
        users: (pairs,) distinct pairs of codes.
        items: (pairs,)
        min_user_items: items that a user must have.
        min_item_users: users that an item must have.

    Returns:
        (pairs,) True where the pair stays.
    """
    kept = np.arange(len(users))
    while len(kept):
        enough = np.bincount(users[kept])[users[kept]] >= min_user_items
        enough &= np.bincount(items[kept])[items[kept]] >= min_item_users
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(users), dtype=bool)
    mask[kept] = True
    return mask
