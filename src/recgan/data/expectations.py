"""Expectations of the tables as Great Expectations suites, defined in code.

The only module that knows Great Expectations. A row rule is stated here a second time, from its built-in
expectations. When the counts differ from those of quarantine.py, one of the two is wrong.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.expectations.row_conditions import Column

from recgan.data.events import EVENTS
from recgan.data.quarantine import FINITE, ahead_by_zone, expected_reasons, period, price_range
from recgan.data.settings import EVENT_KINDS, Reason, ValidateParams, ValueRange
from recgan.data.suites import TYPES, Outcome, Severity, about, run_suite


def expect_raw(frame: pd.DataFrame, params: ValidateParams, now: datetime) -> list[Outcome]:
    """Check the row rules on the raw events; one in `validate.drop` only warns, and so does an expected one.

    The other rules judge the rows that no expected reason leaves out.

    Args:
        frame: what `quarantine.joined` returns, beside `quarantined`: 1.0 where a row is not kept, else 0.0;
            and `expected`: true where that has an expected reason.
        params: ranges, period and limits.
        now: an aware instant.
    """
    volume = gxe.ExpectTableRowCountToBeBetween(min_value=1, **about("raw_events", "there are raw events"))
    if frame.empty:
        return run_suite("raw events", frame, [volume])
    quarantined_share = gxe.ExpectColumnMeanToBeBetween(
        column="quarantined",
        max_value=params.max_quarantined_share,
        **about(
            "quarantined_share",
            f"the quarantined share of the raw events is at most {params.max_quarantined_share:.4g}, "
            "those not counted that are expected to be left out",
            remedy="raise validate.max_quarantined_share",
        ),
    )
    expected = expected_reasons(params)
    ahead = ahead_by_zone(frame["timestamp"], now)
    rules = _row_rules(params, now, "", (*params.drop, *expected), ahead)
    left_out = [rule for rule in rules if rule.meta["reason"] in expected]
    judged = [rule for rule in rules if rule.meta["reason"] not in expected] + [quarantined_share]
    outcomes = run_suite("raw events", frame, [volume, *left_out])
    rest = frame[~frame["expected"]]
    return outcomes if rest.empty else outcomes + run_suite("judged events", rest, judged)


def expect_kept(frame: pd.DataFrame, params: ValidateParams, now: datetime) -> list[Outcome]:
    """Check the kept events: their schema, their volume, and every row rule anew; all of it is critical.

    Args:
        frame: what `quarantine.joined` returns for the kept events.
        params: ranges, period and limits.
        now: an aware instant.
    """
    schema = [
        gxe.ExpectTableColumnsToMatchSet(
            column_set=EVENTS.names,
            exact_match=True,
            **about("kept_columns", "the columns are those of an event: " + ", ".join(EVENTS.names)),
        ),
        *(
            gxe.ExpectColumnValuesToBeOfType(
                column=field.name,
                type_=TYPES[str(field.type)],
                **about(f"kept_type_{field.name}", f"{field.name} has type {field.type}"),
            )
            for field in EVENTS
        ),
    ]
    table = [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=params.min_events,
            **about(
                "kept_volume",
                f"at least {params.min_events:,} events are kept",
                remedy="lower validate.min_events",
            ),
        ),
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="user_id",
            min_value=2,
            **about("kept_users", "the events come from at least two users"),
        ),
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="item_id",
            min_value=2,
            **about("kept_items", "the events are about at least two items"),
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="known_user",
            value_set=[True],
            **about("kept_known_user", "the user of an event is in the users table", severity="warning"),
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="split",
            value_set=["train", "test"],
            **about("kept_split", "a published split has train and test, nothing else"),
        ),
    ]
    if params.max_age_days is not None:
        table.append(
            gxe.ExpectColumnMaxToBeBetween(
                column="timestamp",
                min_value=now - timedelta(days=params.max_age_days),
                **about(
                    "kept_freshness",
                    f"the newest event is at most {params.max_age_days:g} days old",
                    remedy="raise validate.max_age_days, or set it to null for a historical log",
                ),
            )
        )
    copies = gxe.ExpectCompoundColumnsToBeUnique(
        column_list=EVENTS.names,
        ignore_row_if="never",
        **about("kept_unique", "no two events are equal in all columns"),
    )
    events = frame.drop(columns=["known_item", "known_user", "fake", "copy"])
    rules = [*_row_rules(params, now, "kept_", ()), copies]
    return run_suite("kept schema", events, schema) + run_suite("kept events", frame, [*table, *rules])


def expect_shoppers(kept: pd.DataFrame, params: ValidateParams) -> list[Outcome]:
    """Check that no single shopper makes up too much of the kept events."""
    shoppers = kept["user_id"].value_counts(normalize=True, sort=False).rename("share").reset_index()
    expectation = gxe.ExpectColumnMaxToBeBetween(
        column="share",
        max_value=params.max_user_share,
        **about(
            "kept_user_share",
            f"the largest share of the events that one user has is at most {params.max_user_share:.4g}",
            remedy="raise validate.max_user_share",
        ),
    )
    return run_suite("shoppers", shoppers, [expectation])


def expect_ids(frame: pd.DataFrame, column: str, table: str) -> list[Outcome]:
    """Check that each row of the items or users has an id of its own."""
    return run_suite(
        table,
        frame,
        [
            gxe.ExpectColumnValuesToNotBeNull(
                column=column, **about(f"{table}_null_id", f"{column} is never null in {table}")
            ),
            gxe.ExpectColumnValuesToBeUnique(
                column=column, **about(f"{table}_unique_id", f"no {column} comes twice in {table}")
            ),
        ],
    )


def expect_prices(items: pd.DataFrame, params: ValidateParams) -> list[Outcome]:
    """Check the prices of the items; one that is none is left out, and stops nothing."""
    limits = price_range(params)
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column="price",
        min_value=limits.low,
        max_value=limits.high,
        **about("items_price", f"the price of an item is {_between(limits)}", severity="warning"),
    )
    return run_suite("prices of items", items, [expectation])


def _between(limits: ValueRange) -> str:
    if limits.high == FINITE.high:
        return "finite" + (" and not negative" if limits.low == 0 else "")
    return f"from {limits.low:,.10g} to {limits.high:,.10g}"


def _row_rules(
    params: ValidateParams, now: datetime, prefix: str, drop: Sequence[Reason], ahead: str | None = None
) -> list[Any]:
    def rule(reason: Reason, sentence: str, name: str | None = None) -> dict[str, Any]:
        severity: Severity = "warning" if reason in drop else "critical"
        remedy = ahead if reason == "future_timestamp" else None
        return about(prefix + (name or reason), sentence, severity, reason, remedy)

    event, value = Column("event"), Column("value")
    rules = [
        gxe.ExpectColumnValuesToNotBeNull(column="user_id", **rule("null_user", "an event has a user_id")),
        gxe.ExpectColumnValuesToNotBeNull(column="item_id", **rule("null_item", "an event has an item_id")),
        # BeInSet overlooks nulls.
        gxe.ExpectColumnValuesToNotBeNull(
            column="event", **rule("unknown_event", "an event has a kind", "null_event")
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="event",
            value_set=list(EVENT_KINDS),
            **rule("unknown_event", "the kind of an event is one of " + ", ".join(EVENT_KINDS)),
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="timestamp",
            row_condition=Column("split").is_null(),
            **rule("null_timestamp", "an event has a time, unless it is of a published split"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="timestamp", max_value=now, **rule("future_timestamp", "no event is from the future")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="value",
            min_value=0,
            strict_min=True,
            row_condition=event == "purchase",
            **rule("cancellation", "a purchase has a positive quantity"),
        ),
    ]
    start, end = period(params)
    if start or end:
        bounds = " ".join(
            f"{word} {instant:%Y-%m-%d %H:%M}" for word, instant in (("from", start), ("to", end)) if instant
        )
        rules.append(
            gxe.ExpectColumnValuesToBeBetween(
                column="timestamp",
                min_value=start,
                max_value=end,
                **rule("outside_period", f"an event is inside the declared period {bounds}"),
            )
        )
    for kind in EVENT_KINDS:
        limits = params.values.get(kind, FINITE)
        rules.append(
            gxe.ExpectColumnValuesToBeBetween(
                column="value",
                min_value=limits.low,
                max_value=limits.high,
                # A purchase of zero or less is a cancellation, which is a rule of its own.
                row_condition=(event == kind) & (value > 0) if kind == "purchase" else event == kind,
                **rule(
                    "value_out_of_range",
                    f"the value of a {kind} is {_between(limits)}",
                    f"{kind}_value_out_of_range",
                ),
            )
        )
    if "rating" in params.values:
        rules.append(
            gxe.ExpectColumnValuesToNotBeNull(
                column="value",
                row_condition=event == "rating",
                **rule("value_out_of_range", "a rating has a value", "rating_without_value"),
            )
        )
    prices = params.price or FINITE
    rules.append(
        gxe.ExpectColumnValuesToBeBetween(
            column="price",
            min_value=prices.low,
            max_value=prices.high,
            **rule("price_out_of_range", f"a price is {_between(prices)}"),
        )
    )
    if params.not_products:
        rules.append(
            gxe.ExpectColumnValuesToNotBeInSet(
                column="item_id",
                value_set=list(params.not_products),
                **rule("not_a_product", "the item of an event is none of " + ", ".join(params.not_products)),
            )
        )
    flags: tuple[tuple[Reason, str, bool, str], ...] = (
        ("unknown_item", "known_item", True, "the item of an event is in the items table"),
        ("fake_account", "fake", False, "no event comes from a labelled fake account"),
        ("duplicate", "copy", False, "no event is a copy of an earlier row"),
    )
    for reason, column, good, sentence in flags:
        rules.append(
            gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[good], **rule(reason, sentence))
        )
    return rules
