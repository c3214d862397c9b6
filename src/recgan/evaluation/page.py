"""The evaluation as one HTML page that needs nothing else: figures, charts, and where they come from."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.evaluation.plots import Point, Row, bar_chart, figure, interval_chart, line_chart, point_chart
from recgan.evaluation.segments import FEW_USERS
from recgan.evaluation.significance import detectable_words
from recgan.evaluation.svg import Line

OURS = "recommender"
"""Name of the trained recommender in a summary."""

_INK = 7  # the colour of what is no recommender
_CURVES: dict[str, dict[str, str]] = {
    "What chooses the epoch: NDCG on validation": {"validation_ndcg": "validation NDCG"},
    "Losses of both sides": {"g_loss": "generator", "d_loss": "discriminator"},
    "Adversarial part of the generator's loss": {"adversarial": "adversarial"},
    "Reconstruction part of the generator's loss": {"reconstruction": "reconstruction"},
    "What the discriminator answers": {"d_real": "real rows", "d_fake": "generated rows"},
    "Pairs in which the discriminator prefers the real row": {"win_rate": "win rate"},
    "Gradient norms of both sides": {"g_grad_norm": "generator", "d_grad_norm": "discriminator"},
    "Variety of what is generated": {
        "effective_items": "effective items",
        "effective_rank": "effective rank",
        "effective_classes": "effective classes",
    },
}
_NO_CURVE = {"epoch", "teacher"}


@dataclass(frozen=True)
class Verdict:
    """What is known only after the stage: the gate's decision, and where the version comes from."""

    model: str
    version: str
    promoted: bool
    reasons: Sequence[str]
    """Each begins with ✓ or ✗."""
    lineage: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A chart with its caption."""

    caption: str
    svg: Markup


def page(root: Path = Path(), verdict: Verdict | None = None) -> str:
    """Return the page of the last evaluation; the same files give the same bytes.

    Reads data/evaluation/summary.json and, where they are there, models/recommender/recommender.json,
    reports/curves.csv and metrics/validation.json.

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
            read_json(path),
            recommender=_json(root / layout.RECOMMENDER / "recommender.json"),
            curves=read_curves(root / layout.CURVES),
            validation=_json(root / layout.VALIDATION_METRICS),
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
    verdict: Verdict | None = None,
) -> str:
    """Return the page of a summary and of what is known of its recommender and its data.

    Args:
        summary: of the stage `evaluate`.
        recommender: of recommender.json; None where there is none.
        curves: column → one figure an epoch, as `read_curves` gives them; None or empty without training.
        validation: of the stage `validate`; None where it is absent.
        verdict: of the gate; None before it has decided.
    """
    k = summary["primary_k"]
    by_ndcg = sorted(
        summary["recommenders"], key=lambda name: -_sortable(_metric(summary, name, f"ndcg_at_{k}"))
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = figure
    template = environment.from_string(
        files("recgan.evaluation").joinpath("evaluation.html.jinja").read_text(encoding="utf-8")
    )
    return template.render(
        summary=summary,
        k=k,
        ks=_ks(summary),
        ours=OURS,
        label=lambda name: _label(summary, name),
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
        quarantine=_quarantine(validation),
        curves=_curve_figures(curves or {}, recommender or {}),
        mark=_mark(curves or {}, recommender or {}),
        accuracy=_accuracy(summary, by_ndcg),
        comparisons=_comparisons(summary),
        detectable=detectable_words(summary["users"], summary["confidence"]),
        segments=_segments(summary, by_ndcg),
        few_users=FEW_USERS,
        beyond=_beyond(summary, by_ndcg),
        popularity=_popularity(summary, by_ndcg),
        p=lambda value: "<0.001" if value < 0.001 else figure(value, 3),
        signed=lambda value: f"{value:+.4f}" if math.isfinite(value) else figure(value),
        relative=_relative,
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
        _figure("Rows in quarantine by reason", bar_chart, sorted(rows, key=lambda row: -(row.value or 0)))
    ]


def _curve_figures(
    curves: Mapping[str, Sequence[float | None]], recommender: Mapping[str, Any]
) -> list[Figure]:
    epochs = [float(epoch) for epoch in curves.get("epoch", ()) if epoch is not None]
    mark = _mark(curves, recommender)
    groups = {
        caption: {name: words for name, words in columns.items() if name in curves}
        for caption, columns in _CURVES.items()
    }
    known = _NO_CURVE.union(*_CURVES.values())
    groups |= {name.replace("_", " ").capitalize(): {name: name} for name in curves if name not in known}
    found = []
    for caption, columns in groups.items():
        if columns and epochs:
            lines = [
                Line(words, epochs, curves[name], (0, 2, 3)[place])
                for place, (name, words) in enumerate(columns.items())
            ]
            found.append(_figure(caption, line_chart, lines, "epoch", mark=mark))
    return found


def _mark(curves: Mapping[str, Sequence[float | None]], recommender: Mapping[str, Any]) -> int | None:
    """Return the epoch to point out: the one that was chosen, unless several trainings stand on end."""
    several = len({*curves.get("teacher", ())}) > 1
    return None if several else recommender.get("best_epoch") or None


def _accuracy(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    return [
        _figure(
            f"{name}@{k} with its {summary['confidence']:.0%} interval",
            interval_chart,
            [
                Row(
                    _label(summary, other),
                    _metric(summary, other, metric),
                    *_ends(summary["recommenders"][other]["intervals"].get(metric)),
                    colour=_colour(summary, other),
                )
                for other in by_ndcg
            ],
        )
        for k in _ks(summary)
        for name, metric in (("NDCG", f"ndcg_at_{k}"), ("HR", f"hr_at_{k}"))
    ]


def _comparisons(summary: Mapping[str, Any]) -> list[Figure]:
    rows = [
        Row(other["name"], other["difference"], other["low"], other["high"], _colour(summary, other["name"]))
        for other in summary["comparisons"]
    ]
    if not rows:
        return []
    caption = (
        f"{_label(summary, OURS)} minus each baseline, NDCG@{summary['primary_k']}; right of 0 is better"
    )
    return [_figure(caption, interval_chart, rows, reference=0.0, signed=True)]


def _segments(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    k = summary["primary_k"]
    return [
        _figure(
            f"{segment.replace('_', ' ').capitalize()} ({part['users']:,} users"
            f"{': too few to tell' if part['too_few'] else ''}), NDCG@{k}",
            interval_chart,
            [
                Row(
                    _label(summary, name),
                    part["ndcg"][name],
                    *_ends(part["intervals"][name]),
                    colour=_colour(summary, name),
                )
                for name in by_ndcg
            ],
            reference=0.0,
        )
        for segment, part in summary["segments"].items()
    ]


def _beyond(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    k = summary["primary_k"]
    figures = []
    for metric, words, percent in (
        ("coverage", f"coverage@{k}: share of the catalogue that is shown", True),
        ("novelty", f"novelty@{k}: bits of surprise", False),
    ):
        points = [
            Point(_label(summary, name), x, y, _colour(summary, name))
            for name in by_ndcg
            if (x := _metric(summary, name, f"{metric}_at_{k}")) is not None
            and (y := _metric(summary, name, f"ndcg_at_{k}")) is not None
        ]
        figures.append(
            _figure(f"Accuracy against {metric}", point_chart, points, words, f"NDCG@{k}", x_percent=percent)
        )
    return figures


def _popularity(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    k, figures = summary["primary_k"], []
    shares = summary.get("popularity")
    if shares:
        catalogue = [0.0, *shares["catalogue"]]
        lines = [Line("bought", catalogue, [0.0, *shares["bought"]], _INK)] + [
            Line(_label(summary, name), catalogue, [0.0, *shares["shown"][name]], _colour(summary, name))
            for name in by_ndcg
        ]
        figures.append(
            _figure(
                "Share that falls to the most popular part of the catalogue",
                line_chart,
                lines,
                "part of the catalogue, the most popular first",
                percent=True,
            )
        )
    rows = [
        Row(_label(summary, name), lift, colour=_colour(summary, name))
        for name in by_ndcg
        if (lift := _metric(summary, name, f"popularity_lift_at_{k}")) is not None
    ]
    if rows:
        caption = f"Popularity lift@{k}: how much more popular than the user's own history"
        figures.append(_figure(caption, bar_chart, rows, percent=True))
    return figures


def _figure(caption: str, chart: Any, content: Sequence[Any], *more: Any, **settings: Any) -> Figure:
    return Figure(caption, Markup(chart(content, caption, *more, **settings)))  # the chart escapes its words


# --- words ----------------------------------------------------------------------------------------------


def _label(summary: Mapping[str, Any], name: str) -> str:
    return f"{summary['recommender']} (ours)" if name == OURS else name


def _relative(comparison: Mapping[str, Any]) -> str:
    if comparison["mean_other"] == 0:
        return "–"
    share = comparison["difference"] / comparison["mean_other"]
    return f"{share:+.1%}" if math.isfinite(share) else figure(share)


def _metric(summary: Mapping[str, Any], name: str, metric: str) -> float | None:
    value: float | None = summary["recommenders"][name]["metrics"].get(metric)
    return value


def _sortable(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


def _ends(interval: Mapping[str, float] | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval["low"], interval["high"])


def _colour(summary: Mapping[str, Any], name: str) -> int:
    others = [other for other in summary["recommenders"] if other != OURS]
    return 0 if name == OURS else 1 + others.index(name) % 6


def _ks(summary: Mapping[str, Any]) -> list[int]:
    metrics = summary["recommenders"][OURS]["metrics"]
    return sorted(int(name.removeprefix("ndcg_at_")) for name in metrics if name.startswith("ndcg_at_"))


def _json(path: Path) -> dict[str, Any] | None:
    return dict(read_json(path)) if path.exists() else None
