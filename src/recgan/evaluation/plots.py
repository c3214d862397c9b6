"""Charts as SVG inside a page: shapes and words are here, colours and letters are the page's style sheet.

A colour is a class, c0 to c7, so that a chart follows the page into dark mode. Coordinates have one decimal:
the same figures give the same bytes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 460
"""Of every chart, in its own units; the page scales it."""
COLOURS = 8
_LETTER = 8.6  # mean width of a bold letter, of the size that a phone shows
_RIGHT = 24  # margin: half of the last tick's words
_ROW = 26
_LINES = 6  # of a grid


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    """None is where nobody measured: the line goes on. NaN and infinity interrupt it."""
    colour: int


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


@dataclass(frozen=True)
class Scale:
    """A linear map from [low, high] to [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value is."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, at_most: int = _LINES) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) that enclose [low, high].

    Args:
        low: smallest value to show.
        high: largest value; where it equals `low`, something around both is enclosed.
        at_most: number of steps between the first and the last.
    """
    if high <= low:
        around = abs(low) / 2 or 0.5
        low, high = low - around, high + around
    rough = (high - low) / at_most
    power = 10.0 ** math.floor(math.log10(rough))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= at_most:
            break
    return [place * step for place in range(first, last + 1)]


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
        return _svg(label, 40, [_text(WIDTH / 2, 24, "No figure is a number." if broken else "No figure.")])
    y_ticks, x_ticks = ticks(min(drawn), max(drawn)), ticks(min(across), max(across))
    left = _width(max((_tick(tick, y_ticks, percent) for tick in y_ticks), key=len)) + 12
    x = Scale(min(across), max(max(across), min(across) + 1e-9), left, WIDTH - _RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], 196, 12)
    parts = list(_grid_across(y, y_ticks, left, percent))
    for tick in x_ticks:
        if x.low <= tick <= x.high:
            parts.append(_text(x(tick), 214, _tick(tick, x_ticks, percent and max(across) <= 1)))
    parts.append(_text((left + WIDTH - _RIGHT) / 2, 233, x_title, "soft"))
    if mark is not None:
        parts.append(f'<line class="mark" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="12" y2="196"/>')
    for line in lines:
        parts += _path(line, x, y, percent)
    height, legend = _legend(lines, 256) if len(lines) > 1 else (242, [])
    if broken:
        height += 20
        legend.append(
            _text(left, height - 6, f"{broken} values are not a number and left out", "bad", "start")
        )
    return _svg(label, height, parts + legend)


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
    left = _width(max((row.name for row in rows), key=len, default="")) + 10
    right = WIDTH - _width(max((digits(row.value) for row in rows), key=len, default="")) - 10
    x = Scale(x_ticks[0], x_ticks[-1], left + 14, right - 8)
    bottom = 8 + _ROW * len(rows)
    parts = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="8" y2="{bottom}"/>' for tick in x_ticks
    ]
    parts += [_text(x(tick), bottom + 18, label) for tick, label in _spaced(x, x_ticks, percent)]
    if reference is not None:
        parts.append(
            f'<line class="mark" x1="{x(reference):.1f}" x2="{x(reference):.1f}" y1="8" y2="{bottom}"/>'
        )
    for place, row in enumerate(rows):
        y = 8 + _ROW * (place + 0.5)
        ours = "ours" if row.colour == 0 else ""
        said = f"{row.name}: {digits(row.value)}"
        shapes = []
        if row.low is not None and row.high is not None and math.isfinite(row.low + row.high):
            said += f" [{digits(row.low)}, {digits(row.high)}]"
            ends = f'x1="{x(row.low):.1f}" x2="{x(row.high):.1f}"'
            shapes.append(f'<line class="reach" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
        if row.value is not None and math.isfinite(row.value):
            shapes.append(f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="5"/>')
        parts.append(f'<g class="c{row.colour % COLOURS}"><title>{escape(said)}</title>{"".join(shapes)}</g>')
        parts.append(_text(left, y + 5, row.name, ours, "end"))
        parts.append(_text(WIDTH - 4, y + 5, digits(row.value), f"digits {ours}".strip(), "end"))
    return _svg(label, bottom + 26, parts)


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
    left = _width(max((row.name for row in rows), key=len, default="")) + 10
    right = WIDTH - _width(max((digits(row.value) for row in rows), key=len, default="")) - 10
    x = Scale(low, high if high > low else low + 1, left + 8, right - 8)
    bottom = 8 + _ROW * len(rows)
    parts = [f'<line class="axis" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="8" y2="{bottom}"/>']
    for place, row in enumerate(rows):
        y = 8 + _ROW * (place + 0.5)
        if row.value is not None and math.isfinite(row.value):
            start, end = sorted((x(0), x(row.value)))
            said = escape(f"{row.name}: {digits(row.value)}")
            parts.append(
                f'<rect class="c{row.colour % COLOURS}" x="{start:.1f}" y="{y - 8:.1f}" '
                f'width="{end - start:.1f}" height="16"><title>{said}</title></rect>'
            )
        parts.append(_text(left, y + 5, row.name, "", "end"))
        parts.append(_text(WIDTH - 4, y + 5, digits(row.value), "digits", "end"))
    return _svg(label, bottom + 8, parts)


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
        return _svg(label, 40, [_text(WIDTH / 2, 24, note if left_out else "No figure.", "bad")])
    x_ticks = ticks(min(p.x for p in shown), max(p.x for p in shown), 5)
    y_ticks = ticks(min(p.y for p in shown), max(p.y for p in shown))
    left = _width(max((_tick(tick, y_ticks) for tick in y_ticks), key=len)) + 12
    x = Scale(x_ticks[0], x_ticks[-1], left + 10, WIDTH - 26)
    y = Scale(y_ticks[0], y_ticks[-1], 236, 34)
    parts = [_text(4, 16, y_title, "soft", "start"), *_grid_across(y, y_ticks, left)]
    parts += [_text(x(tick), 254, label) for tick, label in _spaced(x, x_ticks, x_percent)]
    parts.append(_text((left + WIDTH - _RIGHT) / 2, 274, x_title, "soft"))
    taken = [(x(p.x) - 6, y(p.y) - 6, x(p.x) + 6, y(p.y) + 6) for p in shown]
    for point in shown:
        at_x, at_y, width = x(point.x), y(point.y), _width(point.name)
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
        best = min(range(len(choices)), key=lambda i: (_cost(boxes[i], taken, left), i))
        taken.append(boxes[best])
        text_x, text_y, anchor, _ = choices[best]
        said = f"{point.name}: {y_title} {figure(point.y)}, {x_title} "
        said += f"{point.x:.1%}" if x_percent else figure(point.x, 2)
        parts.append(
            f'<g class="c{point.colour % COLOURS}"><title>{escape(said)}</title>'
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="6"/></g>'
        )
        parts.append(_text(text_x, text_y, point.name, "ours" if point.colour == 0 else "", anchor))
    if left_out:
        parts.append(_text(left, 294, note, "bad", "start"))
    return _svg(label, 300 if left_out else 282, parts)


# --- parts ----------------------------------------------------------------------------------------------


def _svg(label: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "middle") -> str:
    chosen = f' class="{style}"' if style else ""
    return f'<text{chosen} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _width(words: str) -> float:
    return _LETTER * len(words)


def _tick(value: float, among: Sequence[float], percent: bool = False) -> str:
    step = (among[1] - among[0]) * (100 if percent else 1)
    if not 1e-5 < step < 1e7:
        return f"{value:.1e}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    value = value + 0.0 if abs(value) > 1e-12 else 0.0
    return f"{value:.{digits}%}" if percent else f"{value:,.{digits}f}"


def _spaced(x: Scale, among: Sequence[float], percent: bool) -> list[tuple[float, str]]:
    """Return each tick with its words; every second one where all would touch."""
    words = [_tick(tick, among, percent) for tick in among]
    gap = abs(x(among[1]) - x(among[0]))
    every = math.ceil((max(_width(word) for word in words) + 6) / gap)
    return list(zip(among, words, strict=True))[::every]


def _grid_across(y: Scale, among: Sequence[float], left: float, percent: bool = False) -> Iterator[str]:
    for tick in among:
        at = y(tick)
        yield f'<line class="grid" x1="{left:.1f}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield _text(left - 6, at + 4.5, _tick(tick, among, percent), "", "end")


def _path(line: Line, x: Scale, y: Scale, percent: bool) -> Iterator[str]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(line.x, line.y, strict=True):
        if value is None:
            continue
        if math.isfinite(value):
            pieces[-1].append((at, value))
        else:
            pieces.append([])
    measured = [point for piece in pieces for point in piece]
    if not measured:
        return
    last = _said(measured[-1][1], percent)
    yield f'<g class="c{line.colour % COLOURS}"><title>{escape(line.name)}: last {last}</title>'
    for piece in pieces:
        places = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece)
        if len(piece) > 1:
            yield f'<polyline points="{places}"/>'
    if len(measured) <= 40:
        for at, value in measured:
            yield (
                f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3"><title>{escape(line.name)} at '
                f"{_said(at, percent)}: {_said(value, percent)}</title></circle>"
            )
    yield "</g>"


def _said(value: float, percent: bool) -> str:
    return f"{value:.1%}" if percent and abs(value) <= 1 else f"{value:.6g}"


def _legend(lines: Sequence[Line], top: float) -> tuple[float, list[str]]:
    """Return the height of the chart with its legend, and the legend."""
    parts, x, y = [], 8.0, top
    for line in lines:
        width = _width(line.name) + 44
        if x > 8 and x + width > WIDTH:
            x, y = 8.0, y + 22
        parts.append(
            f'<g class="c{line.colour % COLOURS}">'
            f'<line class="key" x1="{x:.1f}" x2="{x + 26:.1f}" y1="{y}" y2="{y}"/></g>'
        )
        parts.append(_text(x + 32, y + 5, line.name, "", "start"))
        x += width
    return y + 14, parts


def _cost(box: tuple[float, ...], taken: Sequence[tuple[float, ...]], left: float) -> float:
    """Return by how much a box covers others, and leaves the chart."""
    covered = sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    outside = max(0.0, left - box[0]) + max(0.0, box[2] - WIDTH + 2)
    return covered + 20 * outside
