"""A simulated shop: enough of a real one to try, test and size the whole pipeline without data.

Products live in cells (category x hidden style). A persona is a distribution over cells. A shopper mixes up
to three personas, one of which is foremost for some weeks, and comes with one of them per visit. Each shopper
has a price level and a sensitivity to prices off that level. So taste is clustered, several-sided and not
linear in any single quantity. A share of the views follows sheer popularity, and another returns to products
that were viewed before. Nothing here knows of any recommender.

Order matters. Within a visit most views stay in the cell of the one before, or follow the products that its
page shows. A visit may go on in the next days where it ended. A purchase may bring the shopper back: in the
next days for an accessory, or when the product is used up. Some launches are hits that fade, more are flops,
and nothing in a product's content tells which.

About 3 % of the rows are faulty in ways that cleaning is meant to catch. There are visits without a user,
cancellations, prices of zero and below, and exact duplicates. Fake accounts push products on top of that, and
somebody has labelled some of them (shop_fakes.py). All else is the same whatever they do.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from recgan.core.sections import Instant, Seed
from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.settings import EVENT_KINDS, Source
from recgan.data.sources.shop_choice import World
from recgan.data.sources.shop_fakes import Drawn, Fakes, Planted, draw_fakes, judged
from recgan.data.sources.shop_fashion import check_fashion
from recgan.data.sources.shop_names import named
from recgan.data.sources.shop_pictures import pictured
from recgan.data.sources.shop_visits import PURCHASE, Generation, Log, concatenate, genuine, take
from recgan.data.sources.shop_world import (
    CATEGORIES,
    DAY,
    Catalogue,
    make_catalogue,
    make_personas,
    make_shoppers,
    number_of_personas,
)


class ShopSource(Source):
    """The simulated shop."""

    source: Literal["shop"]
    seed: Seed
    """Of everything that is drawn."""
    events: Annotated[int, Field(ge=1000)]
    """Rows to simulate, the dirty ones included; those of fake accounts come on top."""
    days: Annotated[int, Field(ge=7)]
    """Length of the simulated log."""
    end: Instant
    """The instant (UTC) at which the simulated log ends."""
    pictures: Path | None
    """Folder of Fashion-MNIST's four idx files, whose images then show the clothes, shoes and bags; null
    draws all pictures by code."""
    fakes: Fakes


# Shares of all rows.
_NULL_USER = 0.008


_CANCELLED = 0.009


_BAD_PRICE = 0.004


_DUPLICATED = 0.009


def read(params: ShopSource, folder: Path) -> Tables:
    """Simulate the shop; no folder is read."""
    return simulate_shop(params)


def check_files(params: ShopSource, folder: Path) -> None:
    """Raise a RecganError where a file of the pictures is missing; nothing is read."""
    if params.pictures is not None:
        check_fashion(params.pictures)


@dataclass(frozen=True)
class Hidden:
    """What the tables do not tell; shoppers and products are numbered as the simulation does."""

    world: World
    generations: list[Generation]
    """All visits; those of the first `first_visits`, and what they brought about, are in the log."""
    first_visits: int
    user_ids: NDArray[np.object_]
    """(users,) "" for who never came."""
    item_ids: NDArray[np.object_]
    """(items,)."""
    planted: Planted


def simulate_shop(params: ShopSource) -> Tables:
    """Simulate the shop's log; equal parameters give equal tables.

    Args:
        params: `events` is the exact number of rows without the fake accounts'; shoppers grow with it (about
            60 rows each), products more slowly (about 1,000 at 120,000 rows, 28,000 at 10 million).
    """
    return _simulate(params, None)[0]


def simulate_with_hidden(params: ShopSource) -> tuple[Tables, Hidden]:
    """Simulate the same log, and keep what the tables do not tell: for measuring what can be known at all."""
    return _simulate(params, [])


def _simulate(params: ShopSource, watched: list[Generation] | None) -> tuple[Tables, Hidden]:
    """Simulate the log; the generations of visits are kept where a list for them is given."""
    rng = np.random.default_rng(params.seed)
    fakes_rng, labels_rng = rng.spawn(2)  # what they draw leaves the shop as it is
    n_users = round((params.events + 8000) / 60)
    n_items = max(40, round(1000 * (params.events / 120_000) ** 0.75))
    catalogue = make_catalogue(n_items, params.days, rng)
    shoppers = make_shoppers(n_users, params.days, rng)
    persona_cells = make_personas(number_of_personas(n_users), catalogue, rng)
    world = World(catalogue, shoppers, persona_cells, params.days)

    n_cancelled, n_duplicated = (round(share * params.events) for share in (_CANCELLED, _DUPLICATED))
    n_genuine = params.events - n_cancelled - n_duplicated
    clean, n_first_visits = genuine(n_genuine, params, world, rng, watched)
    log = _with_dirt(clean, n_cancelled, n_duplicated, params, rng)
    drawn = draw_fakes(params.fakes, clean, catalogue, params.days, n_users, fakes_rng)
    tables, users = _tables(log, drawn, catalogue, params, labels_rng)

    ids = tables.users["user_id"].to_numpy(zero_copy_only=False)
    n_shoppers = len(ids) - len(drawn.campaign)
    user_ids = np.full(n_users, "", dtype=object)
    user_ids[users[:n_shoppers]] = ids[:n_shoppers]
    item_ids = tables.items["item_id"].to_numpy(zero_copy_only=False)[catalogue.number]
    planted = Planted(
        user_ids=ids[n_shoppers:][np.argsort(users[n_shoppers:])],
        campaign=drawn.campaign,
        styles=drawn.styles,
        targets=tuple(tuple(item_ids[pushed]) for pushed in drawn.targets),
    )
    return tables, Hidden(world, watched or [], n_first_visits, user_ids, item_ids, planted)


def _with_dirt(
    log: Log, n_cancelled: int, n_duplicated: int, params: ShopSource, rng: np.random.Generator
) -> Log:
    """Add and spoil rows, and sort all by time."""
    end = params.days * DAY
    n_sessions = int(log.session.max()) + 1

    anonymous = rng.random(n_sessions) < _NULL_USER
    log = log.with_columns(user=np.where(anonymous[log.session], -1, log.user))

    purchases = rng.choice(np.flatnonzero(log.kind == PURCHASE), n_cancelled, replace=False)
    cancelled = log.rows(purchases)
    later = cancelled.time + 60_000 + (rng.exponential(3, n_cancelled) * DAY).astype(np.int64)
    sooner = cancelled.time + (rng.random(n_cancelled) * (end - cancelled.time)).astype(np.int64)
    cancelled = cancelled.with_columns(time=np.where(later < end, later, sooner), value=-cancelled.value)

    priced = rng.choice(
        np.flatnonzero(~np.isnan(log.price)), round(_BAD_PRICE * params.events), replace=False
    )
    price = log.price.copy()
    price[priced] = np.where(rng.random(len(priced)) < 0.8, 0.0, -price[priced])
    log = log.with_columns(price=price)

    log = concatenate([log, cancelled])
    log = concatenate([log, log.rows(rng.choice(len(log), n_duplicated, replace=False))])
    return log.rows(np.argsort(log.time, kind="stable"))


def _tables(
    shop: Log, drawn: Drawn, catalogue: Catalogue, params: ShopSource, rng: np.random.Generator
) -> tuple[Tables, NDArray[np.int64]]:
    """Return the tables, and the number of each user in them."""
    end = params.end.replace(tzinfo=UTC) if params.end.tzinfo is None else params.end
    start_ms = round((end - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) - params.days * DAY

    # Numbers of shoppers and visits are dense and in the order of appearance, as a shop would count them.
    # Fake accounts are counted after all shoppers, so that nobody's id depends on them: no detector may read
    # ids.
    users, shop_user = _by_appearance(shop.user)
    fakes, fake_user = _by_appearance(drawn.log.user)
    sessions, shop_session = _by_appearance(shop.session)
    more_sessions, fake_session = _by_appearance(drawn.log.session)
    user_ids = _ids("u", np.arange(1, len(users) + len(fakes) + 1), 6)
    session_ids = _ids("s", np.arange(1, len(sessions) + len(more_sessions) + 1), 8)
    item_ids = _ids("i", catalogue.number + 1, 5)
    log = concatenate([shop, drawn.log])
    row_number = np.concatenate([shop_user, len(users) + fake_user])
    row_session = np.concatenate([shop_session, len(sessions) + fake_session])
    order = np.argsort(log.time, kind="stable")
    log, row_number, row_session = log.rows(order), row_number[order], row_session[order]
    timestamps = pa.array((start_ms + log.time) * 1000).cast(pa.timestamp("us", tz="UTC"))

    events = pa.table(
        {
            "user_id": take(user_ids, row_number, missing=row_number < 0),
            "item_id": take(item_ids, log.item),
            "event": take(pa.array(EVENT_KINDS), log.kind.astype(np.int64)),
            "timestamp": timestamps,
            "value": pa.array(log.value, mask=np.isnan(log.value)),
            "price": pa.array(log.price, mask=np.isnan(log.price)),
            "session_id": take(session_ids, row_session),
            "split": pa.nulls(len(log), pa.string()),
        },
        schema=EVENTS,
    )

    brands, titles = named(catalogue, params.seed)
    items = pa.table(
        {
            "item_id": item_ids,
            "title": titles,
            "category": take(pa.array(CATEGORIES), catalogue.category),
            "brand": brands,
            "price": pa.array(catalogue.price),
            "image_url": pictured(catalogue, params.pictures),
        },
        schema=ITEMS,
    ).take(pa.array(np.argsort(catalogue.number)))
    numbers = np.concatenate([users, fakes])
    fake = np.arange(len(numbers)) >= len(users)
    labels = judged(fake, params.fakes, rng)
    return Tables(events, items, pa.table({"user_id": user_ids, "fake": labels}, schema=USERS)), numbers


def _by_appearance(column: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the values of a column in the order in which they appear.

    Returns:
        The values, and each row's number; -1 is none.
    """
    present, first_row, row_value = np.unique(column, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first_row, kind="stable")
    by_appearance = by_appearance[present[by_appearance] >= 0]
    number = np.full(len(present), -1)
    number[by_appearance] = np.arange(len(by_appearance))
    return present[by_appearance], number[row_value]


def _ids(prefix: str, numbers: NDArray[np.int64], width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")
