"""May what was trained under one split be measured under another?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Identity = Mapping[str, Any]
"""Of a split, as `recgan.features.identity` writes it."""


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
