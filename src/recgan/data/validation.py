"""What is said of a validation: in the log, in an error, on its page."""

import logging
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd

from recgan.core.redact import shown
from recgan.data.events import EVENTS
from recgan.data.passes import EXAMPLES
from recgan.data.settings import ValidateParams
from recgan.data.suites import Outcome
from recgan.data.validate import Validation

log = logging.getLogger(__name__)


def tell(result: Validation, summary: dict[str, Any], params: ValidateParams) -> None:
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
    if unmatched := set(params.not_products) - result.sorted.not_products:
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
        return [
            f"{n:,} {reason}"
            + ("" if reason in named else f", such as {_compact(result.examples[reason][0])}")
            for reason, n in result.sorted.by_reason.most_common()
            if reason not in result.expected
        ]
    if failure.name == "kept_user_share":
        largest = result.kept.users.slice(0, EXAMPLES).to_pylist()
        return [f"user_id={shown(one['user_id'])} has {one['n']:,} events" for one in largest]
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


def _compact(row: dict[str, Any]) -> str:
    return " ".join(f"{name}={_text(value) or 'null'}" for name, value in row.items() if name != "split")


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:.10g}" if isinstance(value, float) else shown(value)
