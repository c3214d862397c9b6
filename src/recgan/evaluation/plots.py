"""Charts as SVG inside a page: shapes and words are here, colours and letters are the page's style sheet.

A colour is a class, c0 to c7, so that a chart follows the page into dark mode. Coordinates have one decimal:
the same figures give the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from recgan.evaluation.svg import (
    COLOURS,
    RIGHT,
    ROW,
    WIDTH,
    Line,
    Scale,
    cost_of,
    grid_across,
    label_of,
    legend_of,
    path_of,
    said_of,
    spaced,
    svg_of,
    text_at,
    ticks,
    width_of,
)


@dataclass(frozen=True)
class Row:
    """A figure with its interval, or without one."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    colour: int = 0


@dataclass(frozen=True)
class Point:
    """A named place in the plane."""

    name: str
    x: float
    y: float
    colour: int


def figure(value: float | None, digits: int = 4) -> str:
    """Write a figure for people: a dash where there is none, words where it is not a number."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not a number"
    return f"{value:,.{digits}f}"


def line_chart(
    lines: Sequence[Line], label: str, x_title: str, percent: bool = False, mark: float | None = None
) -> str:
    """Draw lines over a common axis, with a legend where there are several.

    Args:
        lines: at least one.
        label: what the chart shows, for those who do not see it.
        x_title: below the horizontal axis.
        percent: write shares as percentages.
        mark: a place on the horizontal axis to point out.

    Returns:
        An svg element; a note of what is not a number is part of it.
    """
    drawn = [value for line in lines for value in line.y if value is not None and math.isfinite(value)]
    broken = sum(value is not None and not math.isfinite(value) for line in lines for value in line.y)
    across = [x for line in lines for x in line.x]
    if not drawn:
        return svg_of(
            label, 40, [text_at(WIDTH / 2, 24, "No figure is a number." if broken else "No figure.")]
        )
    y_ticks, x_ticks = ticks(min(drawn), max(drawn)), ticks(min(across), max(across))
    left = width_of(max((label_of(tick, y_ticks, percent) for tick in y_ticks), key=len)) + 12
    x = Scale(min(across), max(max(across), min(across) + 1e-9), left, WIDTH - RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], 196, 12)
    parts = list(grid_across(y, y_ticks, left, percent))
    for tick in x_ticks:
        if x.low <= tick <= x.high:
            parts.append(text_at(x(tick), 214, label_of(tick, x_ticks, percent and max(across) <= 1)))
    parts.append(text_at((left + WIDTH - RIGHT) / 2, 233, x_title, "soft"))
    if mark is not None:
        parts.append(f'<line class="mark" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="12" y2="196"/>')
    for line in lines:
        parts += path_of(line, x, y, percent)
    height, legend = legend_of(lines, 256) if len(lines) > 1 else (242, [])
    if broken:
        height += 20
        legend.append(
            text_at(left, height - 6, f"{broken} values are not a number and left out", "bad", "start")
        )
    return svg_of(label, height, parts + legend, [_course(line, percent) for line in lines])


def _course(line: Line, percent: bool) -> str:
    """Say where a line begins and ends."""
    drawn = [value for value in line.y if value is not None and math.isfinite(value)]
    if not drawn:
        return f"{line.name}: no figure"
    return f"{line.name}: from {said_of(drawn[0], percent)} to {said_of(drawn[-1], percent)}"


def interval_chart(
    rows: Sequence[Row],
    label: str,
    percent: bool = False,
    reference: float | None = None,
    signed: bool = False,
) -> str:
    """Draw one row for each figure: its name, a dot, its interval, the figure in digits.

    Args:
        rows: from top to bottom.
        label: what the chart shows, for those who do not see it.
        percent: write shares as percentages.
        reference: a value to draw a line at, such as 0 for differences.
        signed: write + before what is above 0.
    """

    def digits(value: float | None) -> str:
        if value is not None and math.isfinite(value):
            return f"{value:{'+' if signed else ''}{'.1%' if percent else '.4f'}}"
        return figure(value)

    values = [v for row in rows for v in (row.value, row.low, row.high) if v is not None and math.isfinite(v)]
    x_ticks = ticks(
        min([*values, *([] if reference is None else [reference])], default=0.0),
        max([*values, *([] if reference is None else [reference])], default=1.0),
        5,
    )
    left = width_of(max((row.name for row in rows), key=len, default="")) + 10
    right = WIDTH - width_of(max((digits(row.value) for row in rows), key=len, default="")) - 10
    x = Scale(x_ticks[0], x_ticks[-1], left + 14, right - 8)
    bottom = 8 + ROW * len(rows)
    parts = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="8" y2="{bottom}"/>' for tick in x_ticks
    ]
    parts += [text_at(x(tick), bottom + 18, label) for tick, label in spaced(x, x_ticks, percent)]
    if reference is not None:
        parts.append(
            f'<line class="mark" x1="{x(reference):.1f}" x2="{x(reference):.1f}" y1="8" y2="{bottom}"/>'
        )
    told = []
    for place, row in enumerate(rows):
        y = 8 + ROW * (place + 0.5)
        ours = "ours" if row.colour == 0 else ""
        said = f"{row.name}: {digits(row.value)}"
        shapes = []
        if row.low is not None and row.high is not None and math.isfinite(row.low + row.high):
            said += f" [{digits(row.low)}, {digits(row.high)}]"
            ends = f'x1="{x(row.low):.1f}" x2="{x(row.high):.1f}"'
            shapes.append(f'<line class="reach" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
        if row.value is not None and math.isfinite(row.value):
            shapes.append(f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="5"/>')
        told.append(said)
        parts.append(f'<g class="c{row.colour % COLOURS}"><title>{escape(said)}</title>{"".join(shapes)}</g>')
        parts.append(text_at(left, y + 5, row.name, ours, "end"))
        parts.append(text_at(WIDTH - 4, y + 5, digits(row.value), f"digits {ours}".strip(), "end"))
    return svg_of(label, bottom + 26, parts, told)


def bar_chart(rows: Sequence[Row], label: str, percent: bool = False) -> str:
    """Draw one bar from 0 for each figure, its name before and the figure after it.

    Args:
        rows: from top to bottom.
        label: what the chart shows, for those who do not see it.
        percent: write shares as percentages; otherwise figures are counts.
    """

    def digits(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return figure(value)
        return f"{value:.1%}" if percent else f"{value:,.0f}"

    values = [row.value for row in rows if row.value is not None and math.isfinite(row.value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    left = width_of(max((row.name for row in rows), key=len, default="")) + 10
    right = WIDTH - width_of(max((digits(row.value) for row in rows), key=len, default="")) - 10
    x = Scale(low, high if high > low else low + 1, left + 8, right - 8)
    bottom = 8 + ROW * len(rows)
    parts = [f'<line class="axis" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="8" y2="{bottom}"/>']
    for place, row in enumerate(rows):
        y = 8 + ROW * (place + 0.5)
        if row.value is not None and math.isfinite(row.value):
            start, end = sorted((x(0), x(row.value)))
            said = escape(f"{row.name}: {digits(row.value)}")
            parts.append(
                f'<rect class="c{row.colour % COLOURS}" x="{start:.1f}" y="{y - 8:.1f}" '
                f'width="{end - start:.1f}" height="16"><title>{said}</title></rect>'
            )
        parts.append(text_at(left, y + 5, row.name, "", "end"))
        parts.append(text_at(WIDTH - 4, y + 5, digits(row.value), "digits", "end"))
    return svg_of(label, bottom + 8, parts, [f"{row.name}: {digits(row.value)}" for row in rows])


def point_chart(
    points: Sequence[Point], label: str, x_title: str, y_title: str, x_percent: bool = False
) -> str:
    """Draw named points in the plane; each name stands where it is in nobody's way.

    Args:
        points: those that are not a number are left out, and named in a note.
        label: what the chart shows, for those who do not see it.
        x_title: below the horizontal axis.
        y_title: above the vertical axis.
        x_percent: write shares on the horizontal axis as percentages.
    """
    shown = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    left_out = [point.name for point in points if point not in shown]
    note = f"not a number: {', '.join(left_out)}"
    if not shown:
        return svg_of(label, 40, [text_at(WIDTH / 2, 24, note if left_out else "No figure.", "bad")])
    x_ticks = ticks(min(p.x for p in shown), max(p.x for p in shown), 5)
    y_ticks = ticks(min(p.y for p in shown), max(p.y for p in shown))
    left = width_of(max((label_of(tick, y_ticks) for tick in y_ticks), key=len)) + 12
    x = Scale(x_ticks[0], x_ticks[-1], left + 10, WIDTH - 26)
    y = Scale(y_ticks[0], y_ticks[-1], 236, 34)
    parts = [text_at(4, 16, y_title, "soft", "start"), *grid_across(y, y_ticks, left)]
    parts += [text_at(x(tick), 254, label) for tick, label in spaced(x, x_ticks, x_percent)]
    parts.append(text_at((left + WIDTH - RIGHT) / 2, 274, x_title, "soft"))
    told = []
    taken = [(x(p.x) - 6, y(p.y) - 6, x(p.x) + 6, y(p.y) + 6) for p in shown]
    for point in shown:
        at_x, at_y, width = x(point.x), y(point.y), width_of(point.name)
        choices = [
            (at_x + 9, at_y + 5, "start", at_x + 9),
            (at_x - 9, at_y + 5, "end", at_x - 9 - width),
            (at_x, at_y - 11, "middle", at_x - width / 2),
            (at_x, at_y + 21, "middle", at_x - width / 2),
            (at_x + 7, at_y - 11, "start", at_x + 7),
            (at_x + 7, at_y + 21, "start", at_x + 7),
            (at_x - 7, at_y - 11, "end", at_x - 7 - width),
            (at_x - 7, at_y + 21, "end", at_x - 7 - width),
        ]
        boxes = [(start, foot - 13, start + width, foot + 3) for _, foot, _, start in choices]
        best = min(range(len(choices)), key=lambda i: (cost_of(boxes[i], taken, left), i))
        taken.append(boxes[best])
        text_x, text_y, anchor, _ = choices[best]
        said = f"{point.name}: {y_title} {figure(point.y)}, {x_title} "
        said += f"{point.x:.1%}" if x_percent else figure(point.x, 2)
        told.append(said)
        parts.append(
            f'<g class="c{point.colour % COLOURS}"><title>{escape(said)}</title>'
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="6"/></g>'
        )
        parts.append(text_at(text_x, text_y, point.name, "ours" if point.colour == 0 else "", anchor))
    if left_out:
        parts.append(text_at(left, 294, note, "bad", "start"))
    return svg_of(label, 300 if left_out else 282, parts, told)
