"""Campaigns of fake accounts in a log of events, and what the screen says of them: for other benchmarks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from recgan.accounts.log import log_of
from recgan.accounts.screen import screen
from recgan.accounts.settings import ScreenParams
from recgan.data.campaigns import Campaign, campaign
from recgan.data.codes import encode
from recgan.data.events import EVENTS, Tables
from recgan.data.known_log import KnownLog
from recgan.data.settings import EVENT_KINDS

FAKE = "fake-"
"""What the ids of injected accounts begin with."""


@dataclass(frozen=True)
class Attack:
    """Fake accounts to add to a log."""

    events: pa.Table
    """In the schema EVENTS; ids of users begin with FAKE."""
    targets: tuple[str, ...]
    """Ids of the products that are pushed."""


def known_log(events: pa.Table) -> tuple[KnownLog, NDArray[np.object_], NDArray[np.object_]]:
    """Return events as an attacker knows them, and the ids of users and items behind its positions."""
    user_ids, user = encode(events["user_id"])
    item_ids, item = encode(events["item_id"])
    kinds = pc.index_in(events["event"], value_set=pa.array(EVENT_KINDS)).to_numpy().astype(np.int8)
    day = None
    if not events["timestamp"].null_count:
        micros = events["timestamp"].cast(pa.int64()).to_numpy()
        day = (micros - micros.min()) / (timedelta(days=1) / timedelta(microseconds=1))
    value = events["value"].to_pandas().to_numpy(np.float64)
    known = KnownLog(user.astype(np.int64), item.astype(np.int64), kinds, day, value, len(item_ids))
    return known, user_ids, item_ids


def draw(
    tables: Tables, style: str, share: float, seed: int, until: datetime | None = None, **options: Any
) -> Attack:
    """Draw a campaign against a log.

    Args:
        tables: the kept tables.
        style: one of STYLES.
        share: fake accounts, as a share of the log's.
        seed: of the campaign.
        until: the attacker knows what came before this instant, and ends before it; None is the log's end.
        options: of `campaign`: days, targets, fillers, start.
    """
    events = tables.events
    if until is not None:
        events = events.filter(pc.less(events["timestamp"], pa.scalar(until, events["timestamp"].type)))
    known, user_ids, item_ids = known_log(events)
    rng = np.random.default_rng(seed)
    days = options.pop("days", None)
    drawn = campaign(style, known, max(1, round(share * len(user_ids))), days, rng, **options)
    return Attack(
        events_of(drawn, item_ids, tables, pc.min(events["timestamp"])), tuple(item_ids[drawn.targets])
    )


def events_of(drawn: Campaign, item_ids: NDArray[np.object_], tables: Tables, start: pa.Scalar) -> pa.Table:
    """Write a campaign down as events, with the prices of the items table.

    Args:
        drawn: the campaign.
        item_ids: the ids behind its positions.
        tables: the log that is attacked.
        start: the instant of day 0; null without times.
    """
    fakes = drawn.events
    items = pd.Series(item_ids[fakes.item])
    prices = tables.items.to_pandas().set_index("item_id")["price"]
    rating = fakes.kind == EVENT_KINDS.index("rating")
    times = pd.NaT if fakes.day is None else start.as_py() + pd.to_timedelta(fakes.day, unit="D")
    frame = pd.DataFrame(
        {
            "user_id": [f"{FAKE}{account:06}" for account in fakes.account],
            "item_id": items,
            "event": np.asarray(EVENT_KINDS, dtype=object)[fakes.kind],
            "timestamp": times,
            "value": fakes.value,
            "price": items.map(prices).where(~rating),
            "session_id": None,
            "split": None,
        }
    )
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).dt.floor("us")
    return pa.Table.from_pandas(frame, schema=EVENTS, preserve_index=False)


def attacked(tables: Tables, attack: Attack) -> Tables:
    """Return the tables with the events of an attack."""
    return Tables(pa.concat_tables([tables.events, attack.events]), tables.items, tables.users)


def screened(tables: Tables, section: ScreenParams) -> pd.DataFrame:
    """Return the screen's accounts (src/recgan/accounts/tables.py) by user_id; it is given no labels."""
    log = log_of(ibis.memtable(tables.events))
    nothing = np.full(len(log.user_ids), -1, dtype=np.int8)
    lifted = section.model_copy(update={"max_quarantined_share": 1.0})
    return screen(log, nothing, lifted).tables.accounts.to_pandas().set_index("user_id")


def figures_of(accounts: pd.DataFrame) -> dict[str, float]:
    """Hold what the screen says against which accounts are fake."""
    fake = accounts.index.str.startswith(FAKE)
    out = accounts["quarantined"].to_numpy()
    return {
        "accounts": len(accounts),
        "fake": int(fake.sum()),
        "precision": float(fake[out].mean()) if out.any() else float("nan"),
        "recall": float(out[fake].mean()) if fake.any() else float("nan"),
        "genuine_left_out": float(out[~fake].mean()),
        "average_precision": float(average_precision_score(fake, accounts["score"])) if fake.any() else 0.0,
    }
