"""The page of a shop's month: reports/live.html, which needs nothing else."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

from recgan.live.charts import Band, band_chart
from recgan.live.shop import PLACES, REQUESTS_A_DAY
from recgan.live.shoppers import OWN_CHOICES

_LINES = (("champion", 0), ("popularity", 1), ("oracle", 2))


def page(figures: Mapping[str, Any]) -> str:
    """Return the page of the figures; the same figures give the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recgan.evaluation"),  # whose style this page has too
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = files("recgan.live").joinpath("live.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        f=figures,
        title=title(figures),
        curves=curves,
        share=share,
        signed=signed,
        interval=interval,
        seconds=seconds,
        candidates=list(figures["nights"][0]["sold"]),
        places=PLACES,
        a_day=REQUESTS_A_DAY,
        own_choices=OWN_CHOICES,
        partial=figures["days"] < figures["asked_days"],
    )


def title(figures: Mapping[str, Any]) -> str:
    """Say in a line what came of it."""
    lift, days = figures["lift"], figures["days"]
    over = f"In {days} {'day' if days == 1 else 'days'} the champion sold"
    if lift["low"] > 0:
        return f"{over} {lift['mean']:.0%} more than popularity would have"
    if lift["high"] < 0:
        return f"{over} {-lift['mean']:.0%} less than popularity would have"
    return f"{over} about as much as popularity would have"


def curves(figures: Mapping[str, Any], oracle: bool = True) -> str:
    """Draw purchases for 100 requests over the days, with the oracle's or without."""
    daily = figures["daily"]
    days = [one["day"] + 1 for one in daily]
    bands = [
        Band(
            name,
            days,
            [one[name]["mean"] for one in daily],
            [one[name]["low"] for one in daily],
            [one[name]["high"] for one in daily],
            colour,
        )
        for name, colour in _LINES
        if oracle or name != "oracle"
    ]
    nights = [night["day"] + 1 for night in figures["nights"][1:]]
    return band_chart(bands, "Expected purchases for 100 requests, day by day", "day", nights)


def share(value: float) -> str:
    """Write a share."""
    return f"{value:.0%}"


def signed(value: float) -> str:
    """Write a difference as a share with its sign."""
    return f"{value:+.0%}"


def interval(one: Mapping[str, float], digits: int = 1) -> str:
    """Write an interval."""
    return f"{one['low']:.{digits}f} to {one['high']:.{digits}f}"


def seconds(value: float) -> str:
    """Write a time."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
