"""The gate: a pure decision on whether a challenger becomes the champion, with every reason."""

import math
from dataclasses import asdict, dataclass

from recgan.evaluation.significance import Comparison, NonInferiority
from recgan.registry.domain import Decision
from recgan.settings import GateParams

CHAMPION = "the champion"
"""Name of the champion among the comparisons; no candidate's name has a blank."""
FLOOR = "all-time popularity"
"""Name of what whoever goes live must be better than."""


@dataclass(frozen=True)
class Evidence:
    """What the gate knows of a challenger, gathered on today's test window."""

    version: str
    candidate: str
    """Name of the challenger among the candidates: it need not beat itself where must_beat names it."""
    champion_version: str | None
    """The champion at the time the evidence was gathered; None when there was none."""
    primary_k: int
    users: int
    """Users of the test window over whom the comparisons were made."""
    expectations_passed: bool
    comparisons: tuple[Comparison, ...]
    """NDCG at primary_k of all that came, known or not, against popularity, each of must_beat, and a champion
    that is another recommender or has other settings; Holm was applied over all of them."""
    coverage: float
    """Share of the catalogue that the challenger's lists at primary_k reach."""
    smoke_error: str | None
    """Why a trial prediction of the packaged model failed; None when it worked."""
    challenger_unfair: str | None = None
    """Why the challenger may have been trained on what is held out today; None where it cannot."""
    champion_unfair: str | None = None
    """The same of the champion."""
    champion_same: bool = False
    """Whether the champion is the same recommender with the same settings as the challenger."""
    retraining: NonInferiority | None = None
    """The challenger against such a champion; None where there is none, or it was not compared."""
    champion_hit_rate: float | None = None
    """Share of the users with a hit among the champion's primary_k; None where it was not compared."""


def decide(evidence: Evidence, gate: GateParams) -> Decision:
    """Judge a challenger by every criterion of the gate.

    It is promoted when all of this holds. The expectations passed, and enough users have something held out.
    It beats all-time popularity and each of `gate.must_beat` (difference > 0 and Holm-adjusted p < alpha). It
    beats the champion in the same way. A retraining of the champion's own recommender and settings need only
    lose less than `gate.max_loss` of its NDCG (p of the non-inferiority test < alpha). Its coverage reaches
    the floor, and a trial prediction works.

    A figure that is not a number is never a pass. Some cases cannot be compared: too few users, or one of the
    two may have been trained on what is held out today. They are refused with that reason and not compared.
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


def others_to_beat(candidate: str, gate: GateParams) -> tuple[str, ...]:
    """Return the candidates of must_beat that a challenger is compared with: all but itself."""
    return tuple(name for name in gate.must_beat if name != candidate)


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
    by_name = {comparison.name: comparison for comparison in evidence.comparisons}
    opponents = (FLOOR, *others_to_beat(evidence.candidate, gate))
    criteria = [_beats(name, by_name.get(name), evidence, gate.alpha) for name in opponents]
    if evidence.champion_version is None or evidence.champion_unfair is not None:
        return criteria
    if evidence.champion_same:
        return [*criteria, _keeps(evidence, gate)]
    return [*criteria, _beats(CHAMPION, by_name.get(CHAMPION), evidence, gate.alpha)]


def _beats(name: str, comparison: Comparison | None, evidence: Evidence, alpha: float) -> tuple[bool, str]:
    opponent = f"{name} (version {evidence.champion_version})" if name == CHAMPION else name
    if comparison is None:
        return False, f"There is no comparison with {opponent}."
    if not _is_finite(comparison):
        return False, f"The comparison with {opponent} is not a number over {evidence.users:,} users."
    passed = comparison.difference > 0 and comparison.p_holm < alpha
    verb = "beats" if passed else "does not beat"
    return passed, (
        f"The challenger {verb} {opponent}: {_figures(comparison, evidence)}, "
        f"p {_against(comparison.p_holm, alpha)} after Holm, {evidence.users:,} users, who show a difference "
        f"from {comparison.detectable:.4f} on in four of five such tests."
    )


def _keeps(evidence: Evidence, gate: GateParams) -> tuple[bool, str]:
    """Judge tonight's retraining of the champion."""
    found = evidence.retraining
    opponent = f"{CHAMPION} (version {evidence.champion_version})"
    if found is None:
        return False, f"There is no comparison with {opponent}."
    figures = (found.margin, found.p_value, found.detectable_margin)
    if not (_is_finite(found.comparison) and all(map(math.isfinite, figures))):
        return False, f"The comparison with {opponent} is not a number over {evidence.users:,} users."
    passed = found.p_value < gate.alpha
    verb = "loses" if passed else "is not shown to lose"
    return passed, (
        f"The challenger, a retraining of {opponent}, {verb} less than {gate.max_loss:.1%} of its NDCG "
        f"(register.gate.max_loss): {_figures(found.comparison, evidence)}, margin {found.margin:.4f}, "
        f"p {_against(found.p_value, gate.alpha)} one-sided, {evidence.users:,} users, who let an equal one "
        f"pass in four of five such tests from a margin of {found.detectable_margin:.4f} on."
    )


def _is_finite(comparison: Comparison) -> bool:
    return all(math.isfinite(figure) for name, figure in asdict(comparison).items() if name != "name")


def _figures(comparison: Comparison, evidence: Evidence) -> str:
    return (
        f"NDCG@{evidence.primary_k} of all that came {comparison.mean_challenger:.4f} against "
        f"{comparison.mean_other:.4f}, difference {comparison.difference:+.4f} "
        f"[{comparison.low:+.4f}, {comparison.high:+.4f}]"
    )


def _against(p: float, alpha: float) -> str:
    return f"{p:.4f} {'<' if p < alpha else '≥'} {alpha:g}"


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
