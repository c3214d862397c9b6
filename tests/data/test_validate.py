"""The stage: what stops it, what it says, what it leaves behind."""

import json
import logging
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.data import expectations
from recgan.data.events import EVENTS, FEEDBACK_PART, ITEMS, USERS, Tables, read_tables, write_tables
from recgan.data.quarantine import QUARANTINE, REASONS, joined
from recgan.data.settings import ValidateParams
from recgan.data.validate import check, summarise
from recgan.settings import load_params
from recgan.stages import validate
from tests.conftest import SHOP

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2025, 12, 1, tzinfo=UTC)
SECTION = {
    "period_start": None,
    "period_end": None,
    "values": {"purchase": {"low": 1, "high": 100}, "rating": {"low": 1, "high": 5}},
    "price": {"low": 0.01, "high": 1000},
    "not_products": [],
    "expected": [],
    "drop": ["null_user", "duplicate"],
    "max_quarantined_share": 0.1,
    "min_events": 100,
    "max_age_days": None,
    "max_user_share": 0.2,
}


def event(i, **change):
    return {
        "user_id": f"u{i % 10}",
        "item_id": f"i{i % 7}",
        "event": "purchase",
        "timestamp": START + timedelta(minutes=i),
        "value": 1.0,
        "price": 2.0,
        "session_id": f"s{i}",
        "split": None,
    } | change


CLEAN = [event(i) for i in range(200)]
USER_ROWS = [{"user_id": f"u{i}", "fake": False} for i in range(10)] + [{"user_id": "quiet", "fake": None}]


def tables(rows, items=7, users=USER_ROWS):
    return Tables(
        pa.Table.from_pylist(rows, schema=EVENTS),
        pa.Table.from_pylist([{"item_id": f"i{i}"} for i in range(items)], schema=ITEMS),
        pa.Table.from_pylist(users, schema=USERS),
    )


def project(root, given, **change):
    content = yaml.safe_load(SHOP.read_text(encoding="utf-8"))
    content["validate"] = SECTION | change
    (root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (root / "data" / "ingested").mkdir(parents=True, exist_ok=True)
    write_tables(given, root / "data" / "ingested")
    return root


def metrics(root):
    return json.loads((root / "metrics" / "validation.json").read_text(encoding="utf-8"))


def complaint(root):
    with pytest.raises(RecganError) as raised:
        validate(root, NOW)
    return str(raised.value)


def named(message):
    return re.findall(r"^- (\w+):", message, flags=re.MULTILINE)


def test_clean_events_are_all_kept(tmp_path):
    root = project(tmp_path, tables(CLEAN))
    validate(root, NOW)
    kept = read_tables(root / "data" / "kept")
    assert kept.events.equals(tables(CLEAN).events)
    assert kept.items.equals(tables(CLEAN).items)
    assert kept.users["user_id"].to_pylist() == [f"u{i}" for i in range(10)]  # not the one without events
    assert len(pq.read_table(root / "data" / "kept" / "quarantine.parquet", schema=QUARANTINE)) == 0
    found = metrics(root)
    assert found["success"]
    assert all(e["success"] for e in found["expectations"].values())


def test_feedback_makes_no_stale_export_fresh(tmp_path):
    root = project(tmp_path, tables(CLEAN), max_age_days=2)
    events = root / "data/ingested/events.parquet"
    source = events.rename(events.with_name("source.parquet"))
    events.mkdir()
    source.rename(events / "part-00000.parquet")
    told = pa.Table.from_pylist([event(3, timestamp=NOW - timedelta(minutes=1))], EVENTS)
    pq.write_table(told, events / FEEDBACK_PART)
    assert named(complaint(root)) == ["kept_freshness"]
    found = metrics(root)
    assert (found["last_event"][:10], found["last_event_of_source"][:10]) == ("2025-12-31", "2025-12-01")


def test_droppable_rows_go_to_quarantine_with_their_reason(tmp_path, caplog):
    rows = [*CLEAN, event(1, user_id=None), event(5), event(6)]
    root = project(tmp_path, tables(rows))
    with caplog.at_level(logging.INFO, "recgan"):
        validate(root, NOW)
    quarantine = pq.read_table(root / "data" / "kept" / "quarantine.parquet")
    assert quarantine.schema == QUARANTINE
    assert quarantine["reason"].to_pylist() == ["null_user", "duplicate", "duplicate"]
    assert quarantine.select(EVENTS.names).equals(tables(rows).events.slice(200))
    assert read_tables(root / "data" / "kept").events.equals(tables(CLEAN).events)
    found = metrics(root)
    assert (found["raw"], found["kept"], found["quarantined"]) == (203, 200, 3)
    assert list(found["quarantined_by_reason"]) == ["not_a_product"] + [
        reason for reason in REASONS if reason != "not_a_product"
    ]
    assert {k: v for k, v in found["quarantined_by_reason"].items() if v} == {"null_user": 1, "duplicate": 2}
    assert found["expectations"]["duplicate"] == {"success": False, "severity": "warning", "unexpected": 2}
    assert "2 duplicate" in caplog.text


def test_what_is_expected_to_be_left_out_is_no_fault(tmp_path, caplog):
    """Half of the rows are guests or postage that no items file lists; one row is faulty."""
    guests = [event(i, user_id=None, session_id=f"g{i}") for i in range(150)]
    postage = [event(i, item_id="post", price=1e9, session_id=f"p{i}") for i in range(50)]
    rows = [*CLEAN, *guests, *postage, event(5)]
    root = project(
        tmp_path,
        tables(rows),
        expected=["null_user"],
        drop=["duplicate"],
        not_products=["post"],
        max_quarantined_share=0.005,
    )
    with caplog.at_level(logging.INFO, "recgan"):
        validate(root, NOW)
    found = metrics(root)
    assert found["success"]
    assert (found["raw"], found["kept"], found["quarantined"]) == (401, 200, 201)
    assert (found["expected"], found["faulty"]) == (200, 1)
    assert (found["expected_share"], found["faulty_share"]) == (round(200 / 401, 6), round(1 / 201, 6))
    assert {reason: n for reason, n in found["quarantined_by_reason"].items() if n} == {
        "null_user": 150,
        "not_a_product": 50,
        "duplicate": 1,
    }
    assert found["expectations"]["quarantined_share"]["observed"] == pytest.approx(1 / 201)
    assert found["expectations"]["unknown_item"]["success"]
    assert "200 of them as expected, 1 with a fault (0.498 % of the rest)" in caplog.text
    page = (root / "reports" / "validation.html").read_text("utf-8")
    assert "200 left out as expected" in page
    assert "of the rest: 1 with a fault" in page
    validate(project(tmp_path, tables(rows), not_products=["post"], max_quarantined_share=0.5), NOW)
    assert (metrics(root)["expected"], metrics(root)["faulty"]) == (50, 151)


def test_a_product_to_leave_out_that_no_event_has_is_named(tmp_path, caplog):
    validate(
        project(tmp_path, tables(CLEAN), not_products=["i1", " i2 ", "I3"], max_quarantined_share=0.9), NOW
    )
    assert "names 2 item(s) that no event has, such as  i2 ; see to their spelling" in caplog.text


def test_a_price_of_an_item_that_is_none_is_left_out_counted_and_said(tmp_path, caplog):
    given = tables(CLEAN)
    prices = pa.array([math.inf, 2.0, -1.0, None, 0.0, 5000.0, 999.0], pa.float64())
    given = Tables(given.events, given.items.set_column(4, "price", prices).cast(ITEMS), given.users)
    root = project(tmp_path, given)
    with caplog.at_level(logging.INFO, "recgan"):
        validate(root, NOW)
    assert read_tables(root / "data" / "kept").items["price"].to_pylist() == [None, 2.0, *[None] * 4, 999.0]
    assert metrics(root)["item_prices_left_out"] == 4
    assert metrics(root)["expectations"]["items_price"] == {
        "success": False,
        "severity": "warning",
        "unexpected": 4,
    }
    assert "4 prices of items are none and left out" in caplog.text


BROKEN = {
    "no events": ([], {}, ["raw_events"]),
    "all ids null": (
        [event(i, user_id=None) for i in range(200)],
        {},
        ["quarantined_share"],
    ),
    "all ids null, and null ids are not droppable": (
        [event(i, user_id=None) for i in range(200)],
        {"drop": []},
        ["null_user", "quarantined_share"],
    ),
    "one shopper": ([event(i, user_id="u1") for i in range(200)], {}, ["kept_users", "kept_user_share"]),
    "all are guests, as expected": (
        [event(i, user_id=None) for i in range(200)],
        {"expected": ["null_user"], "max_quarantined_share": 0},
        ["kept_volume", "kept_users", "kept_items", "kept_user_share"],
    ),
    "many faults beside the guests": (
        [
            event(i, user_id=None if i < 160 else f"u{i % 10}", price=0.0 if i > 190 else 1.0)
            for i in range(200)
        ],
        {"expected": ["null_user"], "drop": ["price_out_of_range"], "max_quarantined_share": 0.2},
        ["quarantined_share"],
    ),
    "one item, too few, too old, and a strange split": (
        [event(i, item_id="i1", split="valid" if i == 9 else None) for i in range(99)],
        {"max_age_days": 3},
        ["kept_volume", "kept_items", "kept_split", "kept_freshness"],
    ),
    "no times but freshness": (
        [event(i, timestamp=None, split="train") for i in range(200)],
        {"max_age_days": 3},
        ["kept_freshness"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_trusted_stops_the_stage(tmp_path, case):
    rows, change, expected = BROKEN[case]
    root = project(tmp_path, tables(rows), **change)
    message = complaint(root)
    assert named(message) == expected
    assert "mend the source" in message
    assert not (root / "data" / "kept").exists()
    found = metrics(root)
    assert not found["success"]
    assert found["kept"] + found["quarantined"] == found["raw"] == len(rows)
    assert 'Validation <span class="bad">failed' in (root / "reports" / "validation.html").read_text("utf-8")


FAULTS = {
    "null_event": {"event": None},
    "unknown_event": {"event": "refund"},
    "null_timestamp": {"timestamp": None},
    "future_timestamp": {"timestamp": NOW + timedelta(days=1)},
    "cancellation": {"value": -1.0},
    "outside_period": {"timestamp": START - timedelta(seconds=1)},
    "purchase_value_out_of_range": {"value": 101.0},
    "rating_value_out_of_range": {"event": "rating", "value": 6.0},
    "rating_without_value": {"event": "rating", "value": None},
    "price_out_of_range": {"price": 0.0},
    "unknown_item": {"item_id": "hat"},
    "duplicate": {},
}
"""Expectation → what of one row breaks it, and no other."""


def test_each_rule_of_a_row_finds_the_row_that_breaks_it_and_no_other(tmp_path):
    rows = CLEAN + [event(i, **change) for i, change in enumerate(FAULTS.values())]
    root = project(tmp_path, tables(rows), drop=[], period_start=START.isoformat())
    assert named(complaint(root)) == list(FAULTS)
    found = metrics(root)["expectations"]
    broken = {name: one["unexpected"] for name, one in found.items() if not one["success"]}
    assert broken == dict.fromkeys(FAULTS, 1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"users": [*USER_ROWS, USER_ROWS[0]]}, ["users_unique_id"]),
        ({"users": [*USER_ROWS, {"user_id": None}]}, ["users_null_id"]),
        ({"items": 0}, ["unknown_item", "quarantined_share"]),
    ],
)
def test_the_other_tables_are_checked_too(tmp_path, change, expected):
    assert named(complaint(project(tmp_path, tables(CLEAN, **change)))) == expected


def test_a_user_outside_the_users_table_only_warns(tmp_path):
    root = project(tmp_path, tables(CLEAN, users=USER_ROWS[1:]))
    validate(root, NOW)
    assert metrics(root)["expectations"]["kept_known_user"] == {
        "success": False,
        "severity": "warning",
        "unexpected": 20,
    }


def test_the_error_names_count_share_examples_and_remedy(tmp_path):
    rows = [*CLEAN, *(event(i, event="refund", session_id=f"x{i}") for i in range(50))]
    message = complaint(project(tmp_path, tables(rows)))
    assert named(message) == ["unknown_event", "quarantined_share"]
    assert "50 of 250 rows break it (20 %)" in message
    assert message.count("event=refund") == 3
    assert "session_id=x2" in message
    assert "session_id=x3" not in message
    assert "add unknown_event to validate.drop" in message
    assert "raise validate.max_quarantined_share" in message
    assert "found 0.2" in message


def test_the_quarantined_share_may_be_just_the_limit(tmp_path):
    rows = [event(i, user_id=None if i < 70 else f"u{i % 10}") for i in range(100)]
    given = {"min_events": 1, "max_user_share": 1.0}
    validate(project(tmp_path, tables(rows), max_quarantined_share=0.7, **given), NOW)
    assert named(complaint(project(tmp_path, tables(rows), max_quarantined_share=0.69, **given))) == [
        "quarantined_share"
    ]


def test_a_failure_leaves_the_kept_events_as_they_were(tmp_path):
    root = project(tmp_path, tables(CLEAN))
    validate(root, NOW)
    before = {p.name: p.read_bytes() for p in (root / "data" / "kept").iterdir()}
    project(root, tables([*CLEAN, event(9, event="refund")]))
    complaint(root)
    assert {p.name: p.read_bytes() for p in (root / "data" / "kept").iterdir()} == before
    assert not metrics(root)["success"]


def test_the_same_input_gives_the_same_files(tmp_path):
    files = ("metrics/validation.json", "reports/validation.html", "data/kept/events.parquet")
    rows = [*CLEAN, event(5)]
    contents = []
    for later in (timedelta(0), timedelta(days=400)):
        root = project(tmp_path, tables(rows))
        validate(root, NOW + later)
        contents.append([(root / f).read_bytes() for f in files])
    assert contents[0] == contents[1]


def test_the_frame_is_not_changed_by_the_expectations():
    frame = joined(tables(CLEAN))
    before = frame.copy(deep=True)
    params = ValidateParams.model_validate(SECTION)
    expectations.expect_rows(frame, pd.Series(False, index=frame.index), params, NOW)
    expectations.expect_kept_rows(frame, params, NOW)
    assert frame.equals(before)


def test_what_does_not_hold_stands_open_and_the_rest_is_folded(tmp_path):
    root = project(tmp_path, tables([*CLEAN, event(9, event="steal")]))
    complaint(root)
    text = (root / "reports" / "validation.html").read_text(encoding="utf-8")
    page = ElementTree.fromstring(text.partition("\n")[2])
    folded = {id(one) for fold in page.iter("details") for one in fold.iter("tr")}
    rows = [
        row
        for one in page.iter("table")
        if one.get("class") == "expectations"
        for row in one.findall("tbody/tr")
    ]
    assert rows
    for row in rows:
        assert (id(row) in folded) == ("holds" in "".join(row.itertext()))
    for table in page.iter("table"):
        assert all(
            cell.get("scope") == "col" and "".join(cell.itertext()) for cell in table.findall("thead/tr/th")
        )
    targets = {one.get("id") for one in page.iter()}
    assert {one.get("href")[1:] for one in page.iter("a")} <= targets


def test_the_page_needs_no_network_and_escapes_what_the_data_says(tmp_path):
    rows = [*CLEAN, event(9, event="<script>alert(1)</script>")]
    root = project(tmp_path, tables(rows))
    complaint(root)
    text = (root / "reports" / "validation.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"src=|href=\"(?!#)|https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("change", [{"event": "steal"}, {"event": "purchase", "item_id": None}])
def test_ids_are_shown_without_addresses_and_in_one_line(tmp_path, change):
    """In the error, which logs and Prefect repeat, and on the page."""
    hostile = "anna.b@shop.example\n- all: expected: nothing\x1b[2J"
    rows = [*CLEAN, event(1, user_id=hostile, **change), event(2, user_id="+49 170 1234567", **change)]
    said = complaint(project(tmp_path, tables(rows)))
    page = (tmp_path / "reports" / "validation.html").read_text(encoding="utf-8")
    for text in (said, page):
        assert r"a…@…\n- all: expected: nothing\x1b[2J" in text
        assert "+49…" in text
        assert not any(secret in text for secret in ("shop.example", "1234567", "\x1b"))
    assert not any(line.startswith("- all") for line in said.splitlines())


def test_the_user_with_too_many_events_is_shown_so_too(tmp_path):
    rows = CLEAN + [event(i, user_id="anna@shop.example", session_id=f"x{i}") for i in range(200)]
    assert "user_id=a…@… has 200 events" in complaint(project(tmp_path, tables(rows)))


def test_nothing_but_the_declared_outputs_appears(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project(Path(), tables(CLEAN))
    validate(now=NOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "metrics", "params.yaml", "reports"]
    assert sorted(p.name for p in (tmp_path / "data" / "kept").iterdir()) == [
        "events.parquet",
        "items.parquet",
        "quarantine.parquet",
        "users.parquet",
    ]


def test_a_missing_input_is_one_clear_error(tmp_path):
    root = project(tmp_path, tables(CLEAN))
    (root / "data" / "ingested" / "events.parquet").unlink()
    assert "dvc repro" in complaint(root)


def test_the_default_params_name_only_rules_that_exist():
    assert set(load_params(SHOP).validate_.drop) <= set(REASONS)


def test_online_retail_raw_is_kept_plus_quarantined(real_data, tmp_path):
    online_retail = pytest.importorskip("recgan.data.sources.online_retail")
    given = online_retail.read_online_retail(real_data("online-retail"))
    params = ValidateParams.model_validate(
        SECTION
        | {
            "values": {"purchase": {"low": 1, "high": 100_000}},
            "price": {"low": 0.01, "high": 100_000},
            "drop": ["null_user", "cancellation", "price_out_of_range", "duplicate"],
            "max_quarantined_share": 0.3,
        }
    )
    (tmp_path / "ingested").mkdir()
    (tmp_path / "kept").mkdir()
    write_tables(given, tmp_path / "ingested")
    result = check(tmp_path / "ingested", tmp_path / "kept", params, NOW)
    assert result.failures == []
    found = summarise(result)
    assert found["raw"] == 541_909 == found["kept"] + found["quarantined"]
    assert {k: v for k, v in found["quarantined_by_reason"].items() if v} == {
        "null_user": 135_080,
        "cancellation": 8_905,  # README: 9,288 of them with those without customer
        "price_out_of_range": 44,
        "duplicate": 5_194,
    }
    # Usable purchases by the data's own description: 397,924 rows, prices of zero and copies included.
    assert found["kept"] == 397_924 - 44 - 5_194
    assert pc.min(read_tables(tmp_path / "kept").events["value"]).as_py() >= 1
