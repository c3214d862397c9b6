"""A day of the shop: who comes, what the server answers, what they do, what others would have answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recgan.live.apart import Apart
from recgan.live.client import Client
from recgan.live.replay import replayed
from recgan.live.shop import FIRST_DAY, HISTORY_DAYS, PLACES, Shop
from recgan.live.shoppers import act, best, draw, expected, wants
from recgan.package.packaged import PackagedRecommender
from recgan.serving.schema import MAX_HISTORY

EXPECTED = "expected_"
SERVED, ORACLE, APART = (f"{EXPECTED}{name}" for name in ("served", "oracle", "apart"))
POPULARITY = "popularity"
"""The candidate whose month is lived apart."""
_SECONDS = {"view": 5, "cart": 20, "purchase": 90}
"""After a shopper has come to a list, for its first place; 5 more for each further one."""


@dataclass
class Memory:
    """What shoppers have done so far, as the shop itself knows it."""

    shop: Shop
    seen: NDArray[np.bool_]
    """(shoppers, products) until this morning."""
    since: dict[int, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    """What each has done since the night of which the champion is: time, and the event as it is sent."""

    @classmethod
    def of(cls, shop: Shop) -> "Memory":
        """Begin with the log before the first day."""
        log = shop.own_log(-HISTORY_DAYS, 0).to_pandas()
        log = log[log["user_id"].notna()]
        seen = np.zeros((len(shop.user_ids), len(shop.item_ids)), dtype=np.bool_)
        seen[log["user_id"].map(shop.number), log["item_id"].map(shop.position)] = True
        return cls(shop, seen)

    def note(self, first: int, end: int) -> None:
        """Note what shoppers do without lists, of days from `first` up to `end`, exclusive."""
        log = self.shop.own_log(first, end).to_pandas()
        log = log[log["user_id"].notna() & ~(log["value"] < 0)]
        start, rated = pd.Timestamp(self.shop.start), log["event"].eq("rating")
        times = ((log["timestamp"] - start) // pd.Timedelta(milliseconds=1)).tolist()
        values = log["value"].where(rated).tolist()
        columns = (log["user_id"], times, log["item_id"], log["event"], values)
        for user_id, time, item_id, event, value in zip(*columns, strict=True):
            self.add(self.shop.number[user_id], time, item_id, event, None if np.isnan(value) else value)

    def add(self, user: int, time: int, item_id: str, event: str, value: float | None = None) -> None:
        """Note one event."""
        sent: dict[str, Any] = {
            "item_id": item_id,
            "event": event,
            "timestamp": self.shop.instant(time).isoformat(),
        }
        if value is not None:
            sent["value"] = value
        self.since.setdefault(user, []).append((time, sent))

    def before(self, user: int, time: int) -> list[dict[str, Any]]:
        """Return what a shopper has done since that night and before a time, the newest at most."""
        done = sorted((at, place) for place, (at, _) in enumerate(self.since.get(user, [])) if at < time)
        events = self.since.get(user, [])
        return [events[place][1] for _, place in done[-MAX_HISTORY:]]

    def forget(self) -> None:
        """Keep of what was done only which products it was with: the new champion knows the rest."""
        for user, events in self.since.items():
            for _, event in events:
                self.seen[user, self.shop.position[event["item_id"]]] = True
        self.since = {}


def live_day(
    day: int,
    memory: Memory,
    apart: Apart,
    client: Client,
    others: Mapping[str, PackagedRecommender],
) -> pd.DataFrame:
    """Live through a day against the server.

    Args:
        day: from 0.
        memory: is told what shoppers do.
        apart: the month of the best sellers alone, which lives through the same day.
        client: asks the server.
        others: what would have answered, by name; popularity is one of them.

    Returns:
        A row for each request: day, user_id, version, request_id; opened, carted, bought (counts); and for
        what was shown, for the oracle, for the best sellers in their own month (`expected_apart`) and for
        each of the others the expected purchases, `expected_…`. And `same_…`: whether each of the others
        would have shown the same list.
    """
    shop, world = memory.shop, memory.shop.world
    memory.note(day, day + 1)
    visits = shop.visits(day)
    wanted = wants(world, visits.user, visits.time)
    chance = draw(len(visits.user), len(shop.item_ids), shop.draws(day))
    lists = np.full((len(visits.user), PLACES), -1)
    left_out = memory.seen[visits.user].copy()
    asked, rows, feedback = [], [], []
    for row, (user, time) in enumerate(zip(visits.user.tolist(), visits.time.tolist(), strict=True)):
        history = memory.before(user, time)
        asked.append((shop.user_ids[user], history))
        left_out[row, [shop.position[event["item_id"]] for event in history]] = True
        answer = client.recommend(*asked[-1], PLACES)
        shown = [item["item_id"] for item in answer["items"]]
        lists[row, : len(shown)] = [shop.position[item_id] for item_id in shown]
        left_out[row, lists[row, : len(shown)]] = False  # what the server may show, the oracle may
        came = act(wanted, chance, lists[row : row + 1], slice(row, row + 1))
        for event, done in (("view", came.opened), ("cart", came.carted), ("purchase", came.bought)):
            for place in np.flatnonzero(done[0]).tolist():
                at = time + 1000 * (_SECONDS[event] + 5 * place)
                memory.add(user, at, shown[place], event)
                feedback.append(
                    {
                        "request_id": answer["request_id"],
                        "item_id": shown[place],
                        "event": event,
                        "timestamp": shop.instant(at).isoformat(),
                        "price": answer["items"][place]["price"],
                    }
                )
        rows.append(
            {
                "day": day,
                "user_id": shop.user_ids[user],
                "version": answer["model"]["version"],
                "request_id": answer["request_id"],
                "opened": int(came.opened.sum()),
                "carted": int(came.carted.sum()),
                "bought": int(came.bought.sum()),
            }
        )
    client.feedback(feedback)
    table = pd.DataFrame(rows)
    worth = wanted.worth
    table[SERVED] = expected(worth, lists)
    table[ORACLE] = expected(worth, best(worth, left_out, PLACES))
    table[APART] = apart.day(day, visits, wanted, chance, others[POPULARITY])
    now = FIRST_DAY + timedelta(days=day + 1)
    for name, packaged in others.items():
        theirs = replayed(packaged, asked, shop, PLACES, now)
        table[EXPECTED + name] = expected(worth, theirs)
        table[f"same_{name}"] = (theirs == lists).all(axis=1)
    return table
