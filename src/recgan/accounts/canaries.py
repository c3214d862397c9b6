"""Canaries: simulated campaigns in a copy of the log, which tell what the screen would find tonight.

Nobody knows which fake accounts a shop has. So the recall of the screen can be measured only on accounts that
are known to be fake. Each style is tried alone: several campaigns at once would lift each other's crowds, and
the share of fakes would be that of an attack by all at the same time.
"""

from dataclasses import replace
from typing import TypedDict

import numpy as np

from recgan.accounts.log import Log
from recgan.accounts.screen import in_lockstep
from recgan.accounts.settings import ScreenParams
from recgan.data.campaigns import LASTING, STYLES, Style, campaign
from recgan.data.known_log import FakeEvents, KnownLog, concatenate
from recgan.data.settings import EVENT_KINDS

CAMPAIGNS = 10
"""Of each style: a campaign is found as a whole or hardly, so that one alone tells little."""
ACCOUNTS = 40
"""Of each campaign; fewer where the share is less."""
MOST_PAIRS = 1_000_000
"""Of a longer log the last days are taken that have no more: rates of products and crowds stay true."""
_AFTER_ALL = "\U0010ffff"
"""Sorts behind any id of a shop."""


class Recall(TypedDict):
    """What the screen found of one style."""

    accounts: int
    found: int
    recall: float
    genuine: int
    """Accounts of the log that are left out beside some of these canaries, and not without them."""


def canaries(log: Log, params: ScreenParams) -> dict[Style, Recall]:
    """Try each style of params.canaries, without labels and without a person's word.

    Args:
        log: tonight's; it is not changed.
        params: the screen section.

    Returns:
        Nothing where the screen is off or the log has no times: nobody would be left out. Nor where the
        share allows fewer accounts than make a crowd: none of them could be found.
    """
    if not params.enabled or log.first is None or not len(log.user):
        return {}
    log = last_days(log)
    known, n_users = known_log(log), len(log.user_ids)
    log = log.without(in_lockstep(log, params)[1])  # found once: not anew in each pass
    allowed = max(1, round(params.canaries.share * np.count_nonzero(known.history)))
    accounts = min(ACCOUNTS, allowed)
    if accounts < params.least_accounts:
        return {}
    recalls: dict[Style, Recall] = {}
    for style in params.canaries.styles:
        rng = np.random.default_rng([params.canaries.seed, STYLES.index(style)])
        days = None if style in LASTING else params.canaries.days
        found, genuine = 0, np.zeros(n_users, dtype=np.bool_)
        for first in range(0, CAMPAIGNS, allowed // accounts):
            number = min(allowed // accounts, CAMPAIGNS - first)
            events = campaigns(style, known, number, accounts, days, rng)
            _, left_out = in_lockstep(with_accounts(log, events, number * accounts), params)
            found += int(left_out[n_users:].sum())
            genuine |= left_out[:n_users]
        recalls[style] = {
            "accounts": CAMPAIGNS * accounts,
            "found": found,
            "recall": round(found / (CAMPAIGNS * accounts), 4),
            "genuine": int(genuine.sum()),
        }
    return recalls


def campaigns(
    style: Style, known: KnownLog, number: int, accounts: int, days: float | None, rng: np.random.Generator
) -> FakeEvents:
    """Draw campaigns, each of which pushes one product.

    Args:
        style: of all of them.
        known: what the attackers know.
        number: of campaigns.
        accounts: of each.
        days: how long each lasts; None for what is usual in the style.
        rng: where all chance comes from.
    """
    drawn = [campaign(style, known, accounts, days, rng).events for _ in range(number)]
    return concatenate(
        [replace(one, account=one.account + place * accounts) for place, one in enumerate(drawn)]
    )


def known_log(log: Log) -> KnownLog:
    """Return the events of a log as an attacker may know them: all of a pair at its first instant."""
    there = (log.kinds[:, None] >> np.arange(len(EVENT_KINDS)) & 1).astype(np.bool_)
    times = there.astype(np.int64)
    times[np.arange(len(there)), there.argmax(axis=1)] += np.maximum(log.events - there.sum(axis=1), 0)
    pair, kind = np.divmod(np.repeat(np.arange(times.size), times.ravel()), len(EVENT_KINDS))
    value = np.full(len(pair), np.nan)
    value[kind == EVENT_KINDS.index("purchase")] = 1.0
    rated = kind == EVENT_KINDS.index("rating")
    value[rated] = log.stars[pair[rated]]
    return KnownLog(
        user=log.user[pair].astype(np.int64),
        item=log.item[pair].astype(np.int64),
        kind=kind.astype(np.int8),
        day=None if log.first is None else log.first[pair],
        value=value,
        items=len(log.item_ids),
    )


def with_accounts(log: Log, events: FakeEvents, accounts: int) -> Log:
    """Return a log with fake accounts after its own.

    Args:
        log: as it is.
        events: their items are positions in the log.
        accounts: how many fake accounts.
    """
    n_items = len(log.item_ids)
    pair, inverse = np.unique(events.account * n_items + events.item, return_inverse=True)
    count = np.bincount(inverse, minlength=len(pair))
    kinds = np.zeros(len(pair), dtype=np.uint8)
    np.bitwise_or.at(kinds, inverse, (1 << events.kind.astype(np.int64)).astype(np.uint8))
    rated = (events.kind == EVENT_KINDS.index("rating")) & ~np.isnan(events.value)
    ratings = np.bincount(inverse[rated], minlength=len(pair))
    total = np.bincount(inverse[rated], events.value[rated], minlength=len(pair))
    stars = np.where(ratings > 0, total / np.maximum(ratings, 1), np.nan)
    first = None
    if log.first is not None and events.day is not None:
        day = np.full(len(pair), np.inf)
        np.minimum.at(day, inverse, events.day)
        first = np.concatenate([log.first, day])
    ids = [f"{_AFTER_ALL}{number:09}" for number in range(accounts)]
    return replace(
        log,
        user_ids=np.concatenate([log.user_ids, np.array(ids, dtype=object)]),
        user=np.concatenate([log.user, (len(log.user_ids) + pair // n_items).astype(np.int32)]),
        item=np.concatenate([log.item, (pair % n_items).astype(np.int32)]),
        first=first,
        events=np.concatenate([log.events, count.astype(np.int32)]),
        kinds=np.concatenate([log.kinds, kinds]),
        stars=np.concatenate([log.stars, stars.astype(np.float32)]),
    )


def last_days(log: Log, most: int = MOST_PAIRS) -> Log:
    """Return the pairs of a log's last days, no more than so many; accounts keep their places."""
    assert log.first is not None
    if len(log.first) <= most:
        return log
    begin = np.partition(log.first, len(log.first) - most)[len(log.first) - most]
    late = log.first > begin
    return replace(
        log,
        **{name: getattr(log, name)[late] for name in ("user", "item", "events", "kinds", "stars")},
        first=log.first[late] - begin,
        end=log.end - begin,
    )
