"""Who and what a recommender serves well: parts of the held-out items, by user and by item."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

FEW_USERS = 30
"""A segment of fewer users is too small to tell recommenders apart, whatever its interval says."""


def segments(
    history: csr_array,
    held_out: csr_array,
    popularity: NDArray[np.int64],
    head_share: float,
    new_items: NDArray[np.bool_] | None,
) -> dict[str, csr_array]:
    """Restrict what is held out to each segment; a ranking is then measured on that alone.

    - new_users: without any history. light_users, heavy_users: the others, up to and above the median number
      of items in their history.
    - head_items: the most popular share of the items, ties to the lower position. tail_items: the rest.
    - new_items: as given.

    Args:
        history: (users, items), the users' histories.
        held_out: (users, items), nonzero where an item is held out; further columns are of items outside the
            vocabulary, which are in the segments of users and in none of items.
        popularity: (items,) number of users of each item.
        head_share: share of the items that is the head, at least one item.
        new_items: (items,) True where an item is new; None where that is not known.

    Returns:
        Name → of the shape of `held_out`; a segment in which nobody has anything held out is missing.
    """
    sizes = np.diff(history.indptr)
    new_users = sizes == 0
    middle = np.median(sizes[~new_users]) if (~new_users).any() else 0
    n_head = max(1, round(head_share * popularity.size))
    head = np.zeros(popularity.size, dtype=np.bool_)
    head[np.argsort(-popularity, kind="stable")[:n_head]] = True
    of_users = {
        "light_users": ~new_users & (sizes <= middle),
        "heavy_users": sizes > middle,
        "new_users": new_users,
    }
    of_items = {"head_items": head, "tail_items": ~head}
    if new_items is not None:
        of_items["new_items"] = new_items
    n_outside = held_out.shape[1] - popularity.size
    of_items = {name: np.pad(items, (0, n_outside)) for name, items in of_items.items()}
    parts = {name: diags_array(users.astype(np.float32)) @ held_out for name, users in of_users.items()}
    parts |= {name: held_out @ diags_array(items.astype(np.float32)) for name, items in of_items.items()}
    restricted = {name: csr_array(part) for name, part in parts.items()}
    for part in restricted.values():
        part.eliminate_zeros()
    return {name: part for name, part in restricted.items() if part.nnz}
