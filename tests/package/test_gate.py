"""The gate is a pure decision: its whole truth table."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from recgan.evaluation.significance import Comparison, NonInferiority, compare, non_inferiority
from recgan.package.gate import CHAMPION, FLOOR, Evidence, decide, others_to_beat
from recgan.settings import GateParams

GATE = GateParams(must_beat=(), max_loss=0.05, alpha=0.05, min_users=20, min_coverage=0.05)
STRICT = GATE.model_copy(update={"must_beat": ("itemknn", "ease")})


def comparison(name, difference=0.02, p_holm=0.01):
    return Comparison(
        name=name,
        mean_challenger=0.3,
        mean_other=0.3 - difference,
        difference=difference,
        low=difference - 0.01,
        high=difference + 0.01,
        p_value=p_holm / 3,
        p_holm=p_holm,
        detectable=0.015,
    )


def retraining(p_value=0.01, difference=-0.002):
    return NonInferiority(comparison(CHAMPION, difference, 0.6), 0.0151, p_value, 0.0125)


FIRST = Evidence(
    version="2",
    candidate="rcgan",
    champion_version=None,
    primary_k=10,
    users=500,
    expectations_passed=True,
    comparisons=(comparison(FLOOR),),
    coverage=0.3,
    smoke_error=None,
)
SAME = replace(FIRST, champion_version="1", champion_same=True, retraining=retraining())
OTHER = replace(FIRST, champion_version="1", comparisons=(comparison(FLOOR), comparison(CHAMPION)))

CHAMPIONS = {
    "none": FIRST,
    "same": SAME,
    "other": OTHER,
    "same, unfair": replace(SAME, retraining=None, champion_unfair="it was drawn with seed 1"),
    "other, unfair": replace(FIRST, champion_version="1", champion_unfair="it was drawn with seed 1"),
}


def with_comparison(evidence, name, found):
    """Put another comparison with `name` in place, or none."""
    others = [one for one in evidence.comparisons if one.name != name]
    return replace(evidence, comparisons=(*others, *([] if found is None else [found])))


FLOORS = {
    "passed": (comparison(FLOOR), None),
    "no better": (comparison(FLOOR, p_holm=0.05), "does not beat all-time popularity"),
    "worse": (comparison(FLOOR, difference=-0.02), "does not beat all-time popularity"),
    "not finite": (replace(comparison(FLOOR), p_holm=math.nan), "all-time popularity is not a number"),
    "absent": (None, "no comparison with all-time popularity"),
}
VERDICTS = {
    "passed": (retraining(), comparison(CHAMPION), None),
    "failed": (retraining(0.05), comparison(CHAMPION, p_holm=0.05), "the champion (version 1)"),
    "worse": (retraining(1, -0.1), comparison(CHAMPION, -0.1), "the champion (version 1)"),
    "not finite": (
        retraining(math.nan),
        comparison(CHAMPION, difference=math.inf),
        "the champion (version 1) is not a number",
    ),
    "absent": (None, None, "no comparison with the champion (version 1)"),
}
OTHERS = {
    "expectations": ({"expectations_passed": False}, "failed a critical expectation"),
    "users": ({"users": 19}, "Only 19 users"),
    "challenger": ({"challenger_unfair": "it knows"}, "The challenger may have been trained on what is held"),
    "coverage": ({"coverage": 0.04}, "Coverage@10 is 4.0%"),
    "coverage not finite": ({"coverage": math.nan}, "Coverage@10 is not a number"),
    "smoke": ({"smoke_error": "KeyError: 'x'"}, "trial prediction of the packaged model fails"),
}
SOME = [combination for n in range(3) for combination in itertools.combinations(OTHERS, n)] + [tuple(OTHERS)]


@pytest.mark.parametrize("champion", CHAMPIONS)
@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_truth_table(champion, floor, verdict):
    for others in SOME:
        evidence, expected = CHAMPIONS[champion], []
        compares = not {"users", "challenger"} & set(others)
        of_floor, fault = FLOORS[floor]
        evidence = with_comparison(evidence, FLOOR, of_floor)
        if fault is not None and compares:
            expected.append(fault)
        same, other, fault = VERDICTS[verdict]
        if champion == "same":
            evidence = replace(evidence, retraining=same)
        elif champion == "other":
            evidence = with_comparison(evidence, CHAMPION, other)
        if fault is not None and compares and champion in ("same", "other"):
            expected.append(fault)
        if "unfair" in champion:
            expected.append("The champion (version 1) may have been trained on what is held out today")
        for name in others:
            change, fault = OTHERS[name]
            evidence = replace(evidence, **change)
            if not (name == "coverage" and "coverage not finite" in others):
                expected.append(fault)
        decision = decide(evidence, GATE)
        assert decision.promote == (not expected)
        assert len(decision.failures) == len(expected)
        for fault in expected:
            assert sum(fault in failure for failure in decision.failures) == 1, (fault, decision)


@pytest.mark.parametrize("evidence", [FIRST, SAME, OTHER])
def test_a_passed_criterion_is_listed_too(evidence):
    reasons = decide(evidence, GATE).reasons
    assert len(reasons) == 5 + (evidence.champion_version is not None)
    assert reasons[1] == "✓ 500 users have something held out, at least the 20 that are needed."


def test_the_strict_mode_names_more_to_beat():
    more = (comparison("itemknn"), comparison("ease"))
    for evidence in (FIRST, SAME, OTHER):
        assert not decide(evidence, STRICT).promote
        strict = replace(evidence, comparisons=(*evidence.comparisons, *more))
        assert decide(strict, STRICT).promote
        lost = with_comparison(strict, "ease", comparison("ease", p_holm=0.2))
        [failure] = decide(lost, STRICT).failures
        assert failure.startswith(
            "The challenger does not beat ease: NDCG@10 of all that came 0.3000 against 0.2800"
        )


def test_nobody_has_to_beat_itself():
    assert others_to_beat("ease", STRICT) == ("itemknn",)
    evidence = replace(FIRST, candidate="ease", comparisons=(comparison(FLOOR), comparison("itemknn")))
    assert decide(evidence, STRICT).promote


@pytest.mark.parametrize(("p", "promoted"), [(0.0499, True), (0.05, False)])
def test_alpha_is_exclusive(p, promoted):
    other = with_comparison(OTHER, CHAMPION, comparison(CHAMPION, p_holm=p))
    assert decide(other, GATE).promote == promoted
    assert decide(replace(SAME, retraining=retraining(p)), GATE).promote == promoted


def test_the_floor_of_coverage_is_inclusive():
    assert decide(replace(FIRST, coverage=0.05), GATE).promote


FIGURES = ("mean_challenger", "mean_other", "difference", "low", "high", "p_value", "p_holm", "detectable")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("figure", FIGURES)
def test_not_a_number_refuses(figure, value):
    for name, evidence in ((FLOOR, FIRST), (CHAMPION, OTHER)):
        decision = decide(with_comparison(evidence, name, replace(comparison(name), **{figure: value})), GATE)
        [failure] = decision.failures
        assert "is not a number over 500 users" in failure
    damaged = replace(retraining(), comparison=replace(comparison(CHAMPION), **{figure: value}))
    assert "not a number" in decide(replace(SAME, retraining=damaged), GATE).failures[0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("figure", ["margin", "p_value", "detectable_margin"])
def test_no_figure_of_a_retraining_may_be_missing(figure, value):
    damaged = replace(SAME, retraining=replace(retraining(), **{figure: value}))
    assert "not a number" in decide(damaged, GATE).failures[0]


def test_reasons_carry_the_figures():
    assert decide(OTHER, GATE).reasons[3] == (
        "✓ The challenger beats the champion (version 1): NDCG@10 of all that came 0.3000 against 0.2800, "
        "difference +0.0200 [+0.0100, +0.0300], p 0.0100 < 0.05 after Holm, 500 users, "
        "who show a difference from 0.0150 on in four of five such tests."
    )
    assert decide(SAME, GATE).reasons[3] == (
        "✓ The challenger, a retraining of the champion (version 1), loses less than 5.0% of its NDCG "
        "(register.gate.max_loss): NDCG@10 of all that came 0.3000 against 0.3020, "
        "difference -0.0020 [-0.0120, +0.0080], "
        "margin 0.0151, p 0.0100 < 0.05 one-sided, 500 users, who let an equal one pass in four of five such "
        "tests from a margin of 0.0125 on."
    )
    [failure] = decide(replace(SAME, retraining=retraining(0.3)), GATE).failures
    assert "a retraining of the champion (version 1), is not shown to lose less than 5.0%" in failure
    assert "p 0.3000 ≥ 0.05 one-sided" in failure


@pytest.mark.parametrize("users", [0, 1, 19])
@pytest.mark.parametrize("champion", ["none", "same", "other"])
def test_too_few_users_are_not_compared(users, champion):
    few = replace(CHAMPIONS[champion], users=users, comparisons=(), retraining=None)
    decision = decide(few, GATE)
    [failure] = decision.failures
    assert failure.startswith(f"Only {users} users have something held out, and below 20")
    assert not any("beat" in reason or "loses" in reason for reason in decision.reasons)
    assert decide(replace(CHAMPIONS[champion], users=20), GATE).promote


def test_a_champion_that_may_know_the_answers_is_not_compared():
    decision = decide(CHAMPIONS["same, unfair"], GATE)
    assert decision.failures == (
        "The champion (version 1) may have been trained on what is held out today: it was drawn with seed 1; "
        'to replace it by hand: recgan promote 2 --reason "…".',
    )
    assert sum("beats" in reason for reason in decision.reasons) == 1  # popularity is judged all the same


def lists(rng, users, share=0.45):
    """Return NDCG of two recommenders that nothing tells apart, (users, 2); a share of lists has a hit."""
    return np.where(rng.random((users, 2)) < share, rng.beta(2, 4, (users, 2)), 0)


@pytest.mark.parametrize("share", [0.45, 0.95])
def test_the_least_number_of_users_keeps_luck_below_alpha(share):
    rng = np.random.default_rng(0)

    def promoted(users):
        ndcg = lists(rng, users, share)
        found = compare(ndcg[:, 0], {CHAMPION: ndcg[:, 1]}, 400, 0.95, 0)
        evidence = replace(OTHER, users=users, comparisons=(comparison(FLOOR), *found))
        return decide(evidence, GATE).promote

    assert np.mean([promoted(20) for _ in range(400)]) <= GATE.alpha
    assert not any(promoted(3) for _ in range(100))  # .05 to .13 of them without the limit


def test_what_is_exactly_as_much_worse_as_allowed_passes_at_most_as_often_as_alpha_says():
    """The border of the hypothesis; what is equal passes far more often, what is twice as bad hardly ever."""
    rng = np.random.default_rng(1)

    def passed(loss, users=400):
        champion = lists(rng, users)[:, 0]
        noise = rng.normal(0, 0.02, users)
        found = non_inferiority(champion * (1 - loss) + noise, champion, 0.05, 400, 0.95, 0, CHAMPION)
        return decide(replace(SAME, users=users, retraining=found), GATE).promote

    at_the_border = np.mean([passed(0.05) for _ in range(600)])
    assert 0.02 <= at_the_border <= 0.08
    assert np.mean([passed(0) for _ in range(60)]) > 0.9
    assert not any(passed(0.1) for _ in range(60))
