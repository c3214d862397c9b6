"""The worst groups as people read them: what they push, on which days, how far above its ordinary rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recgan.accounts.log import Log
from recgan.accounts.tables import Screened

PRODUCTS = 5
"""Of a group that are told."""
_LEAST = 0.5
"""Accounts that an ordinary rate is based on at least, as in lockstep.py."""
_BINS = 60
_LENGTHS = (1, 2, 3, 7, 14, 28, 91, 182, 364)
"""Days that one bar of a timeline may stand for."""


@dataclass(frozen=True)
class Pushed:
    """A product that a group shares."""

    item_id: str
    title: str | None
    price: float | None
    accounts: int
    """Of the group that came to it."""
    expected: float | None
    """Accounts that its rate on all other days lets be expected in as many days; None without times."""

    @property
    def name(self) -> str:
        """Return the title, or the id where there is none."""
        return self.title or self.item_id

    @property
    def ratio(self) -> float | None:
        """Return how many times its ordinary rate that is."""
        return None if self.expected is None else self.accounts / self.expected


@dataclass(frozen=True)
class Timeline:
    """New accounts that came to a product, over the whole log."""

    start: datetime
    days: int
    """That one bar stands for."""
    group: NDArray[np.int64]
    """(bars,) accounts of the group."""
    others: NDArray[np.int64]
    """(bars,)"""


@dataclass(frozen=True)
class Worst:
    """A group of accounts that are left out."""

    number: int
    reason: str
    first: datetime | None
    last: datetime | None
    products: Sequence[Pushed]
    """Most telling first; the first `PRODUCTS`."""
    more_products: int
    user_ids: Sequence[str]
    timeline: Timeline | None
    """Of its first product; None without times."""


def worst_groups(tables: Screened, log: Log, items: pa.Table, at_most: int) -> list[Worst]:
    """Return the first groups with an account that is left out.

    Args:
        tables: of the screening.
        log: that was screened.
        items: in the schema ITEMS.
        at_most: groups to return.
    """
    groups = [one for one in tables.groups.to_pylist() if one["quarantined"]][:at_most]
    members = _members(tables.accounts)
    wanted = [item for one in groups for item in one["items"][:PRODUCTS]]
    described = _described(items, wanted)
    return [_worst(one, members.get(one["group_id"], []), log, described) for one in groups]


def _members(accounts: pa.Table) -> dict[int, list[str]]:
    out = accounts.filter(pc.and_(accounts["quarantined"], pc.is_valid(accounts["group_id"])))
    members: dict[int, list[str]] = {}
    for group, user in zip(out["group_id"].to_pylist(), out["user_id"].to_pylist(), strict=True):
        members.setdefault(group, []).append(user)
    return members


def _described(items: pa.Table, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    named = items.filter(pc.is_in(items["item_id"], value_set=pa.array(wanted, pa.string())))
    return {one["item_id"]: one for one in named.select(["item_id", "title", "price"]).to_pylist()}


def _worst(
    group: Mapping[str, Any], user_ids: list[str], log: Log, described: Mapping[str, Mapping[str, Any]]
) -> Worst:
    ours = np.isin(log.user_ids, np.array(user_ids, dtype=object))
    products, timeline = [], None
    for number, item_id in enumerate(group["items"][:PRODUCTS]):
        place = int(np.searchsorted(log.item_ids, item_id))
        pairs = np.flatnonzero(log.item == place)
        by_group = ours[log.user[pairs]]
        days = None if log.first is None else log.first[pairs]
        known = described.get(item_id, {})
        expected = None if days is None else _expected(days, by_group, log.end)
        products.append(
            Pushed(item_id, known.get("title"), known.get("price"), int(by_group.sum()), expected)
        )
        if number == 0 and days is not None and log.start is not None and by_group.any():
            timeline = timeline_of(days, by_group, log.start, log.end)
    return Worst(
        group["group_id"],
        group["reason"],
        group["first"],
        group["last"],
        products,
        max(len(group["items"]) - PRODUCTS, 0),
        user_ids,
        timeline,
    )


def _expected(days: NDArray[np.float64], by_group: NDArray[np.bool_], end: float) -> float | None:
    """Return how many others would come in as many days as the group took, at their rate on all other days.

    Args:
        days: (pairs,) of a product.
        by_group: (pairs,) whether the group's.
        end: of the log, in days.
    """
    if not by_group.any():
        return None
    first, last = days[by_group].min(), days[by_group].max()
    width = max(last - first, 1.0)
    elsewhere = np.count_nonzero(~by_group & ((days < first) | (days > last)))
    return float(max(elsewhere, _LEAST) / max(end - days.min() - width, width) * width)


def timeline_of(
    days: NDArray[np.float64], by_group: NDArray[np.bool_], start: datetime, end: float
) -> Timeline:
    """Count the accounts that come to a product, in at most `_BINS` bars.

    Args:
        days: (pairs,) from the log's start to each account's first event with the product.
        by_group: (pairs,) whether the group's.
        start: of the log; the first bar begins with its day.
        end: of the log, in days.
    """
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    offset = (start - midnight) / timedelta(days=1)
    length = next((one for one in _LENGTHS if (end + offset) / one < _BINS), _LENGTHS[-1])
    bars = int((end + offset) // length) + 1
    place = ((days + offset) // length).astype(np.int64)
    return Timeline(
        midnight,
        length,
        np.bincount(place[by_group], minlength=bars),
        np.bincount(place[~by_group], minlength=bars),
    )
