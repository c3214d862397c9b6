"""What a split holds out, in a few words."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.features.confidence import Pairs
from recgan.features.draw import DRAW, pair_hashes
from recgan.features.settings import Split
from recgan.features.split import TEST, Cuts


def split_identity(
    pairs: Pairs, windows: NDArray[np.int8], split: Split, cuts: Cuts | None
) -> dict[str, Any]:
    """Say what a split holds out for test, as far as a later one must know it.

    Args:
        pairs: all interactions.
        windows: (pairs,) of each.
        split: what made them.
        cuts: of a split in time.
    """
    if cuts is not None:
        return {"kind": split.kind, "trained_until": cuts.test_start.isoformat()}
    if split.kind == "random":
        return {"draw": DRAW, **split.model_dump()}
    users, items = (pairs.rows[name].to_numpy()[windows == TEST] for name in ("user", "item"))
    held_out = np.sort(pair_hashes(pairs.user_ids, pairs.item_ids, users, items, seed=0)).astype("<u8")
    return {"kind": split.kind, "test": hashlib.sha256(held_out.tobytes()).hexdigest()[:16]}
