"""The gate for image generators is a pure decision: its whole truth table."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from recgan.images.package.gate import ImageEvidence, decide
from recgan.images.settings import ImagesGateParams

GATE = ImagesGateParams(draws=4, samples=100, alpha=0.05, min_coverage=0.9, max_copies=0.05)
GOOD = ImageEvidence(
    version="2",
    champion_version="1",
    frechet=(2.0, 2.1, 1.9, 2.2),
    champion_frechet=(3.0, 3.1, 2.9, 3.2),
    gaussian_frechet=(4.0, 4.1, 3.9, 4.2),
    coverage=1.0,
    copies=0.01,
    smoke_error=None,
)
FAULTS = {
    "Gaussian": {"gaussian_frechet": (2.0, 2.1, 2.2, 2.3)},
    "champion": {"champion_frechet": (2.0, 2.1, 2.2, 2.3)},
    "classes": {"coverage": 0.8},
    "copies": {"copies": 0.06},
    "does not answer": {"smoke_error": "KeyError: 'x'"},
}


@pytest.mark.parametrize("faulty", list(itertools.product([False, True], repeat=len(FAULTS))))
def test_truth_table(faulty):
    evidence = GOOD
    present = [name for name, is_faulty in zip(FAULTS, faulty, strict=True) if is_faulty]
    for name in present:
        evidence = replace(evidence, **FAULTS[name])
    decision = decide(evidence, GATE)
    assert decision.promote == (not present)
    assert len(decision.reasons) == len(FAULTS)  # a passed criterion is listed too
    assert len(decision.failures) == len(present)
    for name, failure in zip(present, decision.failures, strict=True):
        assert name in failure


def test_the_first_champion_needs_no_comparison():
    first = replace(GOOD, champion_version=None, champion_frechet=())
    assert decide(first, GATE).promote
    assert len(decide(first, GATE).reasons) == len(FAULTS) - 1


def test_a_significantly_worse_generator_is_refused():
    decision = decide(replace(GOOD, champion_frechet=(1.0, 1.1, 0.9, 1.2)), GATE)
    assert not decision.promote
    assert "not better than the champion (version 1): Fréchet distance 2.05" in decision.failures[0]


def test_the_first_champion_is_no_matter_of_luck():
    first = replace(GOOD, champion_version=None, champion_frechet=())
    decision = decide(replace(first, gaussian_frechet=(2.05, 2.15, 1.95, 2.25)), GATE)
    [failure] = decision.failures
    assert failure.startswith("The challenger is not better than a Gaussian for each class: Fréchet distance")
    rng = np.random.default_rng(0)
    promoted = [
        decide(replace(first, frechet=tuple(one), gaussian_frechet=tuple(other)), GATE).promote
        for one, other in rng.normal(3, 1, (400, 2, 4))
    ]
    assert np.mean(promoted) <= GATE.alpha


def test_a_better_mean_within_the_noise_is_refused():
    decision = decide(replace(GOOD, champion_frechet=(2.05, 2.15, 1.95, 2.25)), GATE)
    assert not decision.promote
    assert "≥ 0.05" in decision.failures[0]


def test_floor_and_ceiling_are_inclusive():
    assert decide(replace(GOOD, coverage=0.9, copies=0.05), GATE).promote


@pytest.mark.parametrize(
    "change",
    [
        {"frechet": (float("nan"),) * 4},
        {"frechet": ()},
        {"champion_frechet": (float("inf"), 3.0, 3.0, 3.0)},
        {"champion_frechet": ()},
        {"gaussian_frechet": (float("nan"), 4.0, 4.0, 4.0)},
        {"gaussian_frechet": ()},
        {"coverage": float("nan")},
        {"copies": float("nan")},
    ],
)
def test_not_a_number_refuses(change):
    decision = decide(replace(GOOD, **change), GATE)
    assert not decision.promote
    assert any("not a number" in failure for failure in decision.failures)


def test_reasons_carry_the_figures():
    reasons = decide(GOOD, GATE).reasons
    assert reasons[1] == (
        "✓ The challenger is better than the champion (version 1): Fréchet distance 2.05 against 3.05 over "
        "4 and 4 different draws, p 0.0143 < 0.05."
    )


def test_one_draw_that_is_written_again_and_again_is_no_evidence():
    decision = decide(replace(GOOD, frechet=(2.0,)), GATE)
    assert "over 1 and 4 different draws, p 1.0000 ≥ 0.05" in decision.failures[0]


def test_who_may_have_been_trained_on_the_test_images_is_refused():
    champion = decide(replace(GOOD, champion_unfair="ingest.seed was 1"), GATE)
    assert champion.failures[0].startswith(
        "The champion (version 1) may have been trained on today's test images: ingest.seed was 1; to replace"
    )
    challenger = decide(replace(GOOD, challenger_unfair="ingest.seed was 1"), GATE)
    assert challenger.failures[0].startswith("The challenger may have been trained on today's test images")


@pytest.mark.parametrize(
    ("draws", "alpha", "remedy"), [(3, 0.05, "raise draws to 4"), (8, 1e-5, "raise alpha")]
)
def test_draws_with_which_nothing_could_pass_are_refused(draws, alpha, remedy):
    """1 / 20 of 3 and 3, 1 / 70 of 4 and 4, 1 / 12,870 of 8 and 8."""
    with pytest.raises(ValueError, match=remedy):
        ImagesGateParams(draws=draws, samples=100, alpha=alpha, min_coverage=0.9, max_copies=0.05)
