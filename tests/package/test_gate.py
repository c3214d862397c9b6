"""The gate is a pure decision: its whole truth table."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from recgan.evaluation.significance import Comparison, compare
from recgan.package.gate import Evidence, decide
from recgan.settings import GateParams

GATE = GateParams(must_beat=("popularity", "ease"), alpha=0.05, min_users=20, min_coverage=0.05)


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


GOOD = Evidence(
    version="2",
    champion_version="1",
    primary_k=10,
    users=500,
    expectations_passed=True,
    comparisons=(comparison("popularity"), comparison("ease"), comparison("champion")),
    coverage=0.3,
    smoke_error=None,
)


def with_lost(evidence, name):
    return replace(
        evidence,
        comparisons=tuple(
            comparison(c.name, p_holm=0.2) if c.name == name else c for c in evidence.comparisons
        ),
    )


FAULTS = {
    "expectation": lambda evidence: replace(evidence, expectations_passed=False),
    "popularity": lambda evidence: with_lost(evidence, "popularity"),
    "ease": lambda evidence: with_lost(evidence, "ease"),
    "champion": lambda evidence: with_lost(evidence, "champion"),
    "Coverage": lambda evidence: replace(evidence, coverage=0.04),
    "trial prediction": lambda evidence: replace(evidence, smoke_error="KeyError: 'x'"),
}


@pytest.mark.parametrize("faulty", list(itertools.product([False, True], repeat=len(FAULTS))))
def test_truth_table(faulty):
    evidence = GOOD
    present = [name for name, is_faulty in zip(FAULTS, faulty, strict=True) if is_faulty]
    for name in present:
        evidence = FAULTS[name](evidence)
    decision = decide(evidence, GATE)
    assert decision.promote == (not present)
    assert len(decision.reasons) == len(FAULTS) + 1  # a passed criterion is listed too, and the users
    assert len(decision.failures) == len(present)
    for name, failure in zip(present, decision.failures, strict=True):
        assert name in failure


def test_first_champion_needs_only_the_baselines():
    evidence = replace(GOOD, champion_version=None, comparisons=GOOD.comparisons[:2])
    assert decide(evidence, GATE).promote
    assert not decide(with_lost(evidence, "ease"), GATE).promote


def test_absent_comparison_refuses():
    evidence = replace(GOOD, comparisons=GOOD.comparisons[:2])
    assert decide(evidence, GATE).failures == ("There is no comparison with the champion (version 1).",)


def test_a_significant_loss_is_no_win():
    evidence = replace(GOOD, comparisons=(*GOOD.comparisons[:2], comparison("champion", difference=-0.02)))
    assert not decide(evidence, GATE).promote


@pytest.mark.parametrize(("p_holm", "promoted"), [(0.0499, True), (0.05, False)])
def test_alpha_is_exclusive(p_holm, promoted):
    evidence = replace(GOOD, comparisons=(*GOOD.comparisons[:2], comparison("champion", p_holm=p_holm)))
    assert decide(evidence, GATE).promote == promoted


def test_the_floor_of_coverage_is_inclusive():
    assert decide(replace(GOOD, coverage=0.05), GATE).promote


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, coverage=float("nan")),
        replace(GOOD, coverage=float("inf")),
        *(
            replace(
                GOOD, comparisons=(replace(comparison("popularity"), **{field: value}), *GOOD.comparisons[1:])
            )
            for field in ("mean_challenger", "mean_other", "difference", "low", "high", "p_value", "p_holm")
            for value in (float("nan"), float("inf"))
        ),
    ],
)
def test_not_a_number_refuses(evidence):
    decision = decide(evidence, GATE)
    assert not decision.promote
    assert "not a number" in decision.failures[0]


def test_reasons_carry_the_figures():
    decision = decide(replace(GOOD, coverage=0.041), GATE)
    assert (
        "✓ The challenger beats ease: NDCG@10 0.3000 against 0.2800, difference +0.0200"
        in decision.reasons[3]
    )
    assert "p 0.0100 < 0.05 after Holm, 500 users" in decision.reasons[3]
    assert decision.failures == ("Coverage@10 is 4.1%, below the floor of 5.0%.",)


@pytest.mark.parametrize("users", [0, 1, 19])
def test_too_few_users_are_not_compared(users):
    decision = decide(replace(GOOD, users=users, comparisons=()), GATE)
    [failure] = decision.failures
    assert failure.startswith(f"Only {users} users have something held out, and below 20")
    assert not any("beat" in reason for reason in decision.reasons)
    # Not even where nothing has to be beaten.
    nothing = GATE.model_copy(update={"must_beat": ()})
    assert not decide(replace(GOOD, users=users, champion_version=None, comparisons=()), nothing).promote
    assert decide(replace(GOOD, users=20), GATE).promote


def test_a_champion_that_may_know_the_answers_is_not_compared():
    unfair = replace(GOOD, comparisons=GOOD.comparisons[:2], champion_unfair="it was drawn with seed 1")
    decision = decide(unfair, GATE)
    assert decision.failures == (
        "The champion (version 1) may have been trained on what is held out today: it was drawn with seed 1; "
        'to replace it by hand: recgan promote 2 --reason "…".',
    )
    assert sum("beats" in reason for reason in decision.reasons) == 2  # the baselines are judged all the same


def test_a_challenger_that_may_know_the_answers_is_compared_with_nothing():
    decision = decide(replace(GOOD, comparisons=(), challenger_unfair="it was drawn with seed 1"), GATE)
    [failure] = decision.failures
    assert failure.startswith("The challenger may have been trained on what is held out today: it was drawn")
    assert not any("beat" in reason for reason in decision.reasons)


@pytest.mark.parametrize("share", [0.45, 0.95])
def test_the_least_number_of_users_keeps_luck_below_alpha(share):
    """Two recommenders that nothing tells apart; a share of lists has a hit."""
    rng = np.random.default_rng(0)

    def promoted(users):
        ndcg = np.where(rng.random((users, 2)) < share, rng.beta(2, 4, (users, 2)), 0)
        found = compare(ndcg[:, 0], {"popularity": ndcg[:, 1]}, 400, 0.95, 0)
        evidence = replace(GOOD, users=users, champion_version=None, comparisons=tuple(found))
        return decide(evidence, GATE.model_copy(update={"must_beat": ("popularity",)})).promote

    assert np.mean([promoted(20) for _ in range(400)]) <= GATE.alpha
    assert not any(promoted(3) for _ in range(100))  # .05 to .13 of them without the limit
