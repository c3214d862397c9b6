"""Monitor: how far the newest events and the published recommendations are from what the champion knew."""

import logging
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion

from recgan.core import layout
from recgan.core.files import write_json, write_text
from recgan.daily import screened as screen
from recgan.daily.drift import jensen_shannon, psi
from recgan.daily.newcomers import newcomers_for
from recgan.daily.publish import about
from recgan.daily.published import published_items
from recgan.daily.recommendations import target_path
from recgan.daily.reference import read_reference
from recgan.daily.screened import Screened
from recgan.evaluation.profile import (
    Bins,
    Histogram,
    catalogue,
    event_histograms,
    item_histograms,
)
from recgan.package.reference import after, read_population
from recgan.registry.outage import outside
from recgan.registry.tracking import connect
from recgan.registry.versions import identify, the_champion
from recgan.settings import MonitorParams, Params

log = logging.getLogger(__name__)

Histograms = dict[str, Histogram]


@dataclass(frozen=True)
class Observation:
    """What was seen of the newest events and of the published recommendations."""

    name: str
    version: str
    """The champion."""
    run_id: str
    trained_until: str
    """The instant (UTC) before which lie the events that the champion was trained on."""
    newest_from: str
    newest_until: str
    events: int
    """Those of the newest days that the champion was not trained on."""
    drift: dict[str, dict[str, float]]
    """events.kind, recommended.category, … → psi and jensen_shannon against the reference."""
    shares: dict[str, float]
    """unknown_items and unknown_shoppers of the newest events, coverage of the published lists."""
    screened: Screened | None
    """Of fake accounts; None before the first screening."""
    notes: tuple[str, ...]
    """What could not be looked at, and why."""


@dataclass(frozen=True)
class Report:
    """An observation and what follows from it."""

    observation: Observation
    retrain: bool
    reasons: tuple[str, ...]
    """Everything that is beyond its limit and calls for a retraining."""
    warnings: tuple[str, ...]
    """What a person should look at: no retraining mends it."""


# --- the observation ------------------------------------------------------------------------------------


@outside()
def monitor(root: Path, params: Params) -> Report:
    """Compare the newest events and the published recommendations with the champion's training data.

    Writes reports/monitor.json and reports/monitor.md, and monitor/… metrics on the champion's run, whose
    step is the champion's age in days.

    Raises:
        RecganError: there is no champion, it was registered without a reference, or data/kept or
            data/screened is missing.
        Unavailable: the registry or its files do not answer.
    """
    client, name = connect(root), params.register_.name
    report = decide(observe(root, params, the_champion(client, name)), params.monitor)
    write_json(root / layout.MONITOR_REPORT, asdict(report))
    write_text(root / layout.MONITOR_TEXT, as_markdown(report, params.monitor))
    _log_metrics(client, report)
    log.info("%s", report.reasons[0])
    return report


def observe(root: Path, params: Params, champion: ModelVersion) -> Observation:
    """Look at the events after the champion's training and at the published recommendations."""
    name, version, client = params.register_.name, str(champion.version), connect(root)
    screened, unseen = screen.look(root, client, champion, params.screen.canaries.watched)
    notes = list(unseen)
    reference, vocabulary = read_reference(client, champion)
    until = datetime.fromisoformat(reference["until"])
    bins = Bins(tuple(reference["bins"]["categories"]), tuple(reference["bins"]["price_edges"]))
    events, items = read_population(root)
    known = catalogue(items, vocabulary["item_ids"], vocabulary["popularity"])
    end = until if events.empty else max(until, after(events["timestamp"].max()))
    start = max(until, end - timedelta(days=params.monitor.days))
    newest = events[events["timestamp"] >= start]
    drift: dict[str, dict[str, float]] = {}
    shares: dict[str, float] = {}
    if len(newest) < params.monitor.min_events:
        notes.append(
            f"{len(newest):,} events are newer than the champion's training data; fewer than "
            f"monitor.min_events ({params.monitor.min_events:,}) tell nothing"
        )
    else:
        drift |= _drift("events", reference["histograms"], event_histograms(newest, known, bins))
        trained_on = events.loc[events["timestamp"] < until, "user_id"]
        shoppers = pd.Series(newest["user_id"].unique())
        named = known.deciles.index.union(_newcomers(root, name, champion))
        shares["unknown_items"] = float((~newest["item_id"].isin(named)).mean())
        shares["unknown_shoppers"] = float((~shoppers.isin(trained_on.unique())).mean())
    published = about(target_path(root, name))
    shown = None if published is None else (published["version"], published["run_id"])
    if published is None or shown != (version, str(champion.run_id)):
        holds = "nothing" if published is None else f"version {published['version']}"
        notes.append(f"{holds} is published, not the champion (version {version}): make recommend")
    else:
        item_ids = published_items(target_path(root, name), reference["depth"])
        shares["coverage"] = len(item_ids.unique()) / len(vocabulary["item_ids"])
        if reference["recommended"] is None:
            notes.append("the champion was registered without an evaluation, so its lists have no reference")
        elif len(item_ids):
            found = item_histograms(item_ids, known, bins)
            drift |= _drift("recommended", reference["recommended"], found)
    return Observation(
        name=name,
        version=version,
        run_id=str(champion.run_id),
        trained_until=until.isoformat(timespec="seconds"),
        newest_from=start.isoformat(timespec="seconds"),
        newest_until=end.isoformat(timespec="seconds"),
        events=len(newest),
        drift=drift,
        shares=shares,
        screened=screened,
        notes=tuple(notes),
    )


def _newcomers(root: Path, name: str, champion: ModelVersion) -> list[str]:
    """Return the products that the champion does not know, but its file of new products does."""
    found = newcomers_for(root, name, identify(champion))
    return [] if found is None else found.item_ids


def _drift(prefix: str, reference: Histograms, found: Histograms) -> dict[str, dict[str, float]]:
    return {
        f"{prefix}.{name}": {
            "psi": psi(list(counts.values()), list(found[name].values())),
            "jensen_shannon": jensen_shannon(list(counts.values()), list(found[name].values())),
        }
        for name, counts in reference.items()
    }


# --- what follows ---------------------------------------------------------------------------------------


def decide(observation: Observation, limits: MonitorParams) -> Report:
    """Retrain when any figure is beyond its limit; a figure that is not a number is beyond it.

    What could not be looked at is no reason to retrain.
    """
    reasons = [
        f"{place}: {_NAMES[measure]} {value:.3f} is above {limit:g}"
        for place, figures in observation.drift.items()
        for measure, limit in (("psi", limits.max_psi), ("jensen_shannon", limits.max_jensen_shannon))
        if not (value := figures[measure]) <= limit
    ]
    for share, limit in (
        ("unknown_items", limits.max_unknown_items),
        ("unknown_shoppers", limits.max_unknown_shoppers),
    ):
        if share in observation.shares and not (value := observation.shares[share]) <= limit:
            reasons.append(f"{_NAMES[share]}: {value:.1%} is above {limit:.1%}")
    coverage = observation.shares.get("coverage")
    if coverage is not None and not coverage >= limits.min_coverage:
        reasons.append(f"{_NAMES['coverage']}: {coverage:.1%} is below {limits.min_coverage:.1%}")
    told = screen.warnings(observation.screened, limits)
    return Report(observation, bool(reasons), tuple(reasons) or (_nothing(observation),), told)


def _nothing(observation: Observation) -> str:
    """Say that no limit is passed; of nothing one cannot say it."""
    if observation.drift or observation.shares:
        return "Nothing is beyond its limit."
    return "Nothing could be compared."


_NAMES = {
    "psi": "PSI",
    "jensen_shannon": "Jensen-Shannon distance",
    "unknown_items": "newest events with an item the champion does not know",
    "unknown_shoppers": "newest shoppers without an event in its training data",
    "coverage": "share of its catalogue in the published lists",
}


def as_rows(report: Report, limits: MonitorParams) -> list[dict[str, str]]:
    """Return the figures as the rows of a table."""
    rows = [
        {
            "what": place,
            "PSI": f"{figures['psi']:.4f}",
            "Jensen-Shannon": f"{figures['jensen_shannon']:.4f}",
            "limit": f"{limits.max_psi:g}, {limits.max_jensen_shannon:g}",
        }
        for place, figures in report.observation.drift.items()
    ]
    bounds = {
        "unknown_items": f"{limits.max_unknown_items:.1%}",
        "unknown_shoppers": f"{limits.max_unknown_shoppers:.1%}",
        "coverage": f"at least {limits.min_coverage:.1%}",
    }
    others = {
        f"{_NAMES[share]}: {value:.1%}": bounds[share] for share, value in report.observation.shares.items()
    }
    others |= screen.figures(report.observation.screened, limits)
    return rows + [
        {"what": what, "PSI": "", "Jensen-Shannon": "", "limit": limit} for what, limit in others.items()
    ]


_TITLES = {
    "Warned": "somebody should look at fake accounts",
    "Drifted": "retrain",
    "Steady": "no drift",
    "NotCompared": "drift was not measured",
}


def outcome(report: Report) -> str:
    """Name what follows; NotCompared where no two distributions could be compared.

    A warning comes first: a person must hear of it, while a retraining starts by itself.
    """
    if report.warnings:
        return "Warned"
    if report.retrain:
        return "Drifted"
    return "Steady" if report.observation.drift else "NotCompared"


def sentence(report: Report) -> str:
    """Say in one sentence what follows."""
    seen = report.observation
    follows = "retraining is due" if report.retrain else "no retraining is due"
    return f"{seen.name} version {seen.version}: {follows}; {'; '.join((*report.reasons, *report.warnings))}"


def as_markdown(report: Report, limits: MonitorParams) -> str:
    """Return what people read: what follows, the figures, and what could not be looked at."""
    seen = report.observation
    rows = as_rows(report, limits)
    lines = [
        f"# {seen.name} version {seen.version}: {_TITLES[outcome(report)]}",
        "",
        *(f"- **{warning}**" for warning in report.warnings),
        *(f"- {reason}" for reason in report.reasons),
        "",
        f"{seen.events:,} newest events, {seen.newest_from} to {seen.newest_until}, against the champion's "
        f"training data, before {seen.trained_until}.",
        "",
        *(f"- {note}" for note in seen.notes),
    ]
    if rows:
        lines += ["", f"| {' | '.join(rows[0])} |", "|---|---:|---:|---:|"]
        lines += [f"| {' | '.join(row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def _log_metrics(client: MlflowClient, report: Report) -> None:
    seen, now = report.observation, int(time.time() * 1000)
    age = datetime.fromisoformat(seen.newest_until) - datetime.fromisoformat(seen.trained_until)
    # One measure of each place: a run with hundreds of metrics is not looked at. The report has both.
    values = {f"{place}.psi": of["psi"] for place, of in seen.drift.items()}
    values |= seen.shares | screen.metrics(seen.screened) | {"retrain": float(report.retrain)}
    metrics = [Metric(f"monitor/{key}", value, now, age.days) for key, value in values.items()]
    client.log_batch(seen.run_id, metrics=metrics)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    for key, value in {"when": when, "retrain": str(report.retrain).lower()}.items():
        client.set_model_version_tag(seen.name, seen.version, f"monitor.{key}", value)
