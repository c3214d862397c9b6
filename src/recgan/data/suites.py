"""Running a Great Expectations suite, and what came out as plain values."""

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

import great_expectations as gx
import numpy as np
import pandas as pd

from recgan.data.settings import Reason

Severity = Literal["critical", "warning"]


TYPES = {"string": "str", "double": "float64", "timestamp[us, tz=UTC]": "Timestamp"}


@dataclass(frozen=True)
class Outcome:
    """What became of one expectation."""

    name: str
    sentence: str
    """What is expected."""
    severity: Severity
    success: bool
    reason: Reason | None
    """The row rule it belongs to; None for one about the whole table."""
    rows: int | None
    """Rows it looked at; None for an expectation about the whole table."""
    unexpected: int | None
    """Rows that break it; None for an expectation about the whole table."""
    observed: float | int | str | None
    """What a table-level expectation found; None for row rules."""
    remedy: str | None
    """What a user can do beside mending the source."""


def about(
    name: str,
    sentence: str,
    severity: Severity = "critical",
    reason: Reason | None = None,
    remedy: str | None = None,
) -> dict[str, Any]:
    """Return what an expectation carries along into its outcome."""
    return {
        "severity": severity,
        "notes": sentence,
        "meta": {"name": name, "reason": reason, "remedy": remedy},
    }


def added(first: list[Outcome], second: list[Outcome]) -> list[Outcome]:
    """Return the outcomes of row rules on two chunks as those on both; a suite that did not run has none."""
    if not first or not second:
        return first or second
    return [_both(*pair) for pair in zip(first, second, strict=True)]


def _both(one: Outcome, other: Outcome) -> Outcome:
    if one.rows is None or one.unexpected is None:  # it could not be computed, and says why
        return one
    if other.rows is None or other.unexpected is None:
        return other
    return replace(
        one,
        success=one.success and other.success,
        rows=one.rows + other.rows,
        unexpected=one.unexpected + other.unexpected,
    )


def run_suite(name: str, frame: pd.DataFrame, expectations: list[Any]) -> list[Outcome]:
    """Run expectations on a table and return what came of each."""
    # This module of GX sets its own level and reports a temporary folder that nobody uses.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name=name, expectations=expectations)
    # Counts only: whole rows as examples come from quarantine.py, and cost nothing there.
    counts = {"result_format": "BASIC", "partial_unexpected_count": 0}
    results = {
        r.expectation_config.meta["name"]: r for r in batch.validate(suite, result_format=counts).results
    }
    return [_outcome(expectation, results[expectation.meta["name"]]) for expectation in expectations]


def _outcome(expectation: Any, result: Any) -> Outcome:
    observed = result.result.get("observed_value")
    if isinstance(observed, list):
        observed = f"{len(observed)} columns"
    elif observed is None or pd.isna(observed):
        observed = None
    elif isinstance(observed, pd.Timestamp):
        observed = observed.isoformat()
    elif isinstance(observed, np.generic):
        observed = observed.item()
    if not result.result and result.exception_info:
        observed = f"not computable: {_exception(result.exception_info)}"
    return Outcome(
        name=expectation.meta["name"],
        sentence=expectation.notes,
        severity=expectation.severity.value,
        success=bool(result.success),
        reason=expectation.meta["reason"],
        rows=result.result.get("element_count"),
        unexpected=result.result.get("unexpected_count"),
        observed=observed,
        remedy=expectation.meta["remedy"],
    )


def _exception(info: dict[str, Any]) -> str:
    if "exception_message" in info:
        return str(info["exception_message"])
    return "; ".join(sorted({str(part["exception_message"]) for part in info.values()}))
