"""Ids outside, positions inside: the vocabulary, fitted on the train window only."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def encode(ids: pa.ChunkedArray) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
    """Turn ids into codes.

    Returns:
        The distinct ids, sorted, and for each row the place of its id among them.
    """
    encoded = pc.dictionary_encode(ids).unify_dictionaries().combine_chunks()
    # combine_chunks gives an array, or a chunked one without chunks when there is no row.
    distinct = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(distinct, kind="stable")
    place = np.empty(len(distinct), dtype=np.int32)
    place[order] = np.arange(len(distinct), dtype=np.int32)
    return distinct[order], place[encoded.indices.to_numpy()]


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
