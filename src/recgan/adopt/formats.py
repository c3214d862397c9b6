"""The exports that are recognised, as tables of their names.

Names are compared by their letters and digits alone: `Lineitem sku` and `lineitem_sku` are one.
The names of Shopify, WooCommerce, GA4, Segment and Matomo are those of their own exports, or of what usually
flattens them.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recgan.data.settings import EventKind

Names = tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """One kind of export: by which columns it is known, and what they mean."""

    name: str
    marks: tuple[Names, ...]
    """It is one where each of these groups has a column."""
    columns: Mapping[str, Names]
    """Our event column → their names, the best one first."""
    items: Mapping[str, Names] = field(default_factory=dict)
    """Our column of items → their names, in the rows of the events."""
    event: EventKind | None = None
    """The kind of every row; None where a column says it, or nobody."""
    event_names: Mapping[str, EventKind] = field(default_factory=dict)
    """A plain name of an event → our kind, where no other counts; empty where the usual names do."""
    order: Names = ()
    """The column that names an order of several rows, whose first row alone has what `filled` names."""
    filled: Names = ()
    statuses: Names = ()
    """Columns with a status, of which those of `CANCELLED` leave a row out."""
    cancelled: Names = ()
    """Columns that leave a row out where they have any value."""


def _names(text: str) -> Names:
    return tuple(text.split())


def words(text: str) -> str:
    """Return a text's words of letters and digits in lower case, without accents, a blank between them."""
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", " ", bare.lower())


def plain(name: str) -> str:
    """Return a name's letters and digits, without accents."""
    return words(name).replace(" ", "")


CANCELLED = re.compile(
    r"cancel|refund|void|fail|expire|declin|reject|return|trash|draft|pending|on ?hold|abandon|chargeback"
    r"|stornier|storno|erstatt|abgebroch|retour|annul|rembours|anulad|cancelad|reembols"
)
"""In the plain words of a status: an order that nobody kept, or has not paid."""
PARTLY = re.compile(r"\b(partial|partially|partly|teil|teilweise|partiel|partiellement|not|no|nicht)")
"""In those of one that somebody kept at least in part."""

_KIND_NAMES: Mapping[EventKind, Names] = {
    "view": _names(
        "view views viewed view_item item_view product_view product_viewed pageview page_view "
        "detail product_detail click clicked pv visit impression_click select_item "
        "viewcontent ansicht action"
    ),
    "cart": _names(
        "cart add_to_cart addtocart add product_added added_to_cart basket add_to_basket "
        "wishlist add_to_wishlist fav favorite ecommerceAbandonedCart ecommerceCartUpdate "
        "warenkorb"
    ),
    "purchase": _names(
        "purchase purchased buy bought order ordered sale transaction checkout_complete "
        "order_completed product_purchased conversion paid ecommerceOrder kauf bestellung"
    ),
    "rating": _names("rating rate rated review reviewed stars bewertung"),
}

KINDS: Mapping[str, EventKind] = {plain(name): kind for kind, names in _KIND_NAMES.items() for name in names}
"""A plain name of an event → our kind."""

_SHOPIFY = Format(
    name="an export of Shopify's orders",
    marks=(_names("lineitemname"), _names("lineitemquantity"), _names("createdat")),
    columns={
        "user_id": _names("Email Customer_ID Phone"),
        "item_id": _names("Lineitem_sku Lineitem_name"),
        "timestamp": _names("Created_at Paid_at"),
        "value": _names("Lineitem_quantity"),
        "price": _names("Lineitem_price"),
        "session_id": _names("Name Id"),
    },
    items={"title": _names("Lineitem_name"), "price": _names("Lineitem_price"), "brand": _names("Vendor")},
    event="purchase",
    order=_names("Name Id"),
    filled=_names("Email Customer_ID Phone Created_at Paid_at Financial_Status Cancelled_at"),
    statuses=_names("Financial_Status"),
    cancelled=_names("Cancelled_at"),
)

_WOOCOMMERCE = Format(
    name="an export of WooCommerce's orders",
    marks=(
        _names("orderid ordernumber id"),
        _names("datecreated orderdate datecreatedgmt postdate"),
        _names("itemname productname lineitemname itemsname lineitemsname name1"),
        _names("status orderstatus billingemail customeremail"),
    ),
    columns={
        "user_id": _names(
            "billing_email Billing_Email_Address customer_email Email_Billing customer_user "
            "customer_id user_id"
        ),
        "item_id": _names("sku item_sku product_sku product_id item_id item_name product_name"),
        "timestamp": _names("date_created order_date date_created_gmt post_date paid_date"),
        "value": _names("quantity qty item_quantity product_qty Quantity_Refund"),
        "price": _names("item_price item_cost product_price price unit_price"),
        "session_id": _names("order_id order_number id"),
    },
    items={
        "title": _names("item_name product_name line_item_name name"),
        "category": _names("category product_category categories"),
        "brand": _names("brand"),
        "price": _names("item_price item_cost product_price price unit_price"),
    },
    event="purchase",
    order=_names("order_id order_number id"),
    filled=_names(
        "billing_email Billing_Email_Address customer_email Email_Billing customer_user "
        "customer_id user_id date_created order_date date_created_gmt post_date paid_date "
        "status order_status"
    ),
    statuses=_names("status order_status"),
)

_GA4 = Format(
    name="an export of GA4's events",
    event_names={"viewitem": "view", "addtocart": "cart", "addtowishlist": "cart", "purchase": "purchase"},
    marks=(_names("eventname"), _names("eventtimestamp"), _names("userpseudoid")),
    columns={
        "user_id": _names("user_id user_pseudo_id"),
        "item_id": _names("item_id items.item_id items_item_id item_name items.item_name"),
        "timestamp": _names("event_timestamp"),
        "event": _names("event_name"),
        "value": _names("quantity items.quantity items_quantity"),
        "price": _names("price items.price items_price price_in_usd"),
        "session_id": _names("ga_session_id session_id transaction_id"),
    },
    items={
        "title": _names("item_name items.item_name items_item_name"),
        "category": _names("item_category items.item_category items_item_category"),
        "brand": _names("item_brand items.item_brand items_item_brand"),
        "price": _names("price items.price items_price"),
    },
)

_SEGMENT = Format(
    name="an export of Segment's tracks",
    marks=(
        _names("anonymousid"),
        _names("event eventtext"),
        _names("timestamp originaltimestamp receivedat sentat"),
    ),
    columns={
        "user_id": _names("userId anonymousId"),
        "item_id": _names(
            "properties.product_id product_id properties.sku sku properties.products.product_id"
        ),
        "timestamp": _names("timestamp originalTimestamp sentAt receivedAt"),
        "event": _names("event event_text"),
        "value": _names("properties.quantity quantity"),
        "price": _names("properties.price price"),
        "session_id": _names("properties.order_id order_id context.session_id session_id"),
    },
    items={
        "title": _names("properties.name properties.product_name name"),
        "category": _names("properties.category category"),
        "brand": _names("properties.brand brand"),
        "price": _names("properties.price price"),
    },
)

_MATOMO = Format(
    name="an export of Matomo's actions",
    marks=(_names("visitorid idvisitor"), _names("actiontype type actiondetailstype")),
    columns={
        "user_id": _names("userId visitorId idvisitor"),
        "item_id": _names("productSku itemSku productViewSku sku productName"),
        "timestamp": _names("timestamp serverTimestamp serverTimePretty serverTime server_time"),
        "event": _names("actionType actionDetails.type type"),
        "value": _names("quantity productQuantity"),
        "price": _names("price productPrice productViewPrice"),
        "session_id": _names("idVisit orderId"),
    },
    items={
        "title": _names("productName productViewName itemName"),
        "category": _names("productCategory productViewCategory category"),
        "price": _names("price productPrice productViewPrice"),
    },
)

_LOG = Format(
    name="a log, one row an event",
    marks=(),
    columns={
        "user_id": _names(
            "user_id user uid customer_id customer client_id client member_id shopper_id buyer_id "
            "account_id visitor_id visitor user_pseudo_id anonymous_id household_id reviewer_id "
            "person_id email customer_email kundennummer kunden_nr kunden_id kunde cookie_id "
            "login user_name username"
        ),
        "item_id": _names(
            "item_id item product_id product sku product_sku item_sku article_id article "
            "stock_code variant_id asin movie_id content_id product_code item_code ean gtin isbn "
            "artikelnummer artikel_nr artikel_id artikel produkt product_name item_name"
        ),
        "timestamp": _names(
            "timestamp time datetime date_time event_time event_timestamp created_at ts at "
            "occurred_at purchased_at ordered_at order_date invoice_date purchase_date event_date "
            "transaction_date date day created zeitpunkt zeit bestelldatum kaufdatum datum "
            "server_time unix_review_time"
        ),
        "event": _names(
            "event event_type event_name action action_type activity interaction behavior "
            "behaviour behavior_type kind type ereignis aktion"
        ),
        "value": _names("value rating stars score quantity qty menge anzahl units count"),
        "price": _names("price unit_price item_price product_price einzelpreis preis stueckpreis"),
        "session_id": _names(
            "session_id session order_id order_number order_no order invoice_no invoice basket_id "
            "transaction_id visit_id bestellnummer bestell_nr user_session"
        ),
    },
    items={
        "title": _names(
            "title product_name item_name product_title description artikelbezeichnung "
            "bezeichnung produktname"
        ),
        "category": _names(
            "category category_name product_category category_code kategorie department product_type"
        ),
        "image_url": _names("image_url image_link image_src image picture_url bild bild_url"),
        "brand": _names("brand vendor manufacturer marke hersteller"),
        "price": _names("price unit_price item_price product_price einzelpreis preis stueckpreis"),
    },
    statuses=_names("status order_status payment_status financial_status bestellstatus"),
    cancelled=_names("cancelled_at canceled_at"),
)

FORMATS = (_SHOPIFY, _GA4, _SEGMENT, _MATOMO, _WOOCOMMERCE, _LOG)
"""The first whose marks are there holds; a plain log has none."""


def recognise(columns: Sequence[str]) -> Format:
    """Return the kind of export that has such columns."""
    there = {plain(column) for column in columns}
    return next(f for f in FORMATS if all(there & set(group) for group in f.marks))


def named(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns that are there under some names, in the order of the names."""
    by_plain = {plain(column): column for column in reversed(columns)}  # of two alike the first
    found = [by_plain[plain(name)] for name in names if plain(name) in by_plain]
    return list(dict.fromkeys(found))
