"""Expectations of the tables as Great Expectations suites, defined in code.

What is true of rows is checked chunk by chunk, and the counts are added up. What is true of a whole is
computed once and checked on a table of one row.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import great_expectations.expectations as gxe
import pandas as pd

from recgan.data.events import EVENTS
from recgan.data.quarantine import expected_reasons, price_range
from recgan.data.row_rules import between, row_rules
from recgan.data.settings import ValidateParams
from recgan.data.suites import TYPES, Outcome, about, run_suite


def expect_rows(
    frame: pd.DataFrame, expected: pd.Series, params: ValidateParams, now: datetime
) -> tuple[list[Outcome], list[Outcome]]:
    """Check the row rules on raw events; one in `validate.drop` only warns, and so does an expected one.

    Args:
        frame: a chunk of them, as `quarantine.flagged` returns it.
        expected: which rows are left out for an expected reason.
        params: ranges, period and limits.
        now: an aware instant.

    Returns:
        The outcomes of the expected reasons on all rows, and those of the others on the rows that no expected
        reason leaves out; without such rows none.
    """
    reasons = expected_reasons(params)
    rules = row_rules(params, now, "", (*params.drop, *reasons))
    left_out = [rule for rule in rules if rule.meta["reason"] in reasons]
    judged = [rule for rule in rules if rule.meta["reason"] not in reasons]
    rest = frame[~expected] if expected.any() else frame
    return (
        run_suite("raw events", frame, left_out) if left_out else [],
        run_suite("judged events", rest, judged) if judged and not rest.empty else [],
    )


def expect_raw(rows: int, share: float | None, params: ValidateParams) -> list[Outcome]:
    """Check the raw events as a whole.

    Args:
        rows: how many there are.
        share: of the faulty ones among those that are judged; None where none is.
        params: the limit.
    """
    table = [_count("rows", 1, "raw_events", "there are raw events")]
    if share is not None:
        table.append(
            gxe.ExpectColumnMaxToBeBetween(
                column="quarantined_share",
                max_value=params.max_quarantined_share,
                **about(
                    "quarantined_share",
                    "the quarantined share of the raw events is at most "
                    f"{params.max_quarantined_share:.4g}, those not counted that are expected to be left out",
                    remedy="raise validate.max_quarantined_share",
                ),
            )
        )
    return run_suite("raw events", pd.DataFrame({"rows": [rows], "quarantined_share": [share]}), table)


def expect_columns(frame: pd.DataFrame) -> list[Outcome]:
    """Check the columns of the kept events and their types; those of a table without rows say it for all."""
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
    return run_suite("kept schema", frame, schema)


def expect_kept_rows(frame: pd.DataFrame, params: ValidateParams, now: datetime) -> list[Outcome]:
    """Check every row rule anew on kept events; all but one of them is critical.

    Args:
        frame: a chunk of them, as `quarantine.flagged` returns it.
        params: ranges, period and limits.
        now: an aware instant.
    """
    own = [
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
    return run_suite("kept events", frame, [*own, *row_rules(params, now, "kept_", ())])


def expect_kept(facts: pd.DataFrame, params: ValidateParams, now: datetime) -> list[Outcome]:
    """Check the kept events as a whole: their volume, their age, the largest share of one shopper.

    Args:
        facts: one row: `rows`; `users` and `items`, how many different ones; `newest`, the last instant;
            `share`, the largest that one user has.
        params: the limits.
        now: an aware instant.
    """
    lower = "lower validate.min_events"
    table = [
        _count(
            "rows", params.min_events, "kept_volume", f"at least {params.min_events:,} events are kept", lower
        ),
        _count("users", 2, "kept_users", "the events come from at least two users"),
        _count("items", 2, "kept_items", "the events are about at least two items"),
    ]
    if params.max_age_days is not None:
        table.append(
            gxe.ExpectColumnMaxToBeBetween(
                column="newest",
                min_value=now - timedelta(days=params.max_age_days),
                **about(
                    "kept_freshness",
                    f"the newest event is at most {params.max_age_days:g} days old",
                    remedy="raise validate.max_age_days, or set it to null for a historical log",
                ),
            )
        )
    table.append(
        gxe.ExpectColumnMaxToBeBetween(
            column="share",
            max_value=params.max_user_share,
            **about(
                "kept_user_share",
                f"the largest share of the events that one user has is at most {params.max_user_share:.4g}",
                remedy="raise validate.max_user_share",
            ),
        )
    )
    return run_suite("kept events as a whole", facts, table)


def expect_unique(alike: pd.DataFrame, rows: int) -> list[Outcome]:
    """Check that no two kept events are equal in all columns.

    Args:
        alike: the kept events that may equal another one; all others need no look.
        rows: how many kept events there are.
    """
    copies = gxe.ExpectCompoundColumnsToBeUnique(
        column_list=EVENTS.names,
        ignore_row_if="never",
        **about("kept_unique", "no two events are equal in all columns"),
    )
    return [replace(outcome, rows=rows) for outcome in run_suite("equal events", alike, [copies])]


def expect_items(frame: pd.DataFrame, params: ValidateParams) -> list[Outcome]:
    """Check that each item has an id of its own, and the prices.

    A price that is none is left out, and stops nothing.
    """
    limits = price_range(params)
    price = gxe.ExpectColumnValuesToBeBetween(
        column="price",
        min_value=limits.low,
        max_value=limits.high,
        **about("items_price", f"the price of an item is {between(limits)}", severity="warning"),
    )
    return run_suite("items", frame, [*_ids("item_id", "items"), price])


def expect_users(frame: pd.DataFrame) -> list[Outcome]:
    """Check that each user has an id of its own."""
    return run_suite("users", frame, _ids("user_id", "users"))


def _ids(column: str, table: str) -> list[Any]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column=column, **about(f"{table}_null_id", f"{column} is never null in {table}")
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column=column, **about(f"{table}_unique_id", f"no {column} comes twice in {table}")
        ),
    ]


def _count(column: str, least: int, name: str, sentence: str, remedy: str | None = None) -> Any:
    """Expect a count, which a table of facts has in its one row."""
    return gxe.ExpectColumnMaxToBeBetween(
        column=column, min_value=least, **about(name, sentence, remedy=remedy)
    )
