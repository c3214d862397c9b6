"""What is tried: new, within its range, learnt from; what fails is recorded; leading ones get more seeds."""

import json
import re

import numpy as np
import pytest

from recgan.core.errors import RecganError
from recgan.tuning import search as module
from recgan.tuning.search import search
from recgan.tuning.search_space import load_space
from recgan.tuning.trials import Trial, propose
from tests.tuning.conftest import came_to, edit_params


@pytest.mark.parametrize("recommender", ["ials", "cfgan"])
def test_what_is_tried_is_new_within_its_range_and_short(project, recommender):
    space = load_space(recommender, project())
    trials = []
    for number in range(16):
        settings = propose(space, trials, 0)
        assert settings not in [trial.settings for trial in trials]
        for name, value in settings.items():
            assert value in space.ranges[name]
            if isinstance(value, float):
                assert value == float(f"{value:.3g}")
        space.params(settings)
        trials.append(Trial(settings, number / 16, 1, None))
    if recommender == "ials":
        assert space.whole == {"factors", "iterations"}
        assert all(type(trial.settings["factors"]) is int for trial in trials)


@pytest.mark.parametrize(
    "space",
    [
        {"adversarial": {"low": 3, "high": 4}},
        {"generator.hidden": {"choices": [[12], [16]]}, "adversarial": {"low": 0, "high": 4}},
        {"fold_in_l2": {"low": 6, "high": 9}, "alarms.effective_rank": {"low": 1, "high": 9}},
    ],
)
def test_what_is_there_is_tried_first_even_outside_of_the_ranges(project, space):
    root = project(rcgan=space)
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(re.sub("effective_rank: [0-9]+", "effective_rank: null", text))
    space = load_space("rcgan", root)
    trials = [Trial(space.present, 0.3, 1, None)]
    assert any(value not in space.ranges[name] for name, value in space.present.items())
    for _ in range(11):  # the last ones with something to learn from
        settings = propose(space, trials, 0)
        assert all(value in space.ranges[name] for name, value in settings.items())
        trials.append(Trial(settings, 0.2 + len(trials) / 100, 1, None))


def test_it_learns(project):
    """After ten trials at random it goes to the top of a parabola over four orders of magnitude."""
    space, trials = load_space("ease", project()), []
    for _ in range(12):
        settings = propose(space, trials, 0)
        distance = abs(np.log10(settings["l2"]) - 2.5)
        trials.append(Trial(settings, float(1 - distance**2 / 16), 1, None))
        distances = [abs(np.log10(trial.settings["l2"]) - 2.5) for trial in trials]
    assert min(distances[:10]) > 0.1
    assert max(distances[10:]) < 0.02


def test_it_keeps_away_from_what_failed(project):
    space, trials = load_space("ease", project()), []
    for _ in range(12):
        settings = propose(space, trials, 0)
        ndcg = None if settings["l2"] > 100 else 0.2 + settings["l2"] / 10_000
        trials.append(Trial(settings, ndcg, 1, "diverged" if ndcg is None else None))
    assert sum(trial.ndcg is None for trial in trials[:10]) >= 3
    assert all(trial.ndcg is not None for trial in trials[10:])


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(project, monkeypatch):
    root, measure, made = project(), module.measure, []

    def diverges(*arguments):
        made.append(1)
        if len(made) in (1, 3):
            raise RecganError("training lost its footing in epoch 2")
        return measure(*arguments)

    monkeypatch.setattr(module, "measure", diverges)
    found = search("ease", trials=5, root=root)
    assert [trial.ndcg is None for trial in found.trials] == [True, False, True, False, False]
    assert found.trials[2].failure == "training lost its footing in epoch 2"
    assert found.best.ndcg is not None
    assert came_to(search("ease", trials=5, root=root)) == came_to(found)  # nor is it tried again


def test_settings_that_are_impossible_together_are_a_trial_that_failed(project):
    space = {
        "loss": {"choices": ["non_saturating", "wasserstein"]},
        "stability.label_smoothing": {"choices": [0, 0.1]},
    }
    found = search("cfgan", trials=4, root=project(cfgan=space))
    (failed,) = [trial for trial in found.trials if trial.ndcg is None]
    assert failed.settings == {"loss": "wasserstein", "stability.label_smoothing": 0.1}
    assert "has no target for real rows to smooth" in failed.failure


def test_any_other_error_ends_the_search_and_keeps_what_was_done(project, monkeypatch):
    root, measure, made = project(), module.measure, []

    def breaks(*arguments):
        made.append(1)
        return measure(*arguments) if len(made) < 3 else 1 / 0

    monkeypatch.setattr(module, "measure", breaks)
    with pytest.raises(ZeroDivisionError):
        search("ease", trials=5, root=root)
    (record,) = (root / "tuning").glob("ease-*.json")
    assert len(json.loads(record.read_text())["trials"]) == 2


def test_where_every_trial_fails_the_first_reason_is_given(project, monkeypatch):
    def diverges(*arguments):
        raise RecganError("training lost its footing")

    monkeypatch.setattr(module, "measure", diverges)
    with pytest.raises(RecganError, match=r"none of 2 trials of ease came to a result.*lost its footing"):
        search("ease", trials=2, root=project())


def test_a_best_value_near_an_edge_is_told_unless_nothing_lies_beyond(project):
    space = load_space("itemknn", project())
    at = {"neighbours": 3990, "shrink": 9, "asymmetry": 1}
    assert [name for name in at if space.could_go_on(at, name)] == ["neighbours"]
    within = {"neighbours": 100, "shrink": 50, "asymmetry": 0.5}
    assert not any(space.could_go_on(within, name) for name in within)
    assert space.could_go_on({**within, "shrink": 499}, "shrink")


def test_leading_trials_are_trained_with_more_seeds_and_the_best_mean_wins(project, monkeypatch):
    by_seed = {0.3: [0.50, 0.10, 0.10], 0.4: [0.40, 0.38, 0.39], 0.5: [0.1, 0.1, 0.1], 0.6: [0.45, None, 0.5]}
    asked = []

    def measure(params, name, features, seed=None):
        section = params.candidates[name]
        at = 0 if seed is None else seed - section.seed
        asked.append((section.unobserved_weight, at))
        score = by_seed[section.unobserved_weight][at]
        if score is None:
            raise RecganError("it diverged")
        return score

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(
        module, "propose", lambda space, trials, seed: {"unobserved_weight": 0.3 + len(trials) / 10}
    )
    root = project(rcgan={"unobserved_weight": {"low": 0.1, "high": 0.9}})
    edit_params(root, lambda one: one["rcgan"].update(unobserved_weight=0.3))
    found = search("rcgan", trials=4, seeds=3, root=root)
    assert asked[4:] == [(0.3, 1), (0.3, 2), (0.6, 1), (0.6, 2), (0.4, 1), (0.4, 2)]
    assert found.best.settings == {"unobserved_weight": 0.4}
    assert found.best.mean == pytest.approx(0.39)
    assert found.trials[3].mean is None  # one of its seeds failed
    again = search("rcgan", trials=4, seeds=3, root=root)
    assert (len(asked), again.best) == (10, found.best)  # all of it was recorded
    assert search("rcgan", trials=4, root=root).best == found.best
    kept = json.loads((root / "reports/tuning/rcgan.json").read_text())["best"]
    assert kept["further"] == [0.38, 0.39]


def test_what_is_there_now_gets_as_many_seeds_as_the_leading_ones(project, monkeypatch):
    scores = iter([0.1, 0.5, 0.6, 0.7, 0.8])
    more = []

    def measure(params, name, features, seed=None):
        if seed is None:
            return next(scores)
        more.append(params.candidates[name].unobserved_weight)
        return 0.05 if more[-1] > 0.35 else 0.2

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(
        module, "propose", lambda space, trials, seed: {"unobserved_weight": 0.3 + len(trials) / 10}
    )
    root = project(rcgan={"unobserved_weight": {"low": 0.1, "high": 0.9}})
    edit_params(root, lambda one: one["rcgan"].update(unobserved_weight=0.3))
    search("rcgan", trials=5, seeds=2, root=root)
    assert more == pytest.approx([0.7, 0.6, 0.5, 0.3])


def test_a_candidate_that_draws_nothing_has_no_seeds_to_try(project):
    found = search("ease", trials=2, seeds=3, root=project())
    assert all(trial.further == () for trial in found.trials)
