"""The evaluation as one HTML page that needs nothing else: figures, charts, and where they come from."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.evaluation.candidates import adversarial_words, candidate_rows
from recgan.evaluation.days import DAYS, came_words, day_words, outside_share
from recgan.evaluation.figures import (
    Figure,
    accuracy_figures,
    beyond_accuracy,
    chart_of,
    comparison_figures,
    curve_figures,
    day_figures,
    ks_of,
    label_of,
    mark_of,
    metric_of,
    popularity_figures,
    relative_to,
    segment_figures,
    sortable,
)
from recgan.evaluation.plain_words import Verdict, besides, hit_rate, lead, left_out, luck, title, whole
from recgan.evaluation.plots import Row, bar_chart, figure
from recgan.evaluation.second_stage import EARNED, earned_rows
from recgan.evaluation.segments import FEW_USERS
from recgan.evaluation.showcase import showcase
from recgan.evaluation.significance import detectable_words
from recgan.evaluation.spread_words import shown


def page(root: Path = Path(), verdict: Verdict | None = None) -> str:
    """Return the page of the last evaluation; the same files give the same bytes.

    Reads data/evaluation/summary.json and, where they are there, lists.json beside it, recommender.json of
    the challenger, reports/curves.csv, metrics/validation.json and metrics/screening.json.

    Args:
        root: the project.
        verdict: of the gate; None before it has decided.

    Raises:
        RecganError: there is no evaluation, or one of these files is not readable.
    """
    path = root / layout.EVALUATION / "summary.json"
    if not path.exists():
        raise RecganError(f"no evaluation in {path}; run dvc repro evaluate")
    try:
        return render(
            summary := read_json(path),
            recommender=_json(root / layout.MODELS / summary["challenger"] / "recommender.json"),
            curves=read_curves(root / layout.CURVES),
            validation=_json(root / layout.VALIDATION_METRICS),
            screening=_json(root / layout.SCREENING_METRICS),
            lists=_json(root / layout.EVALUATION / "lists.json"),
            verdict=verdict,
        )
    except (OSError, ValueError, KeyError) as error:
        raise RecganError(
            f"the evaluation in {root} cannot be shown ({error!r}); run dvc repro evaluate"
        ) from None


def render(
    summary: Mapping[str, Any],
    recommender: Mapping[str, Any] | None = None,
    curves: Mapping[str, Sequence[float | None]] | None = None,
    validation: Mapping[str, Any] | None = None,
    lists: Mapping[str, Any] | None = None,
    verdict: Verdict | None = None,
    screening: Mapping[str, Any] | None = None,
) -> str:
    """Return the page of a summary and of what is known of its recommender and its data.

    Args:
        summary: of the stage `evaluate`.
        recommender: of recommender.json; None where there is none.
        curves: column → one figure an epoch, as `read_curves` gives them; None or empty without training.
        validation: of the stage `validate`; None where it is absent.
        lists: of lists.json, what the candidates show; None where it is absent.
        verdict: of the gate; None before it has decided.
        screening: of the stage `screen`; None where it is absent.
    """
    k = summary["primary_k"]
    by_ndcg = sorted(
        summary["recommenders"], key=lambda name: -sortable(metric_of(summary, name, f"ndcg_at_{k}"))
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recgan.evaluation"),  # evaluation/templates
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure
    judged = summary["challenger"] if verdict is None else verdict.candidate
    others = besides(summary, judged, None if verdict is None else verdict.champion)
    bars = [(judged, hit_rate(summary, judged)), *((one.name, one.found) for one in others)]
    reasons = [] if verdict is None else verdict.reasons
    return environment.get_template("evaluation.html.jinja").render(
        title=title(summary, verdict, _last_day(validation)),
        judged=judged,
        bars=bars,
        top=max((share or 0 for _, share in bars), default=0) or 1,
        against=[one for one in reasons if one.startswith("✗")],
        in_favour=[one for one in reasons if not one.startswith("✗")],
        whole=whole(summary, judged, others),
        lead=lead(summary, judged, others),
        luck=luck(summary["users"], others),
        shows=None if lists is None else showcase(lists, judged),
        summary=summary,
        k=k,
        ks=ks_of(summary),
        ours=summary["challenger"],
        candidates=candidate_rows(summary),
        adversarial=adversarial_words(summary),
        earned=earned_rows(summary),
        earned_words=EARNED,
        replications=shown(summary["replications"]) if summary.get("replications") else None,
        label=lambda name: label_of(summary, name),
        by_ndcg=by_ndcg,
        metrics=list(dict.fromkeys(m for n in by_ndcg for m in summary["recommenders"][n]["metrics"])),
        measured=summary["recommenders"],
        recommender=recommender or {},
        settings=json.dumps((recommender or {}).get("settings", {}), indent=2, ensure_ascii=False),
        validation=validation,
        broken=[
            (name, outcome)
            for name, outcome in (validation or {}).get("expectations", {}).items()
            if not outcome["success"]
        ],
        verdict=verdict,
        accounts=None if screening is None else left_out(screening),
        quarantine=_quarantine(validation),
        curves=curve_figures(curves or {}, recommender or {}),
        mark=mark_of(curves or {}, recommender or {}),
        accuracy=accuracy_figures(summary, by_ndcg),
        comparisons=comparison_figures(summary),
        detectable=detectable_words(summary["users"], summary["confidence"]),
        segments=segment_figures(summary, by_ndcg),
        few_users=FEW_USERS,
        days=day_figures(summary, by_ndcg),
        days_words=DAYS,
        day_words=day_words,
        outside_share=outside_share,
        came=came_words(summary),
        beyond=beyond_accuracy(summary, by_ndcg),
        popularity=popularity_figures(summary, by_ndcg),
        p=lambda value: "<0.001" if value < 0.001 else figure(value, 3),
        signed=lambda value: f"{value:+.4f}" if math.isfinite(value) else figure(value),
        relative=relative_to,
    )


def read_curves(path: Path) -> dict[str, list[float | None]]:
    """Read a file of curves: column → one figure an epoch, None where it is blank; empty without a file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        curves: dict[str, list[float | None]] = {name: [] for name in reader.fieldnames or ()}
        for row in reader:
            for name, column in curves.items():
                column.append(float(row[name]) if row[name] else None)
    return curves


# --- figures --------------------------------------------------------------------------------------------


def _quarantine(validation: Mapping[str, Any] | None) -> list[Figure]:
    counts = {} if validation is None else validation["quarantined_by_reason"]
    rows = [Row(reason.replace("_", " "), count, colour=2) for reason, count in counts.items() if count]
    if not rows:
        return []
    return [
        chart_of("Rows in quarantine by reason", bar_chart, sorted(rows, key=lambda row: -(row.value or 0)))
    ]


def _last_day(validation: Mapping[str, Any] | None) -> date | None:
    last = (validation or {}).get("last_event")
    return date.fromisoformat(last[:10]) if last else None


def _json(path: Path) -> dict[str, Any] | None:
    return dict(read_json(path)) if path.exists() else None
