"""The search: on validation alone, the same budget for all, going on where it was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import HeldOut, read_features, write_features
from recgan.recommenders.tune import tune
from recgan.settings import load_params
from recgan.tuning import search as module
from recgan.tuning.search import search, write_winner
from recgan.tuning.search_space import load_space
from tests.conftest import ROOT
from tests.tuning.conftest import ALL, came_to, edit_params, features

# --- the budget, and what is read -----------------------------------------------------------------------


@pytest.mark.parametrize("recommender", ALL)
def test_every_recommender_gets_its_budget_and_starts_from_what_is_there(project, recommender):
    root = project(built=features(ages=recommender == "sequence"))  # which needs an order
    found = search(recommender, trials=3, root=root)
    assert len(found.trials) == 3
    assert found.trials[0].settings == found.space.present
    assert all(trial.ndcg is not None for trial in found.trials)
    assert found.best.ndcg == max(trial.ndcg for trial in found.trials) >= found.trials[0].ndcg
    assert all(trial.seconds > 0 for trial in found.trials)
    written = json.loads((root / f"reports/tuning/{recommender}.json").read_text())
    assert [trial["settings"] for trial in written["trials"]] == [trial.settings for trial in found.trials]
    assert written["best"]["ndcg"] == found.best.ndcg
    assert written["seconds"] == pytest.approx(found.seconds, abs=0.01)
    assert written["measure"] == "validation NDCG@10"


@pytest.mark.parametrize("recommender", ["ease", "rcgan"])
def test_the_test_window_is_not_read(project, recommender):
    built = features()
    nobody = np.empty(0, dtype=object)
    empty = HeldOut(nobody, csr_array((0, 24), dtype=np.float32), csr_array((0, 24), dtype=np.float32))
    poisoned = csr_array(np.full((40, 24), np.nan, dtype=np.float32))
    other = [replace(built, test=empty), replace(built, test=HeldOut(built.user_ids, poisoned, poisoned))]
    results = [
        came_to(search(recommender, trials=3, root=project(str(place), one)))
        for place, one in enumerate([built, *other])
    ]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("ages", [False, True])
def test_the_ndcg_is_that_of_the_stage_that_tunes_on_a_grid(project, ages):
    """Where likes have a time, that of the best of the half-lives, which are not searched."""
    root = project(built=features(ages=ages))
    built = read_features(root / "data/features")
    params = load_params(root / "params.yaml")
    found = search("ease", trials=4, root=root)
    for trial in found.trials:
        grid = {name: (value,) for name, value in trial.settings.items()}
        section = params.candidates["ease"].model_copy(update=grid)
        assert tune(section, built, params.evaluate.primary_k).validation_ndcg == trial.ndcg
    untimed = search("ease", trials=4, root=project("untimed"))
    later, never = ([trial.ndcg for trial in one.trials] for one in (found, untimed))
    assert all(ours >= theirs for ours, theirs in zip(later, never, strict=True))  # of no weighing too
    assert (max(later) > max(never)) == ages


@pytest.mark.parametrize("recommender", ["ease", "itemknn"])
def test_a_search_through_a_whole_grid_finds_its_best_and_ends(project, recommender):
    root = project(
        ease={"l2": {"choices": [10, 30, 100, 200, 400, 800, 1600]}},
        itemknn={
            "neighbours": {"choices": [20, 100]},
            "shrink": {"choices": [0, 50]},
            "asymmetry": {"choices": [0.5, 0.8]},
        },
    )
    edit_params(
        root, lambda one: one["itemknn"].update(neighbours=[20, 100], shrink=[0, 50], asymmetry=[0.5, 0.8])
    )
    params = load_params(root / "params.yaml")
    best = tune(params.candidates[recommender], features(), params.evaluate.primary_k)
    found = search(recommender, trials=60, root=root)
    assert found.best.ndcg == best.validation_ndcg
    assert (
        len(found.trials) == {"ease": 7, "itemknn": 8}[recommender]
    )  # each setting once, then nothing is left


def test_minutes_end_a_search_too_and_count_what_went_before(project, monkeypatch):
    root = project()
    clock = iter(np.arange(0, 10_000, 30))  # a trial reads it twice: 30 s
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    assert len(search("ease", minutes=2, root=root).trials) == 4
    assert len(search("ease", minutes=3, root=root).trials) == 6
    assert len(search("ease", minutes=9, trials=7, root=root).trials) == 7


# --- going on -------------------------------------------------------------------------------------------


def test_a_search_that_goes_on_makes_the_remaining_trials_and_the_same_ones(project, monkeypatch):
    whole = search("rp3beta", trials=14, root=project("whole"))
    root, made, measure = project("parts"), [], module.measure

    def counted(*arguments):
        made.append(1)
        return measure(*arguments)

    monkeypatch.setattr(module, "measure", counted)
    for trials, new in [(5, 5), (12, 7), (12, 0), (14, 2), (3, 0)]:
        made.clear()
        parts = search("rp3beta", trials=trials, root=root)
        assert len(made) == new
    assert came_to(parts) == came_to(whole)


def test_a_search_killed_in_a_trial_ends_as_one_that_was_not(project):
    whole = search("ease", trials=8, root=project("whole"))
    root = project("killed")
    code = f"""
import os, pathlib
from recgan.tuning import search as module
measure, made = module.measure, []
def dies(*arguments):
    made.append(1)
    if len(made) == 4:
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    return measure(*arguments)
module.measure = dies
module.search("ease", trials=8, root=pathlib.Path({str(root)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ.copy(), check=False)
    assert done.returncode == -signal.SIGKILL
    (record,) = (root / "tuning").glob("ease-*.json")
    assert len(json.loads(record.read_text())["trials"]) == 3
    assert came_to(search("ease", trials=8, root=root)) == came_to(whole)


def test_other_data_another_space_or_seed_begin_another_search(project):
    root = project()
    search("ease", trials=3, root=root)
    search("ease", trials=3, seed=1, root=root)
    shutil.rmtree(root / "data/features")
    (root / "data/features").mkdir()
    write_features(features(seed=1), root / "data/features")
    search("ease", trials=3, root=root)
    text = (root / "search.yaml").read_text()
    (root / "search.yaml").write_text(text.replace("high: 10000", "high: 9000"))
    search("ease", trials=3, root=root)
    assert len(list((root / "tuning").glob("ease-*.json"))) == 4


def test_what_was_written_is_gone_on_with(project):
    root = project()
    found = search("ease", trials=4, root=root)
    write_winner(found, root)
    again = search("ease", trials=5, root=root)
    assert came_to(again)[:4] == came_to(found)
    assert again.space.present == found.best.settings


def test_a_setting_that_came_later_is_the_next_trial_or_is_told(project, caplog):
    root = project()
    found = search("ease", trials=2, root=root)
    write_winner(replace(found, best=replace(found.best, settings={"l2": 321})), root)
    with caplog.at_level("WARNING", "recgan"):
        assert len(search("ease", trials=2, root=root).trials) == 2
    assert "what is there now was not among them" in caplog.text
    caplog.clear()
    assert search("ease", trials=3, root=root).trials[2].settings == {"l2": 321}
    assert "was not among them" not in caplog.text


@pytest.mark.parametrize(
    ("about", "l2"),
    [
        ({"l2": 800, "half_life_days": 7, "tuned": True, "validation_ndcg": 0.1}, 800),
        ({"l2": 801, "half_life_days": 7, "tuned": True, "validation_ndcg": 0.1}, 200),  # of another grid
        ({"l2": 800, "half_life_days": 7, "tuned": False}, 200),
        ({"skipped": "not enough memory"}, 200),
    ],
)
def test_the_grids_best_is_where_a_classical_one_starts_once_it_is_known(project, about, l2):
    root = project()
    (root / "metrics/candidates").mkdir(parents=True)
    (root / "metrics/candidates/ease.json").write_text(json.dumps(about))
    (root / "metrics/candidates/other.json").write_text(json.dumps({"l2": 100, "tuned": True}))
    assert load_space("ease", root).present == {"l2": l2}


def test_a_candidate_is_searched_by_its_own_name(project):
    """Two of a kind: each has its own search and settings, within the section of their kind."""
    root = project()
    edit_params(root, lambda one: one.update(wide={**one["ease"], "l2": [3, 5000, 6000]}))
    found = search("wide", trials=3, root=root)
    assert (found.space.name, found.space.recommender) == ("wide", "ease")
    assert found.trials[0].settings == {"l2": 5000}
    assert search("ease", trials=1, root=root).trials[0].settings == {"l2": 200}
    assert {path.name for path in (root / "reports/tuning").iterdir()} == {"ease.json", "wide.json"}
    write_winner(found, root)
    after = load_params(root / "params.yaml").candidates
    assert after["wide"].l2 == (found.best.settings["l2"],)
    assert after["ease"].l2 == (10, 30, 100, 200, 400, 800, 1600)


def test_another_k_is_another_search(project):
    root = project()
    search("ease", trials=1, root=root)
    edit_params(root, lambda one: one["rcgan"].update(epochs=3))  # another candidate's settings are not
    search("ease", trials=1, root=root)
    assert len(list((root / "tuning").glob("ease-*.json"))) == 1
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("primary_k: 10", "primary_k: 5"))
    search("ease", trials=1, root=root)
    assert len(list((root / "tuning").glob("ease-*.json"))) == 2


def test_the_same_search_does_not_run_twice_at_a_time(project):
    root = project()
    search("ease", trials=1, root=root)
    (record,) = (root / "tuning").glob("ease-*.json")
    with FileLock(record.with_suffix(".lock")), pytest.raises(RecganError, match="already running"):
        search("ease", trials=2, root=root)
