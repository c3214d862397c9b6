"""What is no event or no product: cancelled orders, guests without a number, postage, gift cards."""

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from recgan.adopt.choice import Columns
from recgan.adopt.formats import CANCELLED, PARTLY, Format, named, plain, words
from recgan.adopt.given import Given
from recgan.adopt.sample import Export
from recgan.core.errors import RecganError
from recgan.data.events import Tables

_NO_PRODUCT = re.compile(
    r"\b((shipping|package|parcel|order|route) protection"
    r"|shipping|postage|post|delivery|freight|porto|versand(kosten)?|lieferung|handling|packing|verpackung"
    r"|gift ?cards?|gift ?vouchers?|gift ?certificates?|vouchers?|(geschenk)?gutscheine?|geschenkkarten?"
    r"|gift ?wrap(ping)?|geschenkverpackung|tips?|trinkgeld|donations?|spenden?|discounts?|rabatt|coupons?"
    r"|fees?|gebuhr(en)?|surcharge|bank charges|insurance|deposit|pfand|adjust(ment)?|manual"
    r"|correction|storno|carriage|commission|bad debt|samples?|muster)\b"
)
_BESIDE = re.compile(
    r"\b(standard|express|free|kostenlos|next day|same day|day|international|domestic|worldwide|economy"
    r"|priority|tracked|signed|first class|second class|royal mail|dhl|ups|usps|dpd|gls|hermes|fedex|post nl"
    r"|ground|and|und|for|fur|by|in|per|the|a|of|cost|costs|charges?|digital|e|mail|email|online|store|credit"
    r"|payment|amazon|ebay|paypal|dotcom|eur|euro|usd|gbp|chf|dollars?|pounds?|\d+)\b"
)
_OFTEN = 0.001  # share of rows from which what costs nothing is no write-off of one piece


def rules(
    table: pa.Table, columns: Columns, export: Export, kind: Format, given: Given
) -> dict[str, tuple[str, ...]]:
    """Propose `ingest.leave_out`.

    Args:
        table: the whole columns of statuses, of cancellations, and of who it was.
        columns: the mapping.
        export: whose they are.
        kind: of export.
        given: may say the whole, which then holds.

    Raises:
        RecganError: what was given names a column that is not there.
    """
    if given.leave_out is not None:
        for name in given.leave_out:
            if name not in export.columns:
                raise RecganError(
                    f"--leave-out {name}=…: no column {name}, only {', '.join(export.columns)}; mend it"
                )
        return dict(given.leave_out)
    proposed: dict[str, tuple[str, ...]] = {}
    for name in named(export.columns, kind.statuses):
        values = [str(value) for value in pc.drop_null(pc.unique(table[name])).to_pylist()]
        found = sorted(value for value in values if _cancelled(value))
        if found or kind.event is not None:
            prefix = "wc-" if any(value.startswith("wc-") for value in values) else ""
            usual = [f"{prefix}{status}" for status in ("cancelled", "refunded", "voided", "failed")]
            lower = {value.strip().lower() for value in found}
            proposed[name] = (*found, *(status for status in usual if status not in lower))
    for name in named(export.columns, kind.cancelled):
        proposed[name] = ()
    who = columns.events["user_id"]
    if (
        kind.order  # of a shop's orders
        and plain(who) in ("customerid", "customeruser", "userid", "customer")
        and "0" in pc.unique(table[who].cast(pa.string())).to_pylist()
    ):
        proposed[who] = ("0",)  # WooCommerce writes it for guests
    return proposed


def stays(
    table: pa.Table, kind: Format, export: Export, rules: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """Return column of statuses → value → rows, of the statuses that leave no row out."""
    found = {}
    for name in named(export.columns, kind.statuses):
        counts = {str(one["values"]): one["counts"] for one in pc.value_counts(table[name]).to_pylist()}
        out = {value.strip().lower() for value in rules.get(name, ())}
        kept = {value: rows for value, rows in counts.items() if value.strip().lower() not in out}
        found[name] = dict(sorted(kept.items(), key=lambda pair: -pair[1]))
    return found


def _cancelled(status: str) -> bool:
    told = words(status)
    return bool(CANCELLED.search(told)) and not PARTLY.search(told)


def no_products(tables: Tables, given: Given) -> dict[str, str]:
    """Find items that nobody should be recommended, by their words, or because they always cost nothing.

    A title counts that has nothing but such words beside numbers and a carrier: "Gift card 50" does, "Gift
    card holder" does not.

    Args:
        tables: as ingest reads them.
        given: ids that are none, and ids that are products whatever they look like.

    Returns:
        Id → why: its title, or that it costs nothing.

    Raises:
        RecganError: no event has an id that was given.
    """
    titles = dict(zip(tables.items["item_id"].to_pylist(), tables.items["title"].to_pylist(), strict=True))
    for name in (*given.not_products, *given.products):
        if name not in titles:
            raise RecganError(f"no event has the item {name}; mend --not-product or --product")
    free = _always_free(tables)
    found = {}
    for name, title in titles.items():
        if name in given.products:
            continue
        if name in given.not_products:
            found[name] = title or "as you say"
        elif _says_no_product(title or "") or _says_no_product(name):
            found[name] = title or name
        elif name in free:
            found[name] = f"{title or name}: always free"
    return dict(sorted(found.items()))


def _says_no_product(text: str) -> bool:
    bare = words(text).strip()
    rest = _NO_PRODUCT.sub(" ", bare)
    return rest != bare and not _BESIDE.sub(" ", rest).strip()


def _always_free(tables: Tables) -> set[str]:
    """Return items that are often in an order and never cost anything: samples, leaflets."""
    sold = tables.events.filter(
        pc.and_(pc.is_valid(tables.events["price"]), pc.is_valid(tables.events["item_id"]))
    )
    prices = sold.group_by("item_id").aggregate([("price", "max"), ("price", "count")])
    often = max(2, _OFTEN * tables.events.num_rows)
    free = pc.and_(pc.equal(prices["price_max"], 0), pc.greater_equal(prices["price_count"], often))
    return set(prices.filter(free)["item_id"].to_pylist())
