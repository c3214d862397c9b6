"""The gate: a pure decision on whether a challenger becomes the champion, with every reason."""

import math
from dataclasses import asdict, dataclass

from recgan.evaluation.significance import Comparison
from recgan.registry.domain import Decision
from recgan.settings import GateParams

CHAMPION = "champion"
"""Name of the champion among the comparisons."""


@dataclass(frozen=True)
class Evidence:
    """What the gate knows of a challenger, gathered on today's test window."""

    version: str
    champion_version: str | None
    """The champion at the time the evidence was gathered; None when there was none."""
    primary_k: int
    users: int
    """Users of the test window over whom the comparisons were made."""
    expectations_passed: bool
    comparisons: tuple[Comparison, ...]
    """NDCG at primary_k against each baseline and the champion; Holm was applied over all of them."""
    coverage: float
    """Share of the catalogue that the challenger's lists at primary_k reach."""
    smoke_error: str | None
    """Why a trial prediction of the packaged model failed; None when it worked."""
    challenger_unfair: str | None = None
    """Why the challenger may have been trained on what is held out today; None where it cannot."""
    champion_unfair: str | None = None
    """The same of the champion."""


def decide(evidence: Evidence, gate: GateParams) -> Decision:
    """Judge a challenger by every criterion of the gate.

    It is promoted when all of this holds. The expectations passed, and enough users have something held out.
    It beats each baseline of `gate.must_beat` and the champion (difference > 0 and Holm-adjusted p < alpha).
    Its coverage reaches the floor, and a trial prediction works. A figure that is not a number is never a
    pass. Some cases cannot be compared: too few users, or one of the two may have been trained on what is
    held out today. They are refused with that reason and not compared.
    """
    criteria = [
        _expectations(evidence.expectations_passed),
        _users(evidence.users, gate.min_users),
        *(_comparisons(evidence, gate) if may_compare(evidence, gate) else []),
        *_unfair(evidence),
        _coverage(evidence, gate.min_coverage),
        _smoke(evidence.smoke_error),
    ]
    return Decision.of(criteria)


def _expectations(passed: bool) -> tuple[bool, str]:
    if passed:
        return True, "The events met every critical expectation."
    return False, "The events failed a critical expectation; see reports/validation.html."


def may_compare(evidence: Evidence, gate: GateParams) -> bool:
    """Tell whether the challenger can be compared with anything on this test window."""
    return evidence.users >= gate.min_users and evidence.challenger_unfair is None


def _users(users: int, least: int) -> tuple[bool, str]:
    if users >= least:
        return True, f"{users:,} users have something held out, at least the {least:,} that are needed."
    return False, (
        f"Only {users:,} users have something held out, and below {least:,} (register.gate.min_users) a "
        "difference by luck passes for a better recommender too often; lengthen the test window."
    )


def _unfair(evidence: Evidence) -> list[tuple[bool, str]]:
    """Refuse a version that may know the answers."""
    again = "train and register it on today's features (make run)"
    by_hand = f'to replace it by hand: recgan promote {evidence.version} --reason "…"'
    return [
        (False, f"{name} may have been trained on what is held out today: {why}; {remedy}.")
        for name, why, remedy in (
            ("The challenger", evidence.challenger_unfair, again),
            (f"The champion (version {evidence.champion_version})", evidence.champion_unfair, by_hand),
        )
        if why is not None
    ]


def _comparisons(evidence: Evidence, gate: GateParams) -> list[tuple[bool, str]]:
    opponents: list[str] = list(gate.must_beat)
    if evidence.champion_version is not None and evidence.champion_unfair is None:
        opponents.append(CHAMPION)
    by_name = {comparison.name: comparison for comparison in evidence.comparisons}
    return [_beats(name, by_name.get(name), evidence, gate.alpha) for name in opponents]


def _beats(name: str, comparison: Comparison | None, evidence: Evidence, alpha: float) -> tuple[bool, str]:
    opponent = f"the champion (version {evidence.champion_version})" if name == CHAMPION else name
    metric = f"NDCG@{evidence.primary_k}"
    if comparison is None:
        return False, f"There is no comparison with {opponent}."
    figures = [figure for name, figure in asdict(comparison).items() if name != "name"]
    if not all(math.isfinite(figure) for figure in figures):
        return False, f"The comparison with {opponent} is not a number over {evidence.users} users."
    passed = comparison.difference > 0 and comparison.p_holm < alpha
    verb = "beats" if passed else "does not beat"
    sign = "<" if comparison.p_holm < alpha else "≥"
    return passed, (
        f"The challenger {verb} {opponent}: {metric} {comparison.mean_challenger:.4f} against "
        f"{comparison.mean_other:.4f}, difference {comparison.difference:+.4f} "
        f"[{comparison.low:+.4f}, {comparison.high:+.4f}], "
        f"p {comparison.p_holm:.4f} {sign} {alpha:g} after Holm, {evidence.users} users."
    )


def _coverage(evidence: Evidence, floor: float) -> tuple[bool, str]:
    passed = evidence.coverage >= floor
    name = f"Coverage@{evidence.primary_k}"
    if not math.isfinite(evidence.coverage):
        return False, f"{name} is not a number; the floor is {floor:.1%}."
    return (
        passed,
        f"{name} is {evidence.coverage:.1%}, {'not ' if passed else ''}below the floor of {floor:.1%}.",
    )


def _smoke(error: str | None) -> tuple[bool, str]:
    if error is None:
        return True, "A trial prediction of the packaged model works."
    return False, f"A trial prediction of the packaged model fails: {error}"
