"""Scales, ticks and texts of charts in SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 460
"""Of every chart, in its own units; the page scales it."""


COLOURS = 8


_LETTER = 8.6  # mean width of a bold letter, of the size that a phone shows


RIGHT = 24  # margin: half of the last tick's words


ROW = 26


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


# --- parts ----------------------------------------------------------------------------------------------


def svg_of(label: str, height: float, parts: Sequence[str], said: Sequence[str] = ()) -> str:
    """Return a whole chart of its parts.

    Args:
        label: what a screen reader calls it. No <title>, which would show over all of the chart.
        height: in its own units.
        parts: elements.
        said: its figures in words, for those who do not see it.
    """
    told = f"<desc>{escape('; '.join(said))}</desc>" if said else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(label)}">{told}{"".join(parts)}</svg>'
    )


def text_at(x: float, y: float, words: str, style: str = "", anchor: str = "middle") -> str:
    """Return words at a place."""
    chosen = f' class="{style}"' if style else ""
    return f'<text{chosen} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def width_of(words: str) -> float:
    """Return about how wide words are, in units of the chart."""
    return _LETTER * len(words)


def label_of(value: float, among: Sequence[float], percent: bool = False) -> str:
    """Return the words of a tick among others, as short as they differ."""
    step = (among[1] - among[0]) * (100 if percent else 1)
    if not 1e-5 < step < 1e7:
        return f"{value:.1e}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    value = value + 0.0 if abs(value) > 1e-12 else 0.0
    return f"{value:.{digits}%}" if percent else f"{value:,.{digits}f}"


def spaced(x: Scale, among: Sequence[float], percent: bool) -> list[tuple[float, str]]:
    """Return each tick with its words; every second one where all would touch."""
    words = [label_of(tick, among, percent) for tick in among]
    gap = abs(x(among[1]) - x(among[0]))
    every = math.ceil((max(width_of(word) for word in words) + 6) / gap)
    return list(zip(among, words, strict=True))[::every]


def grid_across(y: Scale, among: Sequence[float], left: float, percent: bool = False) -> Iterator[str]:
    """Yield the lines across a chart, each with its label."""
    for tick in among:
        at = y(tick)
        yield f'<line class="grid" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield text_at(left - 6, at + 4.5, label_of(tick, among, percent), "", "end")


def path_of(line: Line, x: Scale, y: Scale, percent: bool) -> Iterator[str]:
    """Yield the pieces of a line; a value that is no number leaves a gap."""
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
    last = said_of(measured[-1][1], percent)
    yield f'<g class="c{line.colour % COLOURS}"><title>{escape(line.name)}: last {last}</title>'
    for piece in pieces:
        places = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece)
        if len(piece) > 1:
            yield f'<polyline points="{places}"/>'
    if len(measured) <= 40:
        for at, value in measured:
            yield (
                f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3"><title>{escape(line.name)} at '
                f"{said_of(at, percent)}: {said_of(value, percent)}</title></circle>"
            )
    yield "</g>"


def said_of(value: float, percent: bool) -> str:
    """Write a figure of a line for a tooltip."""
    return f"{value:.1%}" if percent and abs(value) <= 1 else f"{value:.6g}"


def legend_of(lines: Sequence[Line], top: float) -> tuple[float, list[str]]:
    """Return the height of the chart with its legend, and the legend."""
    parts, x, y = [], 8.0, top
    for line in lines:
        width = width_of(line.name) + 44
        if x > 8 and x + width > WIDTH:
            x, y = 8.0, y + 22
        parts.append(
            f'<g class="c{line.colour % COLOURS}">'
            f'<line class="key" x1="{x:.1f}" x2="{x + 26:.1f}" y1="{y}" y2="{y}"/></g>'
        )
        parts.append(text_at(x + 32, y + 5, line.name, "", "start"))
        x += width
    return y + 14, parts


def cost_of(box: tuple[float, ...], taken: Sequence[tuple[float, ...]], left: float) -> float:
    """Return by how much a box covers others, and leaves the chart."""
    covered = sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    outside = max(0.0, left - box[0]) + max(0.0, box[2] - WIDTH + 2)
    return covered + 20 * outside
