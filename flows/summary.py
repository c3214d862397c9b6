"""What people read about a flow run: artifacts in Prefect's pages and the closing lines in the terminal."""

import re
from pathlib import Path

from recgan.accounts.tables import read_screened
from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.core.redact import clean
from recgan.data.collected import SUMMARY
from recgan.data.collected import sentence as from_feedback
from recgan.evaluation.plain_words import left_out
from recgan.evaluation.report import evaluation_table
from recgan.images.settings import ImagesParams
from recgan.package.samples import samples
from recgan.recommenders.skipped import skipped
from recgan.registry.promotion import Promotion
from recgan.registry.tracking import tracking_uri
from recgan.settings import Params

WORST_GROUPS = 5
"""Of fake accounts, that the artifact of a night tells."""


def data_quality(root: Path) -> str:
    """Return the outcome of validation as Markdown."""
    outcome = read_json(root / layout.VALIDATION_METRICS)
    lines = [
        f"# Data quality: {'every critical expectation holds' if outcome['success'] else 'broken'}",
        f"{outcome['raw']:,} raw events = {outcome['kept']:,} kept + {outcome['quarantined']:,} "
        f"in quarantine ({outcome['quarantined_share']:.2%}): {outcome['expected']:,} as expected "
        f"({outcome['expected_share']:.2%}), {outcome['faulty']:,} with a fault "
        f"({outcome['faulty_share']:.2%} of the rest).",
        *feedback(root),
        "",
        "| reason for quarantine | events |",
        "|---|---:|",
        *(f"| {reason} | {count:,} |" for reason, count in outcome["quarantined_by_reason"].items() if count),
        "",
        "| expectation | severity | holds | unexpected |",
        "|---|---|---|---:|",
        *(
            f"| {name} | {result['severity']} | {'yes' if result['success'] else 'no'} "
            f"| {result.get('unexpected', '')} |"
            for name, result in outcome["expectations"].items()
        ),
    ]
    return "\n".join(lines)


def feedback(root: Path) -> list[str]:
    """Return what of the servers' feedback became events, where any is taken."""
    told = root / layout.INGESTED / SUMMARY
    return [from_feedback(read_json(told)).capitalize() + "."] if told.exists() else []


def screening(root: Path) -> str:
    """Return who was left out as fake as Markdown: a sentence, and the worst groups where there are any."""
    outcome = read_json(root / layout.SCREENING_METRICS)
    groups = read_screened(root / layout.SCREENED).groups
    worst = groups.filter(groups["quarantined"]).slice(0, WORST_GROUPS).to_pylist()
    lines = [f"# {left_out(outcome)}"]
    if worst:
        lines += ["", "| accounts | days (UTC) | products | why |", "|---:|---|---|---|"]
    for group in worst:
        days = [] if group["first"] is None else [f"{group[end]:%Y-%m-%d}" for end in ("first", "last")]
        products = ", ".join(group["items"][:3]) + (" …" if len(group["items"]) > 3 else "")
        lines.append(
            f"| {group['accounts']:,} | {' – '.join(dict.fromkeys(days))} | {_cell(products)} "
            f"| {_cell(group['reason'])} |"
        )
    lines += ["", f"{layout.SCREENING_PAGE} shows all, and what a person can do."]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a text that ends no cell of a table, and is no markup: ids come from outside."""
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", " ".join(text.split()))


def decision(params: Params | ImagesParams, promotion: Promotion) -> str:
    """Return the gate's decision with every reason as Markdown."""
    reasons = "\n".join(f"- {reason}" for reason in promotion.decision.reasons)
    return f"# {sentence(params, promotion)}\n\n{reasons}\n"


def state_name(promotion: Promotion) -> str:
    """Name the state in which the flow run ends well."""
    if promotion.promoted:
        return "Promoted"
    if promotion.held is not None:
        return "Waits"
    return "AlreadyChampion" if promotion.already_champion else "NotPromoted"


def sentence(params: Params | ImagesParams, promotion: Promotion) -> str:
    """Say in one sentence what became of the version."""
    version = f"{params.register_.name} version {promotion.version}"
    if promotion.already_champion:
        return f"{version} is the champion already; nothing changed"
    if promotion.promoted:
        before = f" in place of version {promotion.previous}" if promotion.previous else ""
        return f"{version} is the new champion{before}"
    if promotion.held is not None:
        return f"{version} passed the gate and is not live yet: {promotion.held}"
    champion = (
        f"version {promotion.champion} stays the champion" if promotion.champion else "there is no champion"
    )
    return f"{version} was not promoted; {champion}"


def pages(root: Path, name: str, width: int) -> str:
    """Return the line that says where a person sees the registry: a tracking server has pages of its own."""
    uri, what = clean(tracking_uri(root)), f"runs, curves and versions of {name}"
    if uri.startswith(("http://", "https://")):
        return f"  {uri}   {what}"
    return f"  {'make ui'.ljust(width)}{what} ({uri})"


def closing(root: Path, params: Params, promotion: Promotion) -> str:
    """Return what `make run` ends with: the table, the decision, first recommendations, where to look."""
    name, decided = params.register_.name, layout.VERDICT_PAGE
    lines = [
        "",
        evaluation_table(root),
        *(f"{one} is left out: {why}" for one in params.candidates if (why := skipped(root, one))),
        "",
        *feedback(root),
        f"{sentence(params, promotion)}.",
        *(f"  {reason}" for reason in promotion.decision.reasons),
        "",
        *next_step(root, params, promotion),
        "",
        "Where to look:",
        f"  {decided if (root / decided).exists() else layout.EVALUATION_PAGE}".ljust(28)
        + "the decision, what shoppers would see, every figure (evaluation.md: as text)",
        "  reports/validation.html   the expectations and the quarantine",
        "  reports/screening.html    the accounts that are left out as fake, and why",
        pages(root, name, 26),
        f"  make serve NAME={name}".ljust(27)
        + " http://127.0.0.1:8000/explorer: what shoppers would be shown"
        + (", and POST /recommend" if promotion.champion else ""),
    ]
    return "\n".join(lines) + "\n"


def next_step(root: Path, params: Params, promotion: Promotion) -> list[str]:
    """Return the champion's first recommendations, or what to do where there is no champion."""
    name = params.register_.name
    if promotion.champion is None:
        return [
            f"Nothing serves yet. To make version {promotion.version} live in spite of the gate: "
            f'make promote VERSION={promotion.version} REASON="…"',
        ]
    try:
        return samples(root, name, not params.features.repeat_purchases)
    except RecganError as fault:  # the decision stands, whatever hinders a look at it
        return [f"The champion's recommendations cannot be shown: {fault}"]
