"""What a split holds out, in a few words: may a recommender trained under one be measured under another."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.features.confidence import Pairs
from recgan.features.draw import DRAW, pair_hashes
from recgan.features.settings import Split
from recgan.features.split import TEST, Cuts

Identity = Mapping[str, Any]


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


def unfair(then: Identity | None, now: Identity) -> str | None:
    """Say why what was trained under one split may know what another holds out; None where it cannot.

    Args:
        then: of the split that it was trained under; None where nobody wrote it down.
        now: of the split whose test window it is to be measured on.
    """
    if then is None:
        return "it does not say what was held out when it was trained"
    if then["kind"] != now["kind"]:
        return f"it was trained with a split of kind {then['kind']}, today's is {now['kind']}"
    match now["kind"]:
        case "time":
            return _unfair_in_time(*(datetime.fromisoformat(one["trained_until"]) for one in (then, now)))
        case "random":
            return _unfair_draw(then, now)
    if then["test"] != now["test"]:
        return f"the {now['kind']} split held out other items then"
    return None


def _unfair_in_time(then: datetime, now: datetime) -> str | None:
    if then <= now:
        return None
    return (
        f"it was trained until {then:%Y-%m-%d %H:%M}, and today's test window starts at {now:%Y-%m-%d %H:%M}"
    )


def _unfair_draw(then: Identity, now: Identity) -> str | None:
    if then["draw"] != now["draw"]:
        return f"what it was trained on was drawn by {then['draw']}, today's split by {now['draw']}"
    if then["seed"] != now["seed"]:
        return f"what it was trained on was drawn with seed {then['seed']}, today's split with {now['seed']}"
    if then["test_share"] < now["test_share"]:  # a smaller share is part of a larger one
        return f"a share of {then['test_share']:g} was held out then, and {now['test_share']:g} today"
    return None
