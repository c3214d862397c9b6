"""Campaigns of fake accounts that push products, in the styles that are known.

For the simulated shop, for the screen's canaries and for benchmarks. A campaign is drawn from what its
attacker knows of the log. It works on logs of ratings alone and on logs without times.

A *filler* is a product that an account deals with to look like a shopper. Accounts imitate how genuine users
deal with products: which kinds of events, how many, with which values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recgan.data.known_log import FakeEvents, KnownLog, concatenate
from recgan.data.settings import EVENT_KINDS

Style = Literal["push", "bot", "average", "segment", "bandwagon", "crowd", "farm", "drip"]


STYLES: tuple[Style, ...] = get_args(Style)


LASTING: tuple[Style, ...] = ("crowd", "drip")
"""Those that are spread over months, so that few accounts meet in a week."""


_TAKES_PART = 0.8
"""How likely an account of a crowd or farm takes part in the push of each product."""


_EARLY = 0.1
"""Share of the log that an attacker has seen before he begins, where that leaves room."""


@dataclass(frozen=True)
class Campaign:
    """Fake events, and what they push."""

    events: FakeEvents
    targets: NDArray[np.int64]
    """The pushed products, ascending."""
    start: float
    """The first day of the push; 0 where the log has no times, as `end` is."""
    end: float
    """Of the push; a farm pushes its other targets later."""


@dataclass(frozen=True)
class _Plan:
    log: KnownLog
    accounts: int
    targets: NDArray[np.int64]
    there: NDArray[np.int64]  # products that the attacker can deal with
    fillers: float  # of one account, the mean
    start: float
    end: float
    rng: np.random.Generator

    def when(self, item: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw when each product is met, not before it is there."""
        drawn = self.rng.uniform(self.start, self.end, len(item))
        return np.clip(drawn, self.log.first_seen[item], self.end)

    def visitors(self) -> NDArray[np.int64]:
        """Repeat each account as often as it takes fillers."""
        return np.repeat(
            np.arange(self.accounts), np.maximum(self.rng.poisson(self.fillers, self.accounts), 1)
        )

    def fill(self, account: NDArray[np.int64], item: NDArray[np.int64]) -> FakeEvents:
        """Deal with fillers, each once."""
        _, once = np.unique(account * self.log.items + item, return_index=True)
        account, item = account[once], item[once]
        return self.log.like_others(account, item, self.when(item), self.end, self.rng)

    def push(self, account: NDArray[np.int64], target: NDArray[np.int64]) -> FakeEvents:
        return self.log.pressed(account, target, self.when(target), self.end, self.rng)

    def push_own(self) -> FakeEvents:
        """Let each account push one target; the accounts are dealt out to the targets in turn."""
        account = np.arange(self.accounts)
        return self.push(account, self.targets[account % len(self.targets)])

    def push_together(self) -> FakeEvents:
        """Let each account push most of the targets, one at least."""
        takes = self.rng.random((self.accounts, len(self.targets))) < _TAKES_PART
        none = ~takes.any(axis=1)
        takes[none, self.rng.integers(len(self.targets), size=none.sum())] = True
        account, target = np.nonzero(takes)
        return self.push(account, self.targets[target])


def campaign(
    style: Style,
    log: KnownLog,
    accounts: int,
    days: float | None,
    rng: np.random.Generator,
    *,
    targets: int = 1,
    fillers: float | None = None,
    start: float | None = None,
) -> Campaign:
    """Draw a campaign of fake accounts.

    It pushes products of the less popular half, of those that were there at its beginning.

    Args:
        style: one of STYLES.
        log: what the attacker knows.
        accounts: how many fake accounts.
        days: how long they push, at most the log's length; None for what is usual in this style.
        rng: where all chance comes from.
        targets: how many products are pushed.
        fillers: how many fillers an account has, in the mean; None for the median of genuine users.
        start: the first day of the push; None for any that leaves room for `days`.
    """
    low, high = _USUAL_DAYS[style]
    usual = rng.uniform(low, high)  # drawn in any case, so that `days` does not change the rest
    length = min(usual if days is None else days, log.length)
    early, latest = _EARLY * log.length, log.length - length
    any_start = rng.uniform(min(early, latest), latest)
    begins = min(any_start if start is None else start, latest)
    there = np.flatnonzero(log.first_seen <= max(begins, early))
    unpopular = there[log.buyers[there] <= np.median(log.buyers[there])]
    plan = _Plan(
        log=log,
        accounts=accounts,
        targets=np.sort(rng.choice(unpopular, min(targets, len(unpopular)), replace=False)),
        there=there,
        fillers=float(np.median(log.history[log.history > 0])) if fillers is None else fillers,
        start=begins,
        end=begins + length,
        rng=rng,
    )
    events = concatenate(_PARTS[style](plan))
    return Campaign(events, plan.targets, plan.start, plan.end)


def _push(plan: _Plan) -> list[FakeEvents]:
    """Push all targets again and again, and nothing else.

    The product push of O'Mahony et al., Collaborative recommendation: a robustness analysis, ACM TOIT 2004,
    without a profile around it.
    """
    account, target = np.divmod(np.arange(plan.accounts * len(plan.targets)), len(plan.targets))
    again = 1 + plan.rng.poisson(3, len(account))
    return [plan.push(np.repeat(account, again), plan.targets[np.repeat(target, again)])]


def _bot(plan: _Plan) -> list[FakeEvents]:
    """Push one target beside fillers drawn uniformly.

    RandomBot of Lam and Riedl, Shilling recommender systems for fun and profit, WWW 2004. Fillers have the
    stars of any rating.
    """
    account = plan.visitors()
    return [plan.fill(account, plan.rng.choice(plan.there, len(account))), plan.push_own()]


def _average(plan: _Plan) -> list[FakeEvents]:
    """Push one target beside fillers drawn uniformly, each rated as others rate it.

    AverageBot of Lam and Riedl, WWW 2004. Where nobody rates it is RandomBot.
    """
    filled, pushed = _bot(plan)
    mean, deviation = plan.log.stars
    rated = filled.kind == EVENT_KINDS.index("rating")
    stars = np.round(mean[filled.item] + plan.rng.normal(0, 1, len(filled.item)) * deviation)
    value = np.where(rated, np.clip(stars, *plan.log.scale), filled.value)
    return [FakeEvents(filled.account, filled.item, filled.kind, filled.day, value), pushed]


def _segment(plan: _Plan) -> list[FakeEvents]:
    """Push one target beside products that go with a popular one, all liked.

    Mobasher, Burke, Bhaumik and Williams, Toward trustworthy recommender systems, ACM TOIT 2007. The segment
    of a target is what the buyers of one of the 40 most popular products have most, twice as many as an
    account takes.
    """
    account = plan.visitors()
    item = np.empty(len(account), dtype=np.int64)
    popular = plan.there[np.argsort(-plan.log.buyers[plan.there], kind="stable")][:40]
    for number, target in enumerate(plan.targets):
        together = plan.log.together(int(plan.rng.choice(popular)))
        choice = plan.there[plan.there != target]
        segment = choice[np.argsort(-together[choice], kind="stable")][: max(2, round(2 * plan.fillers))]
        theirs = account % len(plan.targets) == number
        item[theirs] = plan.rng.choice(segment, theirs.sum())
    return [_liked(plan, plan.fill(account, item)), plan.push_own()]


def _bandwagon(plan: _Plan) -> list[FakeEvents]:
    """Push one target beside the most popular products, all liked, and as many fillers drawn uniformly.

    Burke, Mobasher, Williams and Bhaumik, Classification features for attack detection in collaborative
    recommender systems, KDD 2006; Mobasher et al., ACM TOIT 2007.
    """
    account = plan.visitors()
    follows = plan.rng.random(len(account)) < 0.5
    popular = plan.there[np.argsort(-plan.log.buyers[plan.there], kind="stable")]
    popular = popular[: max(1, round(plan.fillers))]
    liked = plan.fill(account[follows], plan.rng.choice(popular, follows.sum()))
    others = plan.fill(account[~follows], plan.rng.choice(plan.there, (~follows).sum()))
    return [_liked(plan, liked), others, plan.push_own()]


def _crowd(plan: _Plan) -> list[FakeEvents]:
    """Let hired people, who shop for themselves as well, do most of the same jobs at times of their own.

    Wang et al., Serf and turf: crowdturfing for fun and profit, WWW 2012.
    """
    return [plan.log.like_shoppers(plan.accounts, plan.rng), plan.push_together()]


def _farm(plan: _Plan) -> list[FakeEvents]:
    """Let accounts that behave like shoppers push each target together, in days of its own.

    Camouflage as in Hooi et al., FRAUDAR, KDD 2016; together in time as in Beutel et al., CopyCatch,
    WWW 2013.
    """
    pushes, latest = plan.push_together(), plan.log.length - (plan.end - plan.start)
    own_start = np.append(plan.start, plan.rng.uniform(plan.start, latest, len(plan.targets) - 1))
    day = pushes.day
    if day is not None:
        day = day + (own_start - plan.start)[np.searchsorted(plan.targets, pushes.item)]
    pushes = FakeEvents(pushes.account, pushes.item, pushes.kind, day, pushes.value)
    return [plan.log.like_shoppers(plan.accounts, plan.rng), pushes]


def _liked(plan: _Plan, events: FakeEvents) -> FakeEvents:
    """Give all ratings the most stars."""
    rated = events.kind == EVENT_KINDS.index("rating")
    value = np.where(rated, plan.log.scale[1], events.value)
    return FakeEvents(events.account, events.item, events.kind, events.day, value)


_PARTS: dict[Style, Callable[[_Plan], list[FakeEvents]]] = {
    "push": _push,
    "bot": _bot,
    "average": _average,
    "segment": _segment,
    "bandwagon": _bandwagon,
    "crowd": _crowd,
    "farm": _farm,
    "drip": _segment,
}
"""A drip is a segment attack over months: what differs is its usual length."""


_WHOLE_LOG = 1e6  # days: at most the log's length are taken


_USUAL_DAYS: dict[Style, tuple[float, float]] = {
    "push": (1, 3),
    "bot": (1, 5),
    "average": (3, 7),
    "segment": (3, 7),
    "bandwagon": (3, 7),
    "crowd": (_WHOLE_LOG, _WHOLE_LOG),
    "farm": (3, 7),
    "drip": (90, 170),
}
