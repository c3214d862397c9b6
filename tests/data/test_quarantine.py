"""Row rules against hand-written rows, and the laws of the partition."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recgan.data import expectations
from recgan.data.events import EVENTS, ITEMS, USERS, Tables
from recgan.data.quarantine import (
    QUARANTINE,
    REASONS,
    broken_rules,
    expected_reasons,
    joined,
    partition,
    with_sound_pictures,
    with_sound_prices,
)
from recgan.data.settings import ValidateParams

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {
    "user_id": "anna",
    "item_id": "tea",
    "event": "purchase",
    "timestamp": datetime(2025, 6, 1, tzinfo=UTC),
    "value": 2.0,
    "price": 3.5,
    "session_id": "s1",
    "split": None,
}
PARAMS = ValidateParams(
    period_start=datetime(2025, 1, 1),  # without a zone: UTC
    period_end=datetime(2026, 12, 31, tzinfo=UTC),
    values={"purchase": {"low": 1, "high": 100}, "rating": {"low": 1, "high": 5}},
    price={"low": 0.01, "high": 1000},
    not_products=("postage",),
    expected=(),
    drop=(),
    max_quarantined_share=1,
    min_events=1,
    max_age_days=None,
    max_user_share=1,
)


def tables(rows):
    return Tables(
        pa.Table.from_pylist(rows, schema=EVENTS),
        pa.Table.from_pylist([{"item_id": "tea"}, {"item_id": "cup"}, {"item_id": "postage"}], schema=ITEMS),
        pa.Table.from_pylist(
            [
                {"user_id": "anna", "fake": None},
                {"user_id": "ben", "fake": False},
                {"user_id": "bot", "fake": True},
            ],
            schema=USERS,
        ),
    )


def rules_broken(row, params=PARAMS):
    broken = broken_rules(joined(tables([row])), params, NOW)
    return [reason for reason in REASONS if broken.loc[0, reason]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"user_id": None}, ["null_user"]),
        ({"item_id": None}, ["null_item"]),
        ({"event": "refund"}, ["unknown_event"]),
        ({"event": None}, ["unknown_event"]),
        ({"timestamp": None}, ["null_timestamp"]),
        ({"timestamp": None, "split": "train"}, []),
        ({"timestamp": NOW}, []),
        ({"timestamp": NOW + timedelta(microseconds=1)}, ["future_timestamp"]),
        ({"timestamp": datetime(2027, 1, 1, tzinfo=UTC)}, ["future_timestamp", "outside_period"]),
        ({"timestamp": datetime(2025, 1, 1, tzinfo=UTC)}, []),
        ({"timestamp": datetime(2024, 12, 31, 23, 59, tzinfo=UTC)}, ["outside_period"]),
        ({"value": 0.0}, ["cancellation"]),
        ({"value": -3.0}, ["cancellation"]),
        ({"value": 0.5}, ["value_out_of_range"]),
        ({"value": 100.0}, []),
        ({"value": 101.0}, ["value_out_of_range"]),
        ({"value": np.inf}, ["value_out_of_range"]),
        ({"value": None}, []),  # one piece
        ({"event": "rating", "value": 5.5}, ["value_out_of_range"]),
        ({"event": "rating", "value": -1.0}, ["value_out_of_range"]),
        ({"event": "rating", "value": None}, ["value_out_of_range"]),
        ({"event": "view", "value": -1.0}, []),  # no range is declared for views
        ({"price": 0.0}, ["price_out_of_range"]),
        ({"price": 1000.5}, ["price_out_of_range"]),
        ({"price": None}, []),
        ({"item_id": "hat"}, ["unknown_item"]),
        ({"item_id": "postage"}, ["not_a_product"]),
        ({"user_id": "bot"}, ["fake_account"]),
        ({"user_id": "stranger"}, []),  # not in the users table: nobody says that the account is fake
    ],
)
def test_each_rule_finds_its_row_and_no_other(change, expected):
    assert rules_broken(GOOD | change) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"price": 0.0, "value": -1.0},
        {"user_id": None, "event": "refund", "timestamp": None},
        {"user_id": "bot", "price": np.inf, "timestamp": datetime(1990, 1, 1, tzinfo=UTC)},
    ],
)
def test_what_is_named_no_product_is_held_against_no_other_rule(change):
    assert rules_broken(GOOD | {"item_id": "postage"} | change) == ["not_a_product"]
    unlisted = PARAMS.model_copy(update={"not_products": ("stamp",)})
    assert rules_broken(GOOD | {"item_id": "stamp"} | change, unlisted) == ["not_a_product"]


def test_what_is_expected_is_held_against_no_other_rule_and_comes_first():
    params = PARAMS.model_copy(update={"expected": ("cancellation", "null_user")})
    guest = {"user_id": None, "item_id": "hat", "price": 0.0}
    assert rules_broken(GOOD | guest, params) == ["null_user"]
    assert rules_broken(GOOD | {"value": -1.0, "price": 0.0, "event": "purchase"}, params) == ["cancellation"]
    assert rules_broken(GOOD | guest | {"value": -1.0, "item_id": "postage"}, params) == [
        "null_user",
        "cancellation",
        "not_a_product",
    ]
    assert rules_broken(GOOD | {"item_id": "hat", "price": 0.0}, params) == [
        "price_out_of_range",
        "unknown_item",
    ]
    rows = [GOOD | {"item_id": "postage", "user_id": None, "timestamp": None, "event": None}]
    parts = partition(tables(rows).events, broken_rules(joined(tables(rows)), PARAMS, NOW))
    assert parts.quarantined["reason"].to_pylist() == ["not_a_product"]


@pytest.mark.parametrize(
    ("price", "limits", "expected"),
    [
        ([1.0, np.inf, -np.inf, np.nan, None, -1.0, 0.0, 2e4], None, [1.0, *[None] * 5, 0.0, 2e4]),
        ([1.0, np.inf, 0.01, 0.0099, 1000.0, 1000.5], (0.01, 1000), [1.0, None, 0.01, None, 1000.0, None]),
        ([], None, []),
    ],
)
def test_a_price_of_an_item_that_is_none_is_left_out_and_counted(price, limits, expected):
    limits = limits and {"low": limits[0], "high": limits[1]}
    params = ValidateParams.model_validate(PARAMS.model_dump() | {"price": limits})
    items = pa.table(
        {name: [f"i{i}" for i in range(len(price))] for name in ITEMS.names} | {"price": price}
    ).cast(ITEMS)
    cleaned, left_out = with_sound_prices(items, params)
    assert cleaned["price"].to_pylist() == expected
    assert cleaned.drop_columns("price").equals(items.drop_columns("price"))
    assert cleaned.schema == ITEMS
    assert left_out == sum(p is not None and e is None for p, e in zip(price, expected, strict=True))
    if price and np.nan not in price:  # to pandas NaN is a null, which make_tables has made of it before
        *_, outcome = expectations.expect_items(items.to_pandas(), params)
        assert outcome.unexpected == left_out


def test_an_image_url_that_no_page_may_show_is_left_out_and_counted():
    good = ["https://shop.example/a.jpg", "data:image/svg+xml,<svg/>", "data:image/png;base64,AA=="]
    bad = ["javascript:alert(1)", "http://shop.example/a.jpg", "//shop.example/a.jpg", "a.jpg", "", "https://",
           "data:text/html,<script>", "data:image/svg", "https://shop.example/" + "a" * 8192]  # fmt: skip
    urls = [*good, *bad, None]
    items = pa.Table.from_pylist(
        [{"item_id": f"i{i}", "image_url": url} for i, url in enumerate(urls)], ITEMS
    )
    cleaned, left_out = with_sound_pictures(items)
    assert cleaned["image_url"].to_pylist() == [*good, *[None] * (len(bad) + 1)]
    assert left_out == len(bad)
    assert cleaned.schema == ITEMS
    assert with_sound_pictures(items.slice(len(urls) - 1)) == (items.slice(len(urls) - 1), 0)


def test_open_periods_and_ranges_check_nothing():
    params = PARAMS.model_copy(update={"period_start": None, "period_end": None, "values": {}, "price": None})
    wild = {"timestamp": datetime(1990, 1, 1, tzinfo=UTC), "value": 1e9, "price": -1.0}
    assert rules_broken(GOOD | wild, params) == []
    for number in (np.inf, -np.inf):  # which no range that is left open lets in
        assert rules_broken(GOOD | {"price": number}, params) == ["price_out_of_range"]
        assert rules_broken(GOOD | {"event": "view", "value": number}, params) == ["value_out_of_range"]
    assert rules_broken(GOOD | {"value": np.inf}, params) == ["value_out_of_range"]
    assert rules_broken(GOOD | {"value": -np.inf}, params) == ["cancellation"]


def test_only_the_first_of_equal_rows_is_no_duplicate():
    other = GOOD | {"value": 3.0}
    empty = GOOD | {"value": None, "session_id": None}
    broken = broken_rules(joined(tables([GOOD, other, GOOD, empty, empty, GOOD])), PARAMS, NOW)
    assert broken["duplicate"].tolist() == [False, False, True, False, True, True]


def test_the_reason_is_the_first_broken_rule():
    rows = [
        GOOD | {"user_id": None, "item_id": None, "value": -1.0},
        GOOD | {"event": "refund", "price": -1.0},
        GOOD | {"value": -1.0, "price": -1.0, "item_id": "hat"},
        GOOD | {"value": -1.0, "price": -1.0, "item_id": "hat"},
    ]
    events = tables(rows).events
    parts = partition(events, broken_rules(joined(tables(rows)), PARAMS, NOW))
    assert parts.quarantined["reason"].to_pylist() == [
        "null_user",
        "unknown_event",
        "cancellation",
        "cancellation",
    ]
    assert parts.quarantined.schema == QUARANTINE


def dirty_rows(rng, rows=400):
    """Rows whose every column is at times good and at times broken."""
    return [
        {
            "user_id": rng.choice(["anna", "ben", "bot", "stranger", None]),
            "item_id": rng.choice(["tea", "cup", "hat", "postage", None]),
            "event": rng.choice(["view", "cart", "purchase", "rating", "refund", None]),
            "timestamp": rng.choice(
                [None, *(datetime(year, 6, 1, tzinfo=UTC) for year in (2024, 2025, 2026, 2027))]
            ),
            "value": rng.choice([None, -1.0, 0.0, 1.0, 5.0, 500.0]),
            "price": rng.choice([None, -1.0, 1.0, 5000.0]),
            "session_id": None,
            "split": rng.choice([None, "train"]),
        }
        for _ in range(rows)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_kept_and_quarantined_are_the_raw_rows_each_once(seed):
    # Few faults a row, so that both parts have rows.
    rng = np.random.default_rng(seed)
    rows = [GOOD | {k: v for k, v in row.items() if rng.random() < 0.15} for row in dirty_rows(rng)]
    given = tables(rows)
    parts = partition(given.events, broken_rules(joined(given), PARAMS, NOW))
    assert len(parts.kept) > 20
    assert len(parts.quarantined) > 20
    both = pd.concat([parts.kept.to_pandas(), parts.quarantined.select(EVENTS.names).to_pandas()])
    raw = given.events.to_pandas()
    count = {"dropna": False}
    pd.testing.assert_series_equal(
        both.groupby(EVENTS.names, **count).size(), raw.groupby(EVENTS.names, **count).size()
    )
    assert parts.quarantined["reason"].null_count == 0


def test_the_order_of_columns_does_not_matter():
    rows = dirty_rows(np.random.default_rng(0))
    given = tables(rows)
    shuffled = Tables(given.events.select(EVENTS.names[::-1]), given.items, given.users)
    a = partition(given.events, broken_rules(joined(given), PARAMS, NOW))
    b = partition(shuffled.events, broken_rules(joined(shuffled), PARAMS, NOW))
    assert a.kept.equals(b.kept)
    assert a.quarantined.equals(b.quarantined)


def test_no_frame_is_changed():
    frame = joined(tables(dirty_rows(np.random.default_rng(0))))
    before = frame.copy(deep=True)
    broken_rules(frame, PARAMS, NOW)
    pd.testing.assert_frame_equal(frame, before)


def test_no_events_at_all_are_nothing_kept_and_nothing_quarantined():
    given = tables([])
    parts = partition(given.events, broken_rules(joined(given), PARAMS, NOW))
    assert (len(parts.kept), len(parts.quarantined)) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("expected", [(), ("null_user", "cancellation"), REASONS])
def test_great_expectations_counts_the_same_rows_as_the_row_rules(seed, expected):
    given = tables(dirty_rows(np.random.default_rng(seed)))
    frame = joined(given)
    params = PARAMS.model_copy(update={"expected": expected, "max_quarantined_share": 0})
    broken = broken_rules(frame, params, NOW)
    left_out = broken[list(expected_reasons(params))].any(axis=1)
    quarantined = broken.any(axis=1)
    if not left_out.all():
        _, share = expectations.expect_raw(len(frame), quarantined[~left_out].mean(), params)
        assert share.observed == pytest.approx(quarantined[~left_out].mean())
        assert share.success == (set(expected) == set(REASONS))
    outcomes = [
        outcome for some in expectations.expect_rows(frame, left_out, params, NOW) for outcome in some
    ]
    counted = dict.fromkeys(REASONS, 0)
    for outcome in outcomes:
        if outcome.reason:
            counted[outcome.reason] += outcome.unexpected
    assert counted == broken.sum().to_dict()
    assert min(counted.values()) > 0
