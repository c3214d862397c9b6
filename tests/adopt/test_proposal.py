"""What is proposed for exports of known content, against what stands in them."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from recgan.adopt import preview
from recgan.adopt.formats import FORMATS
from recgan.adopt.given import Given, refuse
from recgan.adopt.proposal import propose
from recgan.adopt.sample import look
from recgan.core.errors import RecganError
from recgan.settings import load_with_base
from tests.adopt import exports
from tests.conftest import ROOT

BASE = load_with_base(ROOT / "examples/own-files.yaml")


def proposed(folder, text, ask=refuse, encoding="utf-8", **given):
    path = folder / "export.csv"
    path.write_bytes(text.encode(encoding))
    return propose(look([path]), BASE, Given(**given), ask)


def complaint(folder, text, **given):
    with pytest.raises(RecganError) as caught:
        proposed(folder, text, **given)
    return str(caught.value)


def kept(proposal, *columns):
    return [tuple(row[name] for name in columns) for row in proposal.kept.to_pylist()]


def test_shopify(tmp_path):
    proposal = proposed(tmp_path, exports.SHOPIFY)
    assert proposal.kind is FORMATS[0]
    assert kept(proposal, "user_id", "item_id", "value", "price", "session_id") == [
        ("a@x.com", "T1", 2.0, 5.0, "#1001"),
        ("a@x.com", "P1", 1.0, 20.0, "#1001"),
        ("c@x.com", "H1", 1.0, 9.0, "#1004"),
        ("c@x.com", "T1", 3.0, 5.5, "#1006"),
    ]
    assert proposal.kept["timestamp"][0].as_py() == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert (proposal.rows, proposal.left_out) == (12, 4)
    assert proposal.reasons == {"not_a_product": 3, "null_user": 1}
    assert list(proposal.no_products) == ["GIFT", "S1", "SHIP"]
    assert proposal.ingest["fill_down"]["order"] == "Name"
    assert proposal.ingest["leave_out"]["Cancelled at"] == []
    assert proposal.ingest["event"] == "purchase"
    items = {row["item_id"]: row for row in proposal.tables.items.to_pylist()}
    assert (items["T1"]["title"], items["T1"]["price"], items["T1"]["brand"]) == ("Green tea", 5.0, "Leaf")


def test_what_is_a_product_is_for_a_person_to_say(tmp_path):
    proposal = proposed(tmp_path, exports.SHOPIFY, products=("GIFT",), not_products=("H1",))
    assert list(proposal.no_products) == ["H1", "S1", "SHIP"]
    assert "no event has the item X9" in complaint(tmp_path, exports.SHOPIFY, not_products=("X9",))
    everything = proposed(tmp_path, exports.SHOPIFY, leave_out={})
    assert everything.left_out == 0
    assert "--leave-out Stat=…: no column Stat" in complaint(
        tmp_path, exports.SHOPIFY, leave_out={"Stat": ()}
    )


def test_without_skus_a_product_is_its_name(tmp_path):
    rows = [line.split(",") for line in exports.SHOPIFY.splitlines()]
    text = "\n".join(",".join([*row[:9], row[9] if n == 0 else "", *row[10:]]) for n, row in enumerate(rows))
    proposal = proposed(tmp_path, text)
    assert proposal.ingest["columns"]["item_id"] == "Lineitem name"
    assert kept(proposal, "item_id")[0] == ("Green tea",)


def test_woocommerce(tmp_path):
    proposal = proposed(tmp_path, exports.WOOCOMMERCE)
    assert "WooCommerce" in proposal.kind.name
    assert proposal.ingest["leave_out"]["status"][:2] == ["wc-cancelled", "wc-refunded"]
    assert kept(proposal, "user_id", "item_id", "value") == [("a@x.com", "T1", 2.0), ("b@x.com", "P1", 1.0)]
    assert proposal.reasons == {"null_user": 1, "not_a_product": 1}
    assert not proposal.moments.zoned


def test_woocommerces_guests_have_the_number_0(tmp_path):
    text = exports.WOOCOMMERCE.replace("billing_email", "billing_name")
    proposal = proposed(tmp_path, text)
    assert proposal.ingest["leave_out"]["customer_id"] == ["0"]
    assert kept(proposal, "user_id", "item_id") == [("7", "T1")]
    assert proposal.reasons == {"not_a_product": 1, "cancellation": 1}


def test_ga4(tmp_path):
    proposal = proposed(tmp_path, exports.GA4)
    assert "GA4" in proposal.kind.name
    assert kept(proposal, "user_id", "item_id", "event") == [
        ("1.1", "T1", "view"),
        ("1.1", "T1", "cart"),
        ("1.1", "T1", "purchase"),
        ("2.2", "P1", "view"),
    ]
    assert proposal.kept["timestamp"][0].as_py() == datetime(2024, 5, 1, 10, 0, 1, tzinfo=UTC)
    assert proposal.ingest["event_names"] == {"view_item": "view", "add_to_cart": "cart"}
    assert set(proposal.kinds.others) == {"session_start", "scroll"}
    assert sum(proposal.reasons.values()) == 2


def test_segment(tmp_path):
    proposal = proposed(tmp_path, exports.SEGMENT)
    assert "Segment" in proposal.kind.name
    assert kept(proposal, "user_id", "event") == [("x-1", "view"), ("x-1", "cart"), ("x-1", "purchase")]


def test_matomo(tmp_path):
    proposal = proposed(tmp_path, exports.MATOMO)
    assert "Matomo" in proposal.kind.name
    assert kept(proposal, "user_id", "item_id", "event", "price") == [
        ("v1", "T1", "view", 5.0),
        ("v1", "T1", "purchase", 5.0),
    ]


def test_semicolons_a_decimal_comma_and_the_day_first_in_cp1252(tmp_path):
    proposal = proposed(tmp_path, exports.LOG, encoding="cp1252", timezone="Europe/Berlin")
    assert proposal.ingest["csv"] == {"delimiter": ";", "encoding": "cp1252", "decimal": ","}
    assert proposal.ingest["time_format"] == "%d.%m.%Y %H:%M"
    assert kept(proposal, "user_id", "item_id", "value", "price") == [
        ("17", "A1", 1.0, 1234.5),
        ("17", "A2", 2.0, 12.0),
        ("18", "A1", 1.0, 999.99),
    ]
    assert proposal.kept["timestamp"][0].as_py() == datetime(2024, 4, 3, 13, 30, tzinfo=UTC)
    assert proposal.tables.items["title"].to_pylist() == ["Tür, groß", "Bett"]


def test_monthly_files_and_parquet_give_the_same_events(tmp_path):
    table = pacsv.read_csv(pa.BufferReader(exports.GA4.encode()))
    (tmp_path / "months").mkdir()
    header, *rows = exports.GA4.splitlines(keepends=True)
    for month, part in (("04", rows[:3]), ("05", rows[3:])):
        (tmp_path / f"months/events-{month}.csv").write_text(header + "".join(part))
    pq.write_table(table.drop_columns(["user_id"]), tmp_path / "events.parquet")
    whole = proposed(tmp_path, exports.GA4)
    parts = propose(look([tmp_path / "months"]), BASE, Given(), refuse)
    parquet = propose(look([tmp_path / "events.parquet"]), BASE, Given(), refuse)
    assert parts.kept.equals(whole.kept)
    assert parquet.kept.equals(whole.kept)
    assert "csv" not in parquet.ingest


def test_an_open_question_is_one_error_that_names_its_flag(tmp_path):
    assert "--event" in complaint(tmp_path, "user,item,at\na,x,2024-05-01\n")
    assert "--column user_id=NAME" in complaint(tmp_path, "wer,item,at\na,x,2024-05-01\n")
    assert "--day-first or --month-first" in complaint(tmp_path, "user,item,at,n\na,x,03/04/2024,1\n")
    assert "--event-name" in complaint(tmp_path, "user,item,at,event\na,x,2024-05-01,poke\n")
    message = complaint(tmp_path, 'user,item,at,price\na,x,2024-05-01,"1,234"\n')
    assert "may stand before decimals or between thousands" in message
    assert "--column user_id=who: no column who" in complaint(
        tmp_path, "user,item,at\na,x,2024-05-01\n", columns={"user_id": "who"}
    )


def test_a_flag_that_cannot_be_is_one_clear_error(tmp_path):
    text = "user,item,at,qty\na,x,2024-05-01 10:00,1\n"
    assert "no such time zone" in complaint(tmp_path, text, timezone="Europe/Berlyn")
    assert "not Python's directives" in complaint(tmp_path, text, time_format="%Q")
    with pytest.raises(RecganError, match="delimiter"):
        look([tmp_path / "export.csv"], delimiter=":")
    with pytest.raises(RecganError, match="no CSV in utf-99"):
        look([tmp_path / "export.csv"], encoding="utf-99")


def test_answers_and_flags_say_what_the_data_does_not(tmp_path):
    text = "wer,item,at,do\na,x,03/04/2024,poke\nb,y,03/05/2024,pull\n"
    answers = {"--column user_id": "wer", "--day-first": "day", "--event-name": "poke"}

    def ask(question, possible, flag):
        return next(answer for start, answer in answers.items() if flag.startswith(start))

    proposal = proposed(tmp_path, text, ask=ask, columns={"event": "do"})
    assert kept(proposal, "user_id", "event") == [("a", "purchase")]
    assert proposal.kept["timestamp"][0].as_py() == datetime(2024, 4, 3, tzinfo=UTC)
    named = proposed(
        tmp_path,
        text,
        day_first=True,
        event_names={"pull": "cart"},
        columns={"event": "do", "user_id": "wer"},
    )
    assert kept(named, "event") == [("cart",)]


def test_stars_beyond_five_have_a_range_of_their_own(tmp_path):
    text = "user,item,at,rating\na,x,1714557600,10\nb,y,1714557601,2\n"
    proposal = proposed(tmp_path, text)
    assert proposal.ingest["event"] == "rating"
    assert proposal.validate["values"]["rating"] == {"low": 2.0, "high": 10.0}


def test_ranges_hold_what_the_export_has(tmp_path):
    text = (
        "user,item,at,quantity,price\na,x,1714557600,0.25,0.004\nb,y,1714557601,1824,5\nb,y,1714557602,-3,0\n"
    )
    proposal = proposed(tmp_path, text)
    assert proposal.validate["values"]["purchase"] == {"low": 0.1, "high": 10_000}
    assert proposal.validate["price"] == {"low": 0.001, "high": 100_000}
    assert "value_out_of_range" not in proposal.reasons
    assert (
        proposed(tmp_path, text.replace("1824", "18").replace("0.", "2."))
        .validate.keys()
        .isdisjoint({"values", "price"})
    )


def test_the_preview_shows_rows_and_what_is_left_out(tmp_path):
    text = "\n".join(preview.lines(proposed(tmp_path, exports.SHOPIFY)))
    assert "12 rows, an export of Shopify's orders" in text
    assert "4 rows where Financial Status is refunded, cancelled, voided, failed; Cancelled" in text
    assert "GIFT: Gift card - 50 € (1×)" in text
    assert "1 rows without a customer, as guests' are" in text
    assert "kept: 4 events" in text


def orders_of(statuses):
    """A log of one order each, by statuses."""
    rows = [
        f"u{number % 3},i{number % 4},2026-01-{number + 1:02} 10:00,{status}"
        for number, status in enumerate(statuses)
    ]
    return "\n".join(["customer,product,date,status", *rows])


def test_whatever_a_shop_calls_a_cancelled_order_is_left_out_and_what_stays_is_said(tmp_path):
    gone = ["Cancelled by customer", "Returned - damaged", "chargeback", "Storno", "Annulée", "wc-refunded"]
    stay = ["Shipped", "Shipped", "partially_refunded", "not returned"]
    found = proposed(tmp_path, orders_of([*gone, *stay]), event="purchase")
    assert set(gone) <= set(found.ingest["leave_out"]["status"])
    assert found.stays == {"status": {"Shipped": 2, "partially_refunded": 1, "not returned": 1}}
    assert found.kept.num_rows == 4
    assert any("rows stay where status is Shipped (2)" in line for line in preview.lines(found))


def test_in_a_plain_log_the_customer_0_is_a_customer(tmp_path):
    rows = [f"{number % 3},i{number % 4},2026-01-{number + 1:02} 10:00" for number in range(9)]
    found = proposed(tmp_path, "\n".join(["customer_id,product,date", *rows]), event="purchase")
    assert "leave_out" not in found.ingest
    assert found.kept.num_rows == 9


def ga4_of(rows):
    return "\n".join(["event_name,event_timestamp,user_pseudo_id,user_id,item_id", *rows])


def test_of_ga4s_events_three_count_and_its_word_for_nothing_is_no_product(tmp_path):
    start = 1767225600000000
    rows = [f"view_item,{start + number},p{number},,i1" for number in range(4)]
    rows += [f"page_view,{start + 9},p1,,(not set)", f"add_to_cart,{start + 10},p1,,(not set)"]
    found = proposed(tmp_path, ga4_of(rows))
    assert kept(found, "event", "item_id") == [("view", "i1")] * 4
    assert "page_view" in found.kinds.others
    assert any("NOTE: no cart is left" in line for line in preview.lines(found))


def test_who_is_logged_in_half_the_time_is_known_by_the_browser(tmp_path):
    rows = [f"view_item,{1767225600000000 + n},p{n},{'u1' if n % 2 else ''},i1" for n in range(8)]
    found = proposed(tmp_path, ga4_of(rows))
    assert found.ingest["columns"]["user_id"] == "user_pseudo_id"
    assert "user_id" in found.unused
