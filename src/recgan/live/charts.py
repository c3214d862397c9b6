"""Lines with the intervals around them, in the colours of the evaluation's page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recgan.evaluation.svg import (
    COLOURS,
    RIGHT,
    WIDTH,
    Line,
    Scale,
    grid_across,
    label_of,
    legend_of,
    path_of,
    svg_of,
    text_at,
    ticks,
    width_of,
)

_BOTTOM = 196


@dataclass(frozen=True)
class Band:
    """A line, and the interval around each of its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: int


def band_chart(bands: Sequence[Band], label: str, x_title: str, marks: Sequence[float] = ()) -> str:
    """Draw lines with their intervals from 0 up.

    Args:
        bands: at least one, each with at least one point.
        label: what the chart shows, for those who do not see it.
        x_title: below the horizontal axis.
        marks: places on the horizontal axis to point out.

    Returns:
        An svg element.
    """
    across = [x for band in bands for x in band.x]
    y_ticks = ticks(0.0, max(max(band.high) for band in bands))
    x_ticks = ticks(min(across), max(across))
    left = width_of(max((label_of(tick, y_ticks) for tick in y_ticks), key=len)) + 12
    x = Scale(min(across), max(max(across), min(across) + 1e-9), left, WIDTH - RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], _BOTTOM, 12)
    parts = list(grid_across(y, y_ticks, left))
    parts += [text_at(x(tick), 214, label_of(tick, x_ticks)) for tick in x_ticks if x.low <= tick <= x.high]
    parts.append(text_at((left + WIDTH - RIGHT) / 2, 233, x_title, "soft"))
    parts += [
        f'<line class="mark" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="12" y2="{_BOTTOM}"/>' for mark in marks
    ]
    for band in bands:
        parts += _drawn(band, x, y)
    height, legend = legend_of([_line(band) for band in bands], 256)
    said = [
        f"{band.name}: from {band.y[0]:.1f} to {band.y[-1]:.1f}, at most {max(band.y):.1f}" for band in bands
    ]
    return svg_of(label, height, parts + legend, said)


def _line(band: Band) -> Line:
    return Line(band.name, band.x, band.y, band.colour)


def _drawn(band: Band, x: Scale, y: Scale) -> Iterator[str]:
    """Yield the interval as a surface, and the line above it."""
    forth = [f"{x(at):.1f},{y(value):.1f}" for at, value in zip(band.x, band.high, strict=True)]
    back = [f"{x(at):.1f},{y(value):.1f}" for at, value in zip(band.x, band.low, strict=True)]
    places = " ".join([*forth, *reversed(back)])
    yield f'<polygon class="band c{band.colour % COLOURS}" points="{places}"/>'
    yield from path_of(_line(band), x, y, percent=False)
