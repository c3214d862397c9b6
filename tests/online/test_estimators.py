"""Estimates against their exact expectation: all lists of a small catalogue, each with its chance."""

from itertools import permutations

import numpy as np
import pytest

from recgan.evaluation.exploration_settings import OffPolicyParams
from recgan.evaluation.settings import EvaluateParams
from recgan.online import plackett_luce
from recgan.online.estimators import Sums, effective
from recgan.online.judging import Seen, judge_all
from recgan.online.policies import FORMS, Logged, Target
from recgan.online.reward_model import FOLDS, ItemRates, modelled

ITEMS, K = 4, 3
LOGS = np.log([3.0, 1.0, 0.4, 2.0])
LISTS = np.array(list(permutations(range(ITEMS), K)))
CHANCES = np.array(
    [plackett_luce.conditional(LOGS, np.array([*one, *(set(range(ITEMS)) - set(one))]))[:K] for one in LISTS]
)
OFTEN = np.exp(CHANCES.sum(axis=1))
N = len(LISTS)
LOGGED = Logged(LISTS, CHANCES, np.tile(np.arange(ITEMS), (N, 1)), np.tile(LOGS, (N, 1)))
OTHER = np.log([0.5, 2.0, 1.5, 1.0])
RNG = np.random.default_rng(0)
OF_PLACE = RNG.random((ITEMS, K))
"""Events of an item at a place, whatever stands above it."""
OF_PREFIX = {one[: place + 1]: RNG.random() for one in map(tuple, LISTS.tolist()) for place in range(K)}
"""Events of an item below those above it."""
LIMITS = OffPolicyParams(min_answers=50, min_events=10, min_support=0.9)


def events_of(form, lists=LISTS):
    if form == "independent":
        return OF_PLACE[lists, np.arange(K)]
    return np.array([[OF_PREFIX[tuple(one[: place + 1])] for place in range(K)] for one in lists.tolist()])


def best_lists(one=(2, 0, 3)):
    return Target(np.tile(one, (N, 1))[:, None])


def drawn_lists(logs=OTHER):
    return Target.drawn(LOGGED.candidates, np.tile(logs, (N, 1)), np.full(N, K), 4, seed=0)


def truth(target, form):
    """The policy's value, by all its lists."""
    if target.log_weights is None:
        return events_of(form, target.lists[:1, 0]).sum()
    rest = [[*one, *(set(range(ITEMS)) - set(one))] for one in LISTS.tolist()]
    often = np.exp(plackett_luce.conditional(target.log_weights, np.array(rest))[:, :K].sum(axis=1))
    return often @ events_of(form).sum(axis=1)


def expected(target, form, events, of_shown=None, of_target=None):
    nothing = np.zeros((N, K))
    sums = Sums.of(
        target.weights(LOGGED, form),
        events,
        target.wanted,
        nothing if of_shown is None else of_shown,
        nothing if of_target is None else of_target,
        np.arange(N),
        N,
    )
    return sums.estimates(OFTEN @ sums.columns)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", [best_lists(), drawn_lists()], ids=["best", "drawn"])
def test_ips_is_unbiased_where_its_assumption_holds(form, target):
    found = expected(target, form, events_of(form))
    assert found["ips"] == pytest.approx(truth(target, form), rel=1e-5)
    # In expectation each place's weights are 1.
    assert OFTEN @ target.weights(LOGGED, form) == pytest.approx(np.ones(K), rel=1e-5)


def test_an_event_that_depends_on_the_items_above_misleads_the_independent_form_alone():
    target, events = best_lists(), events_of("cascade")
    assert expected(target, "cascade", events)["ips"] == pytest.approx(truth(target, "cascade"))
    assert abs(expected(target, "independent", events)["ips"] - truth(target, "cascade")) > 0.05


@pytest.mark.parametrize("form", FORMS)
def test_dr_is_unbiased_with_any_model(form):
    """A model by item and place that is quite wrong, of one list and of drawn ones."""
    wrong = np.random.default_rng(1).normal(0, 3, (ITEMS, K))
    of_shown = wrong[LISTS, np.arange(K)]
    target = best_lists()
    of_target = wrong[target.lists[:, 0], np.arange(K)]
    found = expected(target, form, events_of(form), of_shown, of_target)
    assert found["dr"] == pytest.approx(truth(target, form), rel=1e-5)
    logs = np.tile(OTHER, (ITEMS, 1))
    places = [plackett_luce.at_place(logs, np.arange(ITEMS), place) for place in range(K)]
    of_draws = np.tile((np.array(places).T * wrong).sum(axis=0), (N, 1))  # the model over all its lists
    target = drawn_lists()
    found = expected(target, form, events_of(form), of_shown, of_draws)
    assert found["dr"] == pytest.approx(truth(target, form), rel=1e-4)


def test_a_perfect_model_leaves_dr_no_variance():
    target, events = best_lists(), events_of("independent")
    of_target = OF_PLACE[target.lists[:, 0], np.arange(K)]
    weights = target.weights(LOGGED, "independent")
    sums = Sums.of(weights, events, target.wanted, events, of_target, np.arange(N), N)
    assert np.ptp(sums.estimates(sums.columns)["dr"]) == pytest.approx(0)


@pytest.mark.parametrize("form", FORMS)
def test_snips_moves_with_a_shift_of_all_events_and_ips_by_the_weights_that_came(form):
    target, events, some = best_lists(), events_of(form), [*range(N), 3, 3, 7]

    def found(values):
        weights = target.weights(LOGGED, form)
        sums = Sums.of(weights, values, target.wanted, 0 * events, 0 * events, np.arange(N), N)
        return sums.estimates(sums.columns[some].mean(axis=0))

    there = target.weights(LOGGED, form)[some].mean(axis=0)
    assert (there > 0).all()
    assert found(events + 10)["snips"] == pytest.approx(found(events)["snips"] + 10 * K)
    assert found(events + 10)["ips"] == pytest.approx(found(events)["ips"] + 10 * there.sum())


@pytest.mark.parametrize("form", FORMS)
def test_the_log_judged_by_itself_is_its_own_mean(form):
    weights = drawn_lists(LOGS).weights(LOGGED, form)
    assert weights == pytest.approx(np.ones((N, K)), rel=1e-6)


def test_shorter_lists_and_fewer_candidates_have_no_weight_where_nothing_stands():
    logged = Logged(
        np.array([[2, 0, -1], [1, 3, 0]]),
        np.log([[0.5, 0.25, 1.0], [0.5, 0.5, 0.5]]),
        np.array([[2, 0, -1], [0, 1, 3]]),
        np.array([[0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]]),
    )
    target = Target(np.array([[[2, 0, 1]], [[1, -1, -1]]]))
    for form, expected_weights in (
        ("cascade", [[2, 8, 0], [2, 0, 0]]),
        ("independent", [[2, 2, 0], [3, 0, 0]]),
    ):
        assert target.weights(logged, form) == pytest.approx(np.array(expected_weights), rel=1e-6)
    assert target.support(logged) == 3 / 4
    drawn = Target.drawn(logged.candidates, logged.log_weights, np.array([3, 2]), 5, seed=0)
    assert (drawn.lists[0, :, 2] == -1).all()
    assert (drawn.lists[1, :, 2] == -1).all()
    assert drawn.support(logged) == 1


def test_effective_sizes():
    same = np.full((8, 2), 3.0)
    found = effective(same, np.array([[1, 0]] * 6 + [[0, 0]] * 2), 2)
    assert (found.answers, found.events) == (pytest.approx(8), pytest.approx(6))
    one = np.zeros((8, 2))
    one[0] = 5
    assert effective(one, np.ones((8, 2)), 2).answers == pytest.approx(1)
    # Of places with 8 and 1 effective answers the harmonic mean: 2 / (1/8 + 1/1).
    uneven = np.ones((8, 2))
    uneven[:, 1] = [8, *[0] * 7]
    assert effective(uneven, np.ones((8, 2)), 2).answers == pytest.approx(2 / (1 / 8 + 1))
    assert effective(np.zeros((8, 2)), np.ones((8, 2)), 2).answers == 0


def test_item_rates_are_drawn_to_one_the_less_an_item_was_shown():
    shown = np.array([[0, 1]] * 40 + [[1, 0]] * 40 + [[2, -1]] * 2)
    events = np.zeros((82, 2))
    events[:30] = [1, 0]  # of item 0, in the first place
    found = ItemRates.fit(shown, events, 4)
    assert found.places == pytest.approx([30 / 82, 0])
    came, expected = np.array([30, 0, 0]), np.array([40, 40, 2]) * 30 / 82
    strength = (expected**2).sum() / ((came - expected) ** 2 - expected).sum()
    assert found.items == pytest.approx([*(came + strength) / (expected + strength), 1])
    assert found.of(np.array([[0, 3], [3, -1]])) == pytest.approx(
        np.array([[30 / 82 * found.items[0], 0], [30 / 82, 0]])
    )
    even = ItemRates.fit(np.array([[0], [1]] * 20), np.tile([[1.0], [1.0], [0], [0]], (10, 1)), 2)
    assert even.items.tolist() == [1, 1]  # no more than chance


def test_nobodys_model_knows_what_came_of_their_own_answers():
    target, shopper = best_lists(), np.arange(N)
    one, other = events_of("independent").round(), events_of("independent").round()
    mine = shopper % FOLDS == 0
    other[mine] = 1 - other[mine]
    for before, after in zip(
        modelled(LOGGED, target, one, shopper, ITEMS),
        modelled(LOGGED, target, other, shopper, ITEMS),
        strict=True,
    ):
        assert (before[mine] == after[mine]).all()
        assert (before[~mine] != after[~mine]).any()


def evaluate():
    return EvaluateParams.model_construct(bootstrap_samples=300, confidence=0.95, seed=0)


def seen(answers, scale=1.0, compared=0.5, seed=3):
    """Drawn answers whose events come by place and item, and as many of a constant mean to compare with."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(N, answers, p=OFTEN / OFTEN.sum())
    events = (rng.random((answers, K)) < scale * OF_PLACE[LISTS[rows], np.arange(K)]).astype(float)
    logged = Logged(LISTS[rows], CHANCES[rows], LOGGED.candidates[rows], LOGGED.log_weights[rows])
    others = rng.integers(0, answers, answers)
    return Seen(
        logged, np.arange(answers), {"view": events}, others, {"view": np.full(answers, compared)}, ITEMS
    )


@pytest.mark.parametrize(
    ("compared", "verdict"),
    [(0.2, "better"), (2.9, "worse"), (OF_PLACE[[2, 0, 3], [0, 1, 2]].sum(), "cannot tell")],
)
def test_a_verdict_is_of_the_interval_of_the_difference(compared, verdict):
    given = seen(800, compared=compared)
    target = Target(np.tile((2, 0, 3), (800, 1))[:, None])
    (found,) = judge_all(target, given, LIMITS, evaluate())
    one = found.deciding
    assert (found.verdict, found.reason) == (verdict, "")
    assert one.low < truth(best_lists(), "independent") < one.high
    assert one.difference == pytest.approx(one.value - compared)
    assert found.compared == pytest.approx(compared)


def test_too_little_is_refused_with_the_limit_and_a_remedy():
    target = Target(np.tile((2, 0, 3), (800, 1))[:, None])

    def reason(given, target=target, **limits):
        (found,) = judge_all(target, given, LIMITS.model_copy(update=limits), evaluate())
        assert found.verdict == "refused"
        return found.reason

    assert "min_answers asks for 5000" in reason(seen(800), min_answers=5000)
    assert "min_events asks for 10)" in reason(seen(800, scale=0))
    outside = Target(np.tile((2, 0, 7), (800, 1))[:, None])
    enough = seen(800)
    items = Seen(**(vars(enough) | {"n_items": 8}))
    assert "only 67 % of its places" in reason(items, outside)
    nobody = np.zeros(0, dtype=np.int64)
    alone = Seen(**(vars(enough) | {"compared_shopper": nobody, "compared": {"view": np.zeros(0)}}))
    assert "to compare with" in reason(alone)


def test_drawn_lists_are_compared_with_drawn_answers():
    given = seen(800)
    target = Target.drawn(given.logged.candidates, given.logged.log_weights, np.full(800, K), 4, seed=0)
    (found,) = judge_all(target, given, LIMITS, evaluate())
    assert found.verdict == "cannot tell"
    assert found.compared == found.logged == pytest.approx(given.events["view"].sum(axis=1).mean())
    for one in found.estimates:
        if one.estimator != "dr":
            assert (one.difference_low, one.difference_high) == pytest.approx((0, 0), abs=1e-4)
