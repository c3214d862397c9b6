"""The row rules stated a second time, from Great Expectations' built-in expectations.

When their counts differ from those of quarantine.py, one of the two is wrong.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column

from recgan.data.quarantine import FINITE, period
from recgan.data.settings import EVENT_KINDS, Reason, ValidateParams, ValueRange
from recgan.data.suites import Severity, about


def between(limits: ValueRange) -> str:
    """Say what lies in a range."""
    if limits.high == FINITE.high:
        return "finite" + (" and not negative" if limits.low == 0 else "")
    return f"from {limits.low:,.10g} to {limits.high:,.10g}"


def row_rules(params: ValidateParams, now: datetime, prefix: str, drop: Sequence[Reason]) -> list[Any]:
    """Return an expectation for each row rule, some of them in two parts.

    Args:
        params: ranges and period.
        now: an aware instant.
        prefix: of the names.
        drop: reasons whose rules only warn; the others are critical.
    """

    def rule(reason: Reason, sentence: str, name: str | None = None) -> dict[str, Any]:
        severity: Severity = "warning" if reason in drop else "critical"
        return about(prefix + (name or reason), sentence, severity, reason)

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
                    f"the value of a {kind} is {between(limits)}",
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
            **rule("price_out_of_range", f"a price is {between(prices)}"),
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
