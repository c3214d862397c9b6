"""The evaluation in a few plain sentences: what would go live, how much better, and whether by luck."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Champion:
    """The champion that the gate compared a version with, on today's test window."""

    version: str
    hit_rate: float | None
    """Share of the users with a hit among primary_k; None where it was not kept."""
    difference: float
    """NDCG at primary_k of the version minus the champion's."""
    p: float
    """Of the gate's own test: one-sided of not being worse for a retraining, else two-sided after Holm."""
    alpha: float
    retraining: bool = False
    """Whether the version has its settings, and has only to be no worse."""


@dataclass(frozen=True)
class Change:
    """A rollback or a promotion by hand since the gate decided."""

    live: str
    """The version that is live by it."""
    words: str
    """Who made it so, when and why."""


@dataclass(frozen=True)
class Verdict:
    """What is known only after the stage: the gate's decision, and where the version comes from."""

    model: str
    version: str
    candidate: str
    """Which of the candidates the version is."""
    day: date
    """On which the gate decided."""
    promoted: bool
    reasons: Sequence[str]
    """Each begins with ✓, ✗ or ·."""
    live: str | None = None
    """The version that is live afterwards; None where nothing is."""
    previous: str | None = None
    """The champion before, where this version took its place."""
    champion: Champion | None = None
    """What it was compared with; None without a champion, or where the two could not be compared."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None

    @property
    def state(self) -> str:
        """What became of it."""
        if self.change is not None and self.change.live == self.version:
            return "Live by hand"
        if self.change is not None and self.live == self.version:
            return "No longer live"
        if self.promoted:
            return "Promoted"
        return "Live already" if self.live == self.version else "Not promoted"

    @property
    def outcome(self) -> str:
        """What is live now, in a sentence."""
        if self.change is not None:
            return self.change.words
        version = f"{self.model} version {self.version}"
        if self.promoted:
            return f"{version} is live now{_in_place_of(self.previous)}."
        if self.live == self.version:
            return f"{version} was live before; nothing changed."
        stays = f"version {self.live} stays live" if self.live else "nothing is live"
        return f"{version} does not go live; {stays}."


@dataclass(frozen=True)
class Beside:
    """What stands beside the candidate, and how many shoppers find something with it."""

    name: str
    found: float | None
    """Share of the users with a hit among primary_k; None where nobody knows."""
    outcome: str | None = None
    """Of the comparison: better, worse, unclear, kept or not kept (by a retraining); None without one."""
    p: float = math.nan


def left_out(screening: Mapping[str, Any]) -> str:
    """Say how many accounts nothing was learned from, by metrics/screening.json."""
    out, groups = screening["quarantined"], screening["groups"]
    if not out:
        return f"No account of {screening['accounts']:,} was left out as fake."
    said = f"{out:,} of {screening['accounts']:,} accounts {'was' if out == 1 else 'were'} left out as fake"
    return f"{said}: {groups:,} {'group' if groups == 1 else 'groups'}." if groups else f"{said}."


def title(summary: Mapping[str, Any], verdict: Verdict | None, last_day: date | None) -> str:
    """Return the verdict, the name and the date; before the gate the date is that of the last event."""
    if verdict is not None:
        return f"{verdict.state}: {verdict.candidate}, {day_of(verdict.day)}"
    until = "" if last_day is None else f", events to {day_of(last_day)}"
    return f"Challenger {summary['challenger']}, not judged yet{until}"


def besides(summary: Mapping[str, Any], name: str, champion: Champion | None = None) -> list[Beside]:
    """Return what a candidate stands beside: the champion, the best other candidate, and best sellers.

    The best other candidate is that of the test window, which is hard on ours.

    Args:
        summary: of the stage `evaluate`.
        name: of the candidate.
        champion: as the gate compared it; None where it did not.
    """
    lines = []
    if champion is not None:
        called = f"the champion version {champion.version}"
        lines.append(Beside(called, champion.hit_rate, _against(champion), champion.p))
    for other, called in _others(summary, name).items():
        difference, p = _comparison(summary, name, other)
        outcome = None if math.isnan(difference + p) else _luck(difference, p, 1 - summary["confidence"])
        lines.append(Beside(called, hit_rate(summary, other), outcome, p))
    return lines


def lead(summary: Mapping[str, Any], name: str, others: Sequence[Beside]) -> str:
    """Say how many of a hundred shoppers find something, with the candidate and with others."""
    ours, of = hit_rate(summary, name), whole(summary, name, others)
    if ours is None:
        return f"How many shoppers find something with {name} is not a number."
    text = (
        f"Of {of:,} shoppers, {ours * of:.0f} find something that they later choose "
        f"among {summary['primary_k']} products."
    )
    known = [f"with {one.name} it is {one.found * of:.0f}" for one in others if one.found is not None]
    return f"{text} W{', '.join(known)[1:]}." if known else text


def whole(summary: Mapping[str, Any], name: str, others: Sequence[Beside]) -> int:
    """Return the number of shoppers to tell of: 100, or more where less than one of them finds something."""
    shares = [hit_rate(summary, name), *(one.found for one in others)]
    least = min((share for share in shares if share), default=1.0)
    return next((of for of in (100, 1_000, 10_000) if least * of >= 1), 100_000)


def luck(users: int, others: Sequence[Beside]) -> str:
    """Say in one sentence what is more than luck.

    Args:
        users: over whom the comparisons were made.
        others: as `besides` returns them.
    """
    said = {
        "better": "it is better than {} by more than luck",
        "kept": "as a retraining of {} it is no worse",
        "not kept": "as a retraining of {} it is not shown to be no worse",
        "worse": "it is worse than {} by more than luck",
        "unclear": f"whether it is better than {{}} cannot be told from {users:,} shoppers",
    }
    parts = [
        sentence.format(" and ".join(f"{one.name} ({_p(one.p)})" for one in some))
        for outcome, sentence in said.items()
        if (some := [one for one in others if one.outcome == outcome])
    ]
    text = "; ".join(parts) or "there is nothing to compare it with"
    return f"{text[0].upper()}{text[1:]}."


def hit_rate(summary: Mapping[str, Any], name: str) -> float | None:
    """Return the share of users with a hit among primary_k; None where it is no number."""
    found: float | None = summary["recommenders"][name]["metrics"].get(f"hr_at_{summary['primary_k']}")
    return found if found is not None and math.isfinite(found) else None


def day_of(day: date) -> str:
    """Write a day for people: 5 March 2026."""
    return f"{day.day} {day:%B %Y}"


def _others(summary: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the best other candidate on the test window and popularity, each with what it is called."""
    kinds = {one["name"]: one["kind"] for one in summary["candidates"]}
    k = summary["primary_k"]
    ndcg = {
        other: measured["metrics"][f"ndcg_at_{k}"]
        for other, measured in summary["recommenders"].items()
        if other != name and math.isfinite(measured["metrics"][f"ndcg_at_{k}"])
    }
    personal = [other for other in ndcg if kinds.get(other) != "popularity"]
    chosen = {}
    if personal:
        best = max(personal, key=lambda other: ndcg[other])
        chosen[best] = f"the best other candidate {best}" if len(personal) > 1 else best
    chosen |= {other: "best sellers alone" for other in ndcg if kinds.get(other) == "popularity"}
    return chosen


def _comparison(summary: Mapping[str, Any], name: str, other: str) -> tuple[float, float]:
    """Return difference and p of two candidates; NaN unless one of them is the challenger."""
    challenger = summary["challenger"]
    pair = {name, other} - {challenger}
    found = next((one for one in summary["comparisons"] if {one["name"]} == pair), None)
    if found is None:
        return math.nan, math.nan
    return found["difference"] * (1 if name == challenger else -1), found["p_holm"]


def _luck(difference: float, p: float, alpha: float) -> str:
    if p >= alpha:
        return "unclear"
    return "better" if difference > 0 else "worse"


def _against(champion: Champion) -> str | None:
    if math.isnan(champion.difference + champion.p):
        return None
    if champion.retraining:
        return "kept" if champion.p < champion.alpha else "not kept"
    return _luck(champion.difference, champion.p, champion.alpha)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"


def _in_place_of(version: str | None) -> str:
    return "" if version is None else f", in place of version {version}"
