"""The charts of the evaluation page, from a summary."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recgan.evaluation.plots import Point, Row, bar_chart, figure, interval_chart, line_chart, point_chart
from recgan.evaluation.svg import Line

_INK = 7  # the colour of what is no recommender


_CURVES: dict[str, dict[str, str]] = {
    "What chooses the epoch: NDCG on validation": {"validation_ndcg": "validation NDCG"},
    "Share of the critic that validation chose": {"critic_share": "critic's share"},
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
class Figure:
    """A chart with its caption."""

    caption: str
    svg: Markup


def curve_figures(
    curves: Mapping[str, Sequence[float | None]], recommender: Mapping[str, Any]
) -> list[Figure]:
    """Return the curves of the training, with the epoch that was kept."""
    epochs = [float(epoch) for epoch in curves.get("epoch", ()) if epoch is not None]
    there = [name for name, column in curves.items() if any(value is not None for value in column)]
    mark = mark_of(curves, recommender)
    groups = {
        caption: {name: words for name, words in columns.items() if name in there}
        for caption, columns in _CURVES.items()
    }
    known = _NO_CURVE.union(*_CURVES.values())
    groups |= {name.replace("_", " ").capitalize(): {name: name} for name in there if name not in known}
    found = []
    for caption, columns in groups.items():
        if columns and epochs:
            lines = [
                Line(words, epochs, curves[name], (0, 2, 3)[place])
                for place, (name, words) in enumerate(columns.items())
            ]
            found.append(chart_of(caption, line_chart, lines, "epoch", mark=mark))
    return found


def mark_of(curves: Mapping[str, Sequence[float | None]], recommender: Mapping[str, Any]) -> int | None:
    """Return the epoch to point out: the one that was chosen, unless several trainings stand on end."""
    several = len({*curves.get("teacher", ())}) > 1
    return None if several else recommender.get("best_epoch") or None


def accuracy_figures(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    """Return how well each recommender ranks, at every k."""
    return [
        chart_of(
            f"{name}@{k} with its {summary['confidence']:.0%} interval",
            interval_chart,
            [
                Row(
                    label_of(summary, other),
                    metric_of(summary, other, metric),
                    *_ends(summary["recommenders"][other]["intervals"].get(metric)),
                    colour=_colour(summary, other),
                )
                for other in by_ndcg
            ],
        )
        for k in ks_of(summary)
        for name, metric in (("NDCG", f"ndcg_at_{k}"), ("HR", f"hr_at_{k}"))
    ]


def comparison_figures(summary: Mapping[str, Any]) -> list[Figure]:
    """Return the differences from the challenger, with their intervals."""
    rows = [
        Row(other["name"], other["difference"], other["low"], other["high"], _colour(summary, other["name"]))
        for other in summary["comparisons"]
    ]
    if not rows:
        return []
    caption = (
        f"{summary['challenger']} minus each other candidate, NDCG@{summary['primary_k']}; "
        "right of 0 is better"
    )
    return [chart_of(caption, interval_chart, rows, reference=0.0, signed=True)]


def segment_figures(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    """Return the NDCG of each part of the users and items."""
    k = summary["primary_k"]
    return [
        chart_of(
            f"{segment.replace('_', ' ').capitalize()} ({part['users']:,} users"
            f"{': too few to tell' if part['too_few'] else ''}), NDCG@{k}",
            interval_chart,
            [
                Row(
                    label_of(summary, name),
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


def day_figures(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    """Return the NDCG of each day of the test window; none unless the split is in time."""
    days = summary.get("days")
    if not days:
        return []
    xs = [float(day["day"]) for day in days]
    lines = [
        Line(label_of(summary, name), xs, [day["ndcg"][name] for day in days], _colour(summary, name))
        for name in by_ndcg
    ]
    caption = f"NDCG@{summary['primary_k']} of what came on each day of the test window"
    return [chart_of(caption, line_chart, lines, "day of the window")]


def beyond_accuracy(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    """Return what ranks say beside being right: coverage, novelty, bias."""
    k = summary["primary_k"]
    figures = []
    for metric, words, percent in (
        ("coverage", f"coverage@{k}: share of the catalogue that is shown", True),
        ("novelty", f"novelty@{k}: bits of surprise", False),
    ):
        points = [
            Point(label_of(summary, name), x, y, _colour(summary, name))
            for name in by_ndcg
            if (x := metric_of(summary, name, f"{metric}_at_{k}")) is not None
            and (y := metric_of(summary, name, f"ndcg_at_{k}")) is not None
        ]
        figures.append(
            chart_of(f"Accuracy against {metric}", point_chart, points, words, f"NDCG@{k}", x_percent=percent)
        )
    return figures


def popularity_figures(summary: Mapping[str, Any], by_ndcg: Sequence[str]) -> list[Figure]:
    """Return how much of each part of the catalogue is shown and bought."""
    k, figures = summary["primary_k"], []
    shares = summary.get("popularity")
    if shares:
        catalogue = [0.0, *shares["catalogue"]]
        lines = [Line("bought", catalogue, [0.0, *shares["bought"]], _INK)] + [
            Line(label_of(summary, name), catalogue, [0.0, *shares["shown"][name]], _colour(summary, name))
            for name in by_ndcg
        ]
        figures.append(
            chart_of(
                "Share that falls to the most popular part of the catalogue",
                line_chart,
                lines,
                "part of the catalogue, the most popular first",
                percent=True,
            )
        )
    rows = [
        Row(label_of(summary, name), lift, colour=_colour(summary, name))
        for name in by_ndcg
        if (lift := metric_of(summary, name, f"popularity_lift_at_{k}")) is not None
    ]
    if rows:
        caption = f"Popularity lift@{k}: how much more popular than the user's own history"
        figures.append(chart_of(caption, bar_chart, rows, percent=True))
    return figures


def chart_of(caption: str, chart: Any, content: Sequence[Any], *more: Any, **settings: Any) -> Figure:
    """Return a chart with its caption."""
    return Figure(caption, Markup(chart(content, caption, *more, **settings)))  # the chart escapes its words


# --- words ----------------------------------------------------------------------------------------------


def label_of(summary: Mapping[str, Any], name: str) -> str:
    """Return what a recommender is called on the page."""
    return f"{name} (challenger)" if name == summary["challenger"] else name


def relative_to(comparison: Mapping[str, Any]) -> str:
    """Return the difference in percent of the other one."""
    if comparison["mean_other"] == 0:
        return "–"
    share = comparison["difference"] / comparison["mean_other"]
    return f"{share:+.1%}" if math.isfinite(share) else figure(share)


def metric_of(summary: Mapping[str, Any], name: str, metric: str) -> float | None:
    """Return a metric of a recommender, None where it was not measured."""
    value: float | None = summary["recommenders"][name]["metrics"].get(metric)
    return value


def sortable(value: float | None) -> float:
    """Return a value that sorts: what is none comes last."""
    return -math.inf if value is None or math.isnan(value) else value


def _ends(interval: Mapping[str, float] | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval["low"], interval["high"])


def _colour(summary: Mapping[str, Any], name: str) -> int:
    ours = summary["challenger"]
    others = [other for other in summary["recommenders"] if other != ours]
    return 0 if name == ours else 1 + others.index(name) % 6


def ks_of(summary: Mapping[str, Any]) -> list[int]:
    """Return the k at which the NDCG was measured, ascending."""
    metrics = summary["recommenders"][summary["challenger"]]["metrics"]
    return sorted(int(name.removeprefix("ndcg_at_")) for name in metrics if name.startswith("ndcg_at_"))
