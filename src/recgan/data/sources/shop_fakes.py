"""Fake accounts in the simulated shop: campaigns of several styles, some of which somebody has found."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from recgan.core.sections import Section, Share
from recgan.data.campaigns import Style, campaign
from recgan.data.known_log import FakeEvents, KnownLog
from recgan.data.sources.shop_visits import MOST_OF_ONE_USER, RATING, Log, concatenate, discounted
from recgan.data.sources.shop_world import DAY, Catalogue, rank_within

_ACCOUNTS = 40
"""About how many accounts a campaign has, where the fakes are enough for one of each style."""


_TARGETS: dict[Style, int] = {"push": 3, "crowd": 3, "farm": 3}
"""How many products a campaign pushes, where it is more than one."""


class Fakes(Section):
    """Fake accounts that push products."""

    share: Annotated[float, Field(ge=0, lt=1)]
    """Of all accounts, before labels; 0 for a shop without any. Their rows come on top of `events`."""
    styles: Annotated[tuple[Style, ...], Field(min_length=1)]
    """Of the campaigns, in turn; of about 40 accounts each, where there are as many."""
    labelled: Share
    """The share of accounts, genuine ones too, that somebody has judged: `fake` is true or false in
    users.parquet, and null for the others."""


@dataclass(frozen=True)
class Planted:
    """Which accounts are fake, and what they push."""

    user_ids: NDArray[np.object_]
    """(fakes,)."""
    campaign: NDArray[np.int64]
    """(fakes,) from 0."""
    styles: tuple[Style, ...]
    """(campaigns,)."""
    targets: tuple[tuple[str, ...], ...]
    """(campaigns,) ids of the products that each pushes."""


@dataclass(frozen=True)
class Drawn:
    """Fake accounts by number, and their rows."""

    log: Log
    """Accounts and visits go on from those of the genuine log."""
    campaign: NDArray[np.int64]
    """(fakes,) from 0."""
    styles: tuple[Style, ...]
    targets: tuple[NDArray[np.int64], ...]
    """(campaigns,) products as the simulation numbers them."""


def draw_fakes(
    fakes: Fakes,
    genuine: Log,
    catalogue: Catalogue,
    days: int,
    first_user: int,
    rng: np.random.Generator,
) -> Drawn:
    """Draw campaigns that know the genuine log.

    Args:
        fakes: how many, and of which styles.
        genuine: the log without faults.
        catalogue: for the prices.
        days: of the log.
        first_user: the number of the first fake account.
        rng: where all chance comes from.
    """
    known = KnownLog(
        user=genuine.user,
        item=genuine.item,
        kind=genuine.kind,
        day=genuine.time / DAY,
        value=genuine.value,
        items=len(catalogue.price),
    )
    accounts = round(fakes.share / (1 - fakes.share) * np.count_nonzero(known.history))
    number = min(accounts, max(len(fakes.styles), round(accounts / _ACCOUNTS)))
    styles = tuple(fakes.styles[each % len(fakes.styles)] for each in range(number))
    sizes = accounts // max(number, 1) + (np.arange(number) < accounts % max(number, 1))
    logs, targets = [genuine.rows(np.empty(0, np.int64))], []
    user, session = first_user, int(genuine.session.max()) + 1
    for style, size in zip(styles, sizes.tolist(), strict=True):
        drawn = campaign(style, known, size, None, rng, targets=_TARGETS.get(style, 1))
        logs.append(_as_log(drawn.events, user, session, catalogue, days))
        targets.append(drawn.targets)
        user, session = user + size, session + size * days
    log = concatenate(logs)
    most = MOST_OF_ONE_USER * len(genuine)  # as of a shopper
    log = log.rows(rank_within(log.user) < most)
    return Drawn(log, np.repeat(np.arange(number), sizes), styles, tuple(targets))


def _as_log(events: FakeEvents, user: int, session: int, catalogue: Catalogue, days: int) -> Log:
    assert events.day is not None
    time = np.minimum((events.day * DAY).astype(np.int64), days * DAY - 1)
    price = np.where(events.kind == RATING, np.nan, discounted(catalogue, events.item, time))
    order = np.argsort(time, kind="stable")
    log = Log(
        user=user + events.account,
        item=events.item,
        kind=events.kind,
        time=time,
        value=events.value,
        price=price,
        session=session + events.account * days + time // DAY,  # a visit a day
    )
    return log.rows(order)


def judged(fake: NDArray[np.bool_], fakes: Fakes, rng: np.random.Generator) -> pa.Array:
    """Return what users.parquet says of each account; genuine ones come first, and do not hang on the fakes.

    Args:
        fake: (users,).
        fakes: of whom `labelled` is judged.
        rng: draws who.
    """
    return pa.array(fake, mask=rng.random(len(fake)) >= fakes.labelled)
