"""Kept events, quarantine, and what must hold before the data can be trusted."""

import logging
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recgan.core.redact import shown
from recgan.data import expectations
from recgan.data.events import EVENTS, Tables
from recgan.data.quarantine import (
    Partition,
    broken_rules,
    expected_reasons,
    joined,
    partition,
    reasons,
    with_sound_pictures,
    with_sound_prices,
)
from recgan.data.settings import Reason, ValidateParams
from recgan.data.suites import Outcome

log = logging.getLogger(__name__)

EXAMPLES = 3


@dataclass(frozen=True)
class Validation:
    """What the expectations say of three tables."""

    partition: Partition
    kept: Tables
    """The kept events, all items (with null for a price or a picture that is none), and the users with a kept
    event."""
    outcomes: tuple[Outcome, ...]
    examples: dict[str, list[dict[str, Any]]]
    """Reason → the first few rows that break that rule."""
    reasons: tuple[Reason, ...]
    """All reasons, in the order in which a row gets one."""
    expected: tuple[Reason, ...]
    """Those for which rows are left out as a matter of course."""
    prices_left_out: int
    """Items whose price is none, which are kept without it."""
    pictures_left_out: int
    """Items whose image_url no page may show, which are kept without it."""

    @property
    def failures(self) -> list[Outcome]:
        """Return the broken critical expectations."""
        return [o for o in self.outcomes if not o.success and o.severity == "critical"]


def tell(result: Validation, summary: dict[str, Any], params: ValidateParams, tables: Tables) -> None:
    """Log what was kept, what was left out and why, and what deserves a look."""
    counts = ", ".join(f"{n:,} {reason}" for reason, n in summary["quarantined_by_reason"].items() if n)
    log.info("%s raw events: %s without a fault", f"{summary['raw']:,}", f"{summary['kept']:,}")
    log.info(
        "%s in quarantine%s; %s of them as expected, %s with a fault (%.3g %% of the rest)",
        f"{summary['quarantined']:,}",
        f": {counts}" if counts else "",
        f"{summary['expected']:,}",
        f"{summary['faulty']:,}",
        100 * summary["faulty_share"],
    )
    if unmatched := set(params.not_products) - set(tables.events["item_id"].unique().to_pylist()):
        log.warning(
            "validate.not_products names %s item(s) that no event has, such as %s; see to their spelling",
            f"{len(unmatched):,}", shown(min(unmatched)),
        )  # fmt: skip
    log.info("%s prices of items are none and left out", f"{summary['item_prices_left_out']:,}")
    if result.pictures_left_out:
        log.warning(
            "%s of the items' image_url are no https:// address and no data:image/…, or longer than 8,192 "
            "characters, and left out: give addresses that begin with https://",
            f"{result.pictures_left_out:,}",
        )
    for outcome in result.outcomes:
        if not outcome.success and outcome.severity == "warning" and outcome.remedy:
            log.warning("%s: %s", outcome.name, outcome.remedy)


def check(tables: Tables, params: ValidateParams, now: datetime) -> Validation:
    """Hold three tables against the expectations; the tables stay as they are.

    The kept events are only checked when the raw ones passed: their failures would follow from the first.

    Args:
        tables: raw events, items and users, their columns in any order.
        params: ranges, limits, and the reasons for which a row may be dropped.
        now: an aware instant; events after it are from the future.
    """
    frame = joined(tables)
    broken = broken_rules(frame, params, now)
    parts = partition(tables.events, broken)
    examples = {
        reason: frame.loc[rows.to_numpy().nonzero()[0][:EXAMPLES], EVENTS.names].to_dict("records")
        for reason, rows in broken.items()
        if rows.any()
    }
    users = tables.users.filter(pc.is_in(tables.users["user_id"], value_set=_distinct(parts.kept["user_id"])))
    items, prices_left_out = with_sound_prices(tables.items, params)
    items, pictures_left_out = with_sound_pictures(items)
    kept = Tables(parts.kept, items, users)

    expected = expected_reasons(params)
    outcomes = expectations.expect_raw(
        frame.assign(
            quarantined=broken.any(axis=1).astype(float), expected=broken[list(expected)].any(axis=1)
        ),
        params,
        now,
    )
    item_frame = tables.items.to_pandas()
    outcomes += expectations.expect_ids(item_frame, "item_id", "items")
    outcomes += expectations.expect_prices(item_frame, params)
    outcomes += expectations.expect_ids(tables.users.to_pandas(), "user_id", "users")
    if all(o.success or o.severity == "warning" for o in outcomes):
        kept_frame = joined(kept)
        outcomes += expectations.expect_kept(kept_frame, params, now)
        outcomes += expectations.expect_shoppers(kept_frame, params)
    return Validation(
        parts,
        kept,
        tuple(outcomes),
        {str(k): v for k, v in examples.items()},
        reasons(params),
        expected,
        prices_left_out,
        pictures_left_out,
    )


def summarise(result: Validation) -> dict[str, Any]:
    """Return the figures for metrics/validation.json: the same for the same input."""
    kept, quarantined = len(result.partition.kept), len(result.partition.quarantined)
    counts = result.partition.quarantined["reason"].value_counts().to_pylist()
    by_reason = {count["values"]: count["counts"] for count in counts}
    expected = sum(by_reason.get(reason, 0) for reason in result.expected)
    faulty, judged = quarantined - expected, kept + quarantined - expected
    times = pc.min_max(result.partition.kept["timestamp"]).as_py()
    return {
        "success": not result.failures,
        "raw": kept + quarantined,
        "kept": kept,
        "quarantined": quarantined,
        "quarantined_share": round(quarantined / max(kept + quarantined, 1), 6),
        "expected_reasons": list(result.expected),
        "expected": expected,
        "expected_share": round(expected / max(kept + quarantined, 1), 6),
        "faulty": faulty,
        "faulty_share": round(faulty / max(judged, 1), 6),  # of the rows that are judged at all
        "quarantined_by_reason": {reason: by_reason.get(reason, 0) for reason in result.reasons},
        "item_prices_left_out": result.prices_left_out,
        "users": len(_distinct(result.partition.kept["user_id"])),
        "items": len(_distinct(result.partition.kept["item_id"])),
        "first_event": times["min"].isoformat() if times["min"] else None,
        "last_event": times["max"].isoformat() if times["max"] else None,
        "expectations": {
            o.name: {"success": o.success, "severity": o.severity}
            | ({"observed": o.observed} if o.unexpected is None else {"unexpected": o.unexpected})
            for o in result.outcomes
        },
    }


def complaint(result: Validation) -> str:
    """Return what is broken, by how many rows and for example which, then the remedy."""
    failures = result.failures
    number = (
        "one critical expectation is" if len(failures) == 1 else f"{len(failures)} critical expectations are"
    )
    lines = [f"{number} broken:"]
    remedies = ["mend the source and run dvc repro"]
    droppable = [o.reason for o in failures if o.reason and not o.remedy]
    for failure in failures:
        lines.append(f"- {failure.name}: expected: {failure.sentence}; {found(failure)}")
        lines += [f"    {line}" for line in _details(failure, result)]
        if failure.remedy and failure.remedy not in remedies:
            remedies.append(failure.remedy)
    if droppable:
        reasons = ", ".join(dict.fromkeys(droppable))
        remedies.insert(1, f"where such rows may be left out, add {reasons} to validate.drop")
    lines.append("; or ".join(remedies) + (" (params.yaml)" if len(remedies) > 1 else ""))
    lines.append("data/kept stays as it was; reports/validation.html shows all expectations")
    return "\n".join(lines)


def _details(failure: Outcome, result: Validation) -> list[str]:
    """Name rows that break an expectation; for a share that is too large, what makes it up."""
    if failure.reason:
        return [_compact(row) for row in result.examples.get(failure.reason, [])]
    if failure.name == "quarantined_share":
        named = {other.reason for other in result.failures}  # their rows are shown already
        counts = result.partition.quarantined["reason"].value_counts().to_pylist()
        return [
            f"{count['counts']:,} {reason}"
            + ("" if reason in named else f", such as {_compact(result.examples[reason][0])}")
            for count in sorted(counts, key=lambda count: -count["counts"])
            for reason in [count["values"]]
            if reason not in result.expected
        ]
    if failure.name == "kept_user_share":
        counts = result.kept.events["user_id"].value_counts().to_pylist()
        largest = sorted(counts, key=lambda count: -count["counts"])[:EXAMPLES]
        return [f"user_id={shown(count['values'])} has {count['counts']:,} events" for count in largest]
    return []


def found(outcome: Outcome) -> str:
    """Say what an expectation found, in a few words."""
    if outcome.unexpected is not None:
        share = 100 * outcome.unexpected / max(outcome.rows or 0, 1)
        return f"{outcome.unexpected:,} of {outcome.rows or 0:,} rows break it ({share:.3g} %)"
    observed = outcome.observed
    if isinstance(observed, (int, float)):
        observed = f"{observed:,}" if isinstance(observed, int) else f"{observed:.4g}"
    return f"found {'nothing' if observed is None else observed}"


def page(result: Validation, summary: dict[str, Any]) -> str:
    """Return the page that shows what was kept, what was not, and every expectation."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("recgan.data").joinpath("validation.html.jinja").read_text(encoding="utf-8")
    )
    groups = {"Raw events, items and users": [o for o in result.outcomes if not o.name.startswith("kept_")]}
    if any(o.name.startswith("kept_") for o in result.outcomes):
        groups["Kept events"] = [o for o in result.outcomes if o.name.startswith("kept_")]
    examples = {
        reason: [{name: _text(value) for name, value in row.items()} for row in rows]
        for reason, rows in result.examples.items()
    }
    return template.render(
        summary=summary,
        failures=result.failures,
        groups=groups,
        found=found,
        examples=examples,
        columns=EVENTS.names,
        largest=max(summary["quarantined_by_reason"].values()),
    )


def _distinct(ids: pa.ChunkedArray) -> pa.Array:
    return pc.drop_null(pc.unique(ids))


def _compact(row: dict[str, Any]) -> str:
    return " ".join(f"{name}={_text(value) or 'null'}" for name, value in row.items() if name != "split")


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:.10g}" if isinstance(value, float) else shown(value)
