"""What the explorer knows of accounts that are left out: one JSON file beside the published lists.

A server has packages and published files, and may have no data/. So what it shows of the last screening is
written where it looks, after the stages.
"""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, ValidationError

from recgan.accounts.tables import ACCOUNTS, GROUPS
from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_whole, write_text
from recgan.data.events import ITEMS, period_of, read_table

MAX_PRODUCTS = 20
"""Of a group: what it shares beyond that tells nobody more."""


class Product(BaseModel):
    """What the shop says of a product, which no package need know."""

    model_config = ConfigDict(frozen=True)

    item_id: str
    title: str | None = None
    category: str | None = None
    price: float | None = None


class Group(BaseModel):
    """Accounts that acted together."""

    model_config = ConfigDict(frozen=True)

    reason: str
    first: datetime | None
    last: datetime | None
    products: tuple[Product, ...]
    """What they share, most telling first; the first `MAX_PRODUCTS`."""
    user_ids: tuple[str, ...]
    """Those that are left out."""


class Account(BaseModel):
    """An account that is left out of training."""

    model_config = ConfigDict(frozen=True)

    reasons: tuple[str, ...]
    group: int | None


class Published(BaseModel):
    """The accounts that the last screening left out of training, and their groups."""

    model_config = ConfigDict(frozen=True)

    until: datetime | None
    """The log's last event; null without times."""
    accounts: dict[str, Account]
    groups: dict[int, Group]


def target_path(folder: Path, name: str) -> Path:
    """Return where the file of a registered model stands in the folder of published lists."""
    return folder / f"{name}.accounts.json"


def publish_accounts(root: Path, name: str) -> Path | None:
    """Write the file for a registered model; remove it where nothing was screened, and return None.

    Args:
        root: the project, with data/screened and data/kept.
        name: the registered model.

    Raises:
        RecganError: a table is missing or damaged.
        Unavailable: another run replaced a folder again and again meanwhile.
    """
    path = target_path(root / layout.RECOMMENDATIONS, name)
    if not (root / layout.SCREENED).exists():
        path.unlink(missing_ok=True)
        return None
    accounts, groups = read_whole(
        root / layout.SCREENED,
        lambda folder: (
            read_table(folder / "accounts.parquet", ACCOUNTS),
            read_table(folder / "groups.parquet", GROUPS),
        ),
    )
    items, until = read_whole(
        root / layout.KEPT,
        lambda folder: (
            read_table(folder / "items.parquet", ITEMS),
            period_of(folder / "events.parquet")[1],
        ),
    )
    found = published(accounts, groups, items, until)
    write_text(path, found.model_dump_json() + "\n")
    return path


def published(accounts: pa.Table, groups: pa.Table, items: pa.Table, until: datetime | None) -> Published:
    """Return what is published of a screening.

    Args:
        accounts: in the schema ACCOUNTS.
        groups: in the schema GROUPS.
        items: in the schema ITEMS.
        until: the log's last event.
    """
    out = accounts.filter(accounts["quarantined"]).select(["user_id", "reasons", "group_id"]).to_pylist()
    members: dict[int, list[str]] = {}
    for one in out:
        if one["group_id"] is not None:
            members.setdefault(one["group_id"], []).append(one["user_id"])
    shown = [one for one in groups.to_pylist() if one["group_id"] in members]
    wanted = [item for one in shown for item in one["items"][:MAX_PRODUCTS]]
    columns = list(Product.model_fields)
    described = {
        one["item_id"]: Product(**one)
        for one in items.filter(pc.is_in(items["item_id"], value_set=pa.array(wanted, pa.string())))
        .select(columns)
        .to_pylist()
    }
    return Published(
        until=until,
        accounts={
            one["user_id"]: Account(reasons=tuple(one["reasons"]), group=one["group_id"]) for one in out
        },
        groups={
            one["group_id"]: Group(
                reason=one["reason"],
                first=one["first"],
                last=one["last"],
                products=tuple(
                    described.get(item, Product(item_id=item)) for item in one["items"][:MAX_PRODUCTS]
                ),
                user_ids=tuple(members[one["group_id"]]),
            )
            for one in shown
        },
    )


def read_published(path: Path) -> Published:
    """Read the file.

    Raises:
        RecganError: it is missing or no such file.
    """
    try:
        return Published.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecganError(
            f"{path} does not say which accounts are left out ({error}); run `recgan recommend` again"
        ) from None
