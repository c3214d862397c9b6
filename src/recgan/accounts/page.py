"""The page of the screen: who is left out, why, what would not be found, and what a person can do."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from recgan.accounts.listed import OVERLAPPING
from recgan.accounts.log import Log
from recgan.accounts.profiles import UNUSUAL
from recgan.accounts.screen import NEAR, Screening
from recgan.accounts.settings import ScreenParams
from recgan.accounts.timeline import bar_words, days_between, drawn, said_of
from recgan.accounts.words import DETECTOR_WORDS, NOT_FOUND, SETTINGS, STYLES, lead, title
from recgan.accounts.worst import worst_groups

_GROUPS = 12
"""Groups that are told; three of them unfolded."""
_SUSPECTS = 10
"""Accounts that are listed for each detector."""
_IDS = 200
"""Ids of a group that are written out."""


def page(screening: Screening, log: Log, items: pa.Table, params: ScreenParams) -> str:
    """Return reports/screening.html, which needs nothing else.

    Args:
        screening: what was found.
        log: that was screened.
        items: of the kept tables, in the schema ITEMS.
        params: the section screen.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": _number, "ids": _ids, "line": _line}
    template = environment.from_string(
        files("recgan.accounts").joinpath("screening.html.jinja").read_text(encoding="utf-8")
    )
    summary, accounts = screening.summary, screening.tables.accounts
    alone = accounts.filter(pc.and_(accounts["quarantined"], pc.is_null(accounts["group_id"])))
    groups = worst_groups(screening.tables, log, items, _GROUPS)
    return template.render(
        title=title(summary, params, screening.refused),
        lead=lead(summary, params),
        refused=screening.refused,
        summary=summary,
        events=int(log.events.sum()),
        period=None if log.start is None else days_between(log.start, log.start + timedelta(days=log.end)),
        groups=groups,
        most_ids=_IDS,
        days_between=days_between,
        drawn=drawn,
        bar_words=bar_words,
        said_of=said_of,
        canaries=summary.get("canaries"),
        styles=STYLES,
        not_found=NOT_FOUND,
        suspects=_suspects(screening, params),
        detectors=DETECTOR_WORDS,
        alone=_listed(alone),
        alone_count=len(alone),
        params=params,
        settings=[
            (name, value, SETTINGS.get(name, ""))
            for name, value in _flat(params.model_dump(mode="json", exclude={"cleared", "condemned"}))
        ],
    )


def _suspects(screening: Screening, params: ScreenParams) -> dict[str, list[dict[str, Any]]]:
    """Return for each detector the suspects that it lists, the largest figures first."""
    listed = screening.tables.accounts.filter(screening.tables.accounts["suspect"])
    learned = screening.summary.get("detectors", {}).get("labelled", {})
    limits = {
        "lock_max": NEAR * params.min_crowd,
        "overlap": OVERLAPPING,
        "popularity": UNUSUAL,
        "pca": UNUSUAL,
        "labelled": learned.get("threshold"),
    }
    found = {}
    for detector, limit in limits.items():
        if limit is None:
            continue
        told = listed.filter(pc.fill_null(pc.greater_equal(listed[detector], limit), fill_value=False))
        if len(told):
            first = pc.select_k_unstable(
                told, _SUSPECTS, [(detector, "descending"), ("user_id", "ascending")]
            )
            found[detector] = told.take(first).select(["user_id", detector, "reasons"]).to_pylist()
    return found


def _listed(accounts: pa.Table) -> list[dict[str, Any]]:
    return list(accounts.slice(0, _SUSPECTS).select(["user_id", "reasons"]).to_pylist())


def _flat(section: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting by its name in the section, and its value as params.yaml has it."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{of}{name}.")
        else:
            yield f"{of}{name}", re.sub(r"\.0\b", "", json.dumps(value)).replace('"', "")


def _number(value: float) -> str:
    """Write a figure with as many digits as it is worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _ids(user_ids: Sequence[str]) -> str:
    return ", ".join(user_ids[:_IDS])


def _line(ids: Sequence[str], name: str) -> str:
    """Return the line of params.yaml with these ids; JSON is YAML, whatever characters an id has."""
    return f"  {name}: {json.dumps(list(ids), ensure_ascii=False)}"
