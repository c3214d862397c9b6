"""A timeline as inline SVG: who came to a product, day by day."""

from datetime import datetime, timedelta
from html import escape

from recgan.accounts.worst import Timeline

_WIDTH, _HEIGHT = 460.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 8.0, 14.0, 168.0


def day_of(instant: datetime) -> str:
    """Return a day as people write it."""
    return f"{instant.day} {instant:%b %Y}"


def days_between(first: datetime, last: datetime) -> str:
    """Return the days from one instant to another in words."""
    if first.date() == last.date():
        return day_of(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{last.day} {first:%b %Y}"
    start = f"{first.day} {first:%b}" if first.year == last.year else day_of(first)
    return f"{start} – {day_of(last)}"


def drawn(timeline: Timeline, product: str) -> str:
    """Return the chart: a bar for so many days, the group's accounts upon the others'.

    Args:
        timeline: of a product.
        product: its name.
    """
    total = timeline.group + timeline.others
    top = _round_up(int(total.max()))
    width = (_WIDTH - _LEFT - _RIGHT) / len(total)
    scale = (_BOTTOM - _TOP) / top
    parts = []
    for value in (0, top / 2, top):
        at = _BOTTOM - value * scale
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4.5:.1f}" text-anchor="end">{value:g}</text>')
    for number, (group, others) in enumerate(zip(timeline.group, timeline.others, strict=True)):
        left = _LEFT + number * width
        when = days_between(*_span(timeline, number))
        said = f"<title>{when}: {group:,} of the group, {others:,} others</title>"
        for count, below, style in ((others, 0, "others"), (group, others, "group")):
            if count:
                top_edge = _BOTTOM - (below + count) * scale
                parts.append(
                    f'<rect class="{style}" x="{left + width * 0.08:.2f}" y="{top_edge:.2f}" '
                    f'width="{width * 0.84:.2f}" height="{count * scale:.2f}">{said}</rect>'
                )
    last = _span(timeline, len(total) - 1)[1]
    for at, words, anchor in (
        (_LEFT, day_of(timeline.start), "start"),
        (_WIDTH - _RIGHT, day_of(last), "end"),
    ):
        parts.append(f'<text x="{at}" y="{_BOTTOM + 20}" text-anchor="{anchor}">{words}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT - 6:g}" role="img" '
        f'aria-label="{escape(f"New accounts on {product}, {bar_words(timeline)}")}">'
        f"<desc>{escape(said_of(timeline))}</desc>{''.join(parts)}</svg>"
    )


def bar_words(timeline: Timeline) -> str:
    """Say what a bar stands for."""
    return "day by day" if timeline.days == 1 else f"each bar {timeline.days} days"


def said_of(timeline: Timeline) -> str:
    """Say in a sentence what the chart shows."""
    per_day = timeline.others.sum() / (len(timeline.others) * timeline.days)
    return (
        f"{timeline.group.sum():,} accounts of the group came to it. Of all others "
        f"{timeline.others.sum():,} did in the whole log, {per_day:.2g} a day."
    )


def _span(timeline: Timeline, number: int) -> tuple[datetime, datetime]:
    first = timeline.start + timedelta(days=number * timeline.days)
    return first, first + timedelta(days=timeline.days - 1)


def _round_up(value: int) -> int:
    """Return the next even number with one or two leading digits."""
    step: int = 2 * 10 ** max(len(str(value)) - 2, 0)
    return -(-value // step) * step
