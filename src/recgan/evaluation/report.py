"""The evaluation as text: the table of recommenders, and a page of Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.evaluation.candidates import adversarial_words, candidate_rows
from recgan.evaluation.days import DAYS, came_words, day_words, outside_share
from recgan.evaluation.figures import label_of
from recgan.evaluation.plain_words import besides, lead, luck
from recgan.evaluation.second_stage import EARNED, earned_rows
from recgan.evaluation.segments import FEW_USERS
from recgan.evaluation.significance import detectable_words
from recgan.evaluation.spread_words import (
    POOLED,
    ablation_words,
    pooled_rows,
    seed_rows,
    skipped_words,
    spread_rows,
    windows_words,
)


def evaluation_table(root: Path = Path()) -> str:
    """Return the table of the last evaluation: one line for each recommender, the best NDCG first.

    Raises:
        RecganError: there is no readable evaluation.
    """
    path = root / layout.EVALUATION / "summary.json"
    try:
        return comparison_table(read_json(path))
    except (OSError, ValueError, KeyError) as error:
        raise RecganError(f"no readable evaluation in {path} ({error}); run dvc repro evaluate") from None


def comparison_table(summary: Mapping[str, Any]) -> str:
    """Return a line for each candidate: HR and NDCG with intervals, coverage, p against the challenger.

    HR and NDCG are of all that came, known NDCG of the vocabulary alone, next NDCG of the next item alone.
    """
    k = summary["primary_k"]
    p_values = {comparison["name"]: comparison["p_holm"] for comparison in summary["comparisons"]}
    head = [
        "recommender",
        f"HR@{k} [{summary['confidence']:.0%} CI]",
        f"NDCG@{k} [{summary['confidence']:.0%} CI]",
        f"known NDCG@{k}",
        f"next NDCG@{k}",
        f"coverage@{k}",
        "p vs challenger",
    ]
    by_ndcg = sorted(summary["recommenders"].items(), key=lambda item: -item[1]["metrics"][f"ndcg_at_{k}"])
    rows = [
        [
            label_of(summary, name),
            _with_interval(measured, f"hr_at_{k}"),
            _with_interval(measured, f"ndcg_at_{k}"),
            _number(measured["metrics"].get(f"known_ndcg_at_{k}")),
            _number(measured["metrics"].get(f"next_ndcg_at_{k}")),
            f"{measured['metrics'].get(f'coverage_at_{k}', 0):.1%}",
            _p(p_values[name]) if name in p_values else "",
        ]
        for name, measured in by_ndcg
    ]
    return _table(head, rows)


def report(summary: Mapping[str, Any]) -> str:
    """Write an evaluation as a Markdown page: in short, every metric, the comparisons, the segments."""
    k, others = summary["primary_k"], besides(summary, summary["challenger"])
    names = list(summary["recommenders"])
    metrics = {name: measured["metrics"] for name, measured in summary["recommenders"].items()}
    comparisons = [
        [
            comparison["name"],
            f"{comparison['difference']:+.4f} [{comparison['low']:+.4f}, {comparison['high']:+.4f}]",
            _relative(comparison),
            _p(comparison["p_value"]),
            _p(comparison["p_holm"]),
            f"{comparison['detectable']:.4f}",
        ]
        for comparison in summary["comparisons"]
    ]
    parts = [
        [
            segment.replace("_", " "),
            f"{part['users']:,}" + (" (too few)" if part["too_few"] else ""),
            *(_mean_and_range(part["intervals"][name]) for name in names),
        ]
        for segment, part in summary["segments"].items()
    ]
    days = [
        [day_words(day), f"{day['users']:,}", f"{outside_share(day):.1%}"]
        + [f"{day['ndcg'][name]:.4f}" for name in names]
        for day in summary.get("days", ())
    ]
    every_metric = [
        [metric.replace("_at_", "@"), *(_number(metrics[name].get(metric)) for name in names)]
        for metric in metrics[summary["challenger"]]
    ]
    return "\n".join(
        [
            "# Evaluation on the test window",
            "",
            lead(summary, summary["challenger"], others),
            luck(summary["users"], others),
            "",
            f"{summary['users']:,} users with something held out ({summary['users_left_out']:,} without, "
            f"left out), {summary['items']:,} items, the full catalogue ranked. {came_words(summary)} "
            f"Intervals and p by bootstrap over users ({summary['bootstrap_samples']:,} samples); p is "
            "two-sided, in the first table after Holm over all candidates.",
            "",
            comparison_table(summary),
            "",
            "## Candidates",
            "",
            "The best on validation is the challenger; the test window decides nothing but the gate.",
            "",
            _table(["candidate", "recommender", "NDCG on validation", ""], candidate_rows(summary)),
            "",
            *([words, ""] if (words := adversarial_words(summary)) else []),
            f"## {summary['challenger']}, the challenger, against each other candidate, NDCG@{k}",
            "",
            _table(
                ["candidate", "difference [CI]", "relative", "p", "p after Holm", "detectable"], comparisons
            ),
            "",
            detectable_words(summary["users"], summary["confidence"]),
            "",
            *_second_stages(summary),
            *_beyond_one_window(summary),
            f"## Segments, NDCG@{k}",
            "",
            "A segment of items is measured on its held-out items alone, over the users who have any. "
            f"Intervals by bootstrap over these users; fewer than {FEW_USERS} are too few to tell anything.",
            "",
            _table(["segment", "users", *(label_of(summary, name) for name in names)], parts),
            "",
            *(
                [
                    f"## Day by day, NDCG@{k}",
                    "",
                    DAYS,
                    "",
                    _table(["day", "users", "outside", *(label_of(summary, name) for name in names)], days),
                    "",
                ]
                if days
                else []
            ),
            "## Every metric",
            "",
            _table(["metric", *(label_of(summary, name) for name in names)], every_metric),
            "",
        ]
    )


def _second_stages(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines on what discriminators earn; none without a candidate in two stages."""
    head, rows = earned_rows(summary)
    return ["## What the discriminator earns", "", EARNED, "", _table(head, rows), ""] if rows else []


def _beyond_one_window(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines on more windows, seeds and the ablation; none where nothing was asked for."""
    found = summary.get("replications")
    if not found:
        return []
    lines = [f"## Beyond one window and one seed, NDCG@{summary['primary_k']}", "", windows_words(found), ""]
    lines += [_table(*spread_rows(found)), ""]
    head, rows = seed_rows(found)
    if rows:
        lines += [_table(head, rows), ""]
    if found["pooled"]:
        lines += [POOLED, "", _table(*pooled_rows(found)), ""]
    if words := ablation_words(found):
        lines += ["### What the adversarial term adds", "", *(f"{line}\n" for line in words)]
    return lines + [f"{line}\n" for line in skipped_words(found)]


def _with_interval(measured: Mapping[str, Any], metric: str) -> str:
    return _mean_and_range(measured["intervals"][metric])


def _mean_and_range(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:.4f} [{interval['low']:.4f}, {interval['high']:.4f}]"


def _relative(comparison: Mapping[str, Any]) -> str:
    if comparison["mean_other"] == 0:
        return "–"
    return f"{comparison['difference'] / comparison['mean_other']:+.1%}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out as Markdown: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
    ]
    return "\n".join([line(head), f"|{'|'.join(rule)}|", *(line(row) for row in rows)])
