"""The search: on validation alone, the same budget for all, going on where it was killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock
from scipy.sparse import csr_array

from recgan.core.comments import read_with_comments, written
from recgan.core.errors import RecganError
from recgan.features.matrices import Features, HeldOut, read_features, write_features
from recgan.recommenders.tune import tune
from recgan.settings import load_params
from recgan.tuning import search as module
from recgan.tuning.search import search, write_winner
from recgan.tuning.search_space import CLASSICAL, GANS, load_space
from recgan.tuning.trials import Trial, propose
from recgan.use import whole
from tests.adversarial.laws import TRAINER
from tests.conftest import EXAMPLES, ROOT

ALL = [*CLASSICAL, *GANS]


def features(seed=0, ages=False):
    """Even users like even items, with noise; some of it withheld for validation, some for test.

    Args:
        seed: of the likes.
        ages: True dates every like: what is against the user's taste is of long ago.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((40, 24))
    likes = rng.random((40, 24)) < np.where(rows % 2 == columns % 2, 0.7, 0.1)
    part = rng.choice(3, (40, 24), p=[0.6, 0.2, 0.2])
    train, later, last = (csr_array((likes & (part == which)).astype(np.float32)) for which in range(3))
    ids = np.array([f"u{row}" for row in range(40)], dtype=object)
    both = csr_array(train + later)
    days = np.where(rows % 2 == columns % 2, 90, 10)
    times = [days[part.nonzero()].astype(np.float32) if ages else None for part in (train, both)]
    old = [days_since(part, when) for part, when in zip((train, both), times, strict=True)]
    return Features(
        train=train,
        train_validation=both,
        user_ids=ids,
        items=pd.DataFrame({"item_id": [f"i{column}" for column in range(24)]}),
        validation=HeldOut(ids, train, later, old[0], np.full(later.nnz, 100.0) if ages else None),
        test=HeldOut(ids, both, last, old[1], np.full(last.nnz, 100.0) if ages else None),
        summary={"repeat_purchases": False, "md5": f"of {seed}"},
        train_times=times[0],
        train_validation_times=times[1],
    )


def days_since(part, times):
    """Return the age of each like on day 100."""
    return None if times is None else csr_array((100 - times, part.indices, part.indptr), shape=part.shape)


@pytest.fixture
def project(tmp_path):
    """Make a project of tiny matrices whose GANs train for moments."""

    def make(name="project", built=None, params="examples/shop.yaml", **spaces):
        root = tmp_path / name
        (root / "data/features").mkdir(parents=True)
        write_features(built or features(), root / "data/features")
        shutil.copytree(ROOT / "examples", root / "examples")
        (root / "params.yaml").write_bytes(whole(ROOT / params)[0])
        for path in [root / "params.yaml", *(root / "examples").iterdir()]:
            path.write_text(tiny(path.read_text()))
        content = yaml.safe_load((ROOT / "search.yaml").read_text())
        for section in content.values():
            for parameter, values in section["space"].items():
                if parameter.endswith("hidden"):
                    values["choices"] = [[8], [12]]
        for recommender, space in spaces.items():
            content[recommender]["space"] = space
        (root / "search.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return root

    return make


def line_of(section):
    """Write a section as the params files do, in one line."""
    return yaml.safe_dump(section, default_flow_style=True, sort_keys=False, width=200).strip()


SMALL = {
    "epochs": "4",
    "evaluate_every": "2",
    "hidden": "[8]",
    "trainer": line_of(TRAINER),
    "batch_size": "16",
}


@cache
def tiny(text):
    """Shorten a params file's training by hand, its comments kept."""
    lines = []
    for line in text.splitlines():
        name = line.strip().split(":")[0]
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}{name}: {SMALL[name]}" if name in SMALL else line)
    return "\n".join(lines) + "\n"


def edit_params(root, change):
    """Change the candidates of params.yaml, whose comments go."""
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    change(content["candidates"])
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def came_to(found):
    return [(trial.settings, trial.ndcg, trial.failure) for trial in found.trials]


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


# --- what is tried --------------------------------------------------------------------------------------


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


# --- writing --------------------------------------------------------------------------------------------


def changed_lines(before, after):
    before, after = before.splitlines(), after.splitlines()
    assert len(before) == len(after)
    return {ours: theirs for ours, theirs in zip(before, after, strict=True) if ours != theirs}


def test_a_classical_ones_winner_becomes_its_grid_and_nothing_else_changes(project):
    root = project()
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("  ease:\n", "  # a linear one\n  ease:   # of Steck\n"))
    before = path.read_text()
    found = search("ease", trials=6, root=root)
    found = replace(found, best=replace(found.best, settings={"l2": 432.5}))
    assert write_winner(found, root).path == path
    changes = changed_lines(before, path.read_text())
    assert changes == {"    l2: [10, 30, 100, 200, 400, 800, 1600]": "    l2: [432.5]"}
    before_it, now = (load_params(one).candidates for one in (root / "params.yaml.bak", path))
    assert now["ease"] == before_it["ease"].model_copy(update={"l2": (432.5,)})
    assert (root / "params.yaml.bak").read_text() == before


@pytest.mark.parametrize(
    "params", ["examples/shop.yaml", "examples/online-retail.yaml", "examples/own-files.yaml"]
)
def test_a_gans_winner_is_written_where_it_stood(project, params):
    root = project(params=params)
    path = root / "params.yaml"
    before, n = re.subn(r"(?m)^(    adversarial: \d+)$", r"\1   # lambda", path.read_text())
    assert n == 1
    path.write_text(before)
    found = search("rcgan", trials=1, root=root)
    settings = {
        **found.space.present,
        "generator.hidden": [12],
        "generator.learning_rate": 0.00003,
        "adversarial": 3.5,
    }
    write_winner(replace(found, best=replace(found.best, settings=settings)), root)
    changes = changed_lines(before, path.read_text())
    assert len(changes) == 3
    (changed,) = (new for old, new in changes.items() if "lambda" in old)
    assert changed.split("#") == ["    adversarial: 3.5 ", " lambda"]
    ours = load_params(path).candidates["rcgan"]
    assert (ours.generator.hidden, ours.generator.learning_rate, ours.adversarial) == ((12,), 3e-5, 3.5)
    assert ours.critic == load_params(root / "params.yaml.bak").candidates["rcgan"].critic


def test_what_is_no_candidate_yet_becomes_one_by_its_winner(project):
    root = project()
    edit_params(root, lambda one: one["rcgan"].update(seed=7))
    path = root / "params.yaml"
    text = path.read_text().replace("  ease:\n", "  # a linear one\n  ease:\n")
    path.write_text(text)
    was = load_params(path)
    found = search("cfgan", trials=2, root=root)
    assert "cfgan" not in was.candidates
    replaced = write_winner(found, root)
    now = load_params(path)
    assert list(now.candidates) == [*was.candidates, "cfgan"]
    assert now.candidates["cfgan"] == found.space.params(found.best.settings).candidates["cfgan"]
    assert now.candidates["cfgan"].seed == 7  # as the others are measured
    assert {name: one for name, one in now.candidates.items() if name != "cfgan"} == was.candidates
    before, after = text.splitlines(), path.read_text().splitlines()
    start = after.index("  cfgan:")
    added = len(after) - len(before)
    assert [*after[:start], *after[start + added :]] == before
    assert replaced.before.read_text() == text
    again = search("cfgan", trials=3, root=root)  # now params.yaml's own, and still the same search
    assert came_to(again)[:2] == came_to(found)
    assert again.space.base is None


def test_a_classical_one_comes_from_a_base_as_it_stands_there(project):
    """It has no Trainer, and its seed is its own: a GAN's is none of its business."""
    root = project()
    edit(root, lambda content: content["ials"].update(base="examples/shop.yaml"))
    edit_params(root, lambda one: one.pop("ials"))
    found = search("ials", trials=1, root=root)
    write_winner(found, root)
    now, shop = (
        load_params(root / name).candidates["ials"] for name in ("params.yaml", "examples/shop.yaml")
    )
    assert now.seed == shop.seed != load_params(root / "params.yaml").candidates["rcgan"].seed
    chosen = {name: (value,) for name, value in found.best.settings.items()}
    assert now.grid() == {**chosen, "half_life_days": shop.half_life_days}  # each fit chooses it


def test_every_params_file_is_written_again_byte_for_byte():
    for path in [ROOT / "params.yaml", *EXAMPLES]:
        text, content = whole(path)
        assert written(read_with_comments(text, path), content, path) == text


def test_what_would_be_a_faulty_file_is_not_written(project):
    root = project()
    before = (root / "params.yaml").read_text()
    found = search("ease", trials=1, root=root)
    with pytest.raises(RecganError, match=r"candidates\.ease\.l2"):
        write_winner(replace(found, best=replace(found.best, settings={"l2": -1})), root)
    assert (root / "params.yaml").read_text() == before
    assert not (root / "params.yaml.bak").exists()


# --- bad input ------------------------------------------------------------------------------------------


def test_search_yaml_fits_every_params_file_of_the_project(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "search.yaml", tmp_path)
    assert set(yaml.safe_load((ROOT / "search.yaml").read_text())) == set(ALL)
    for path in [ROOT / "params.yaml", *EXAMPLES]:
        text, content = whole(path)
        if content["features"]["split"].get("validation_share") == 0:
            continue  # nothing to judge by
        (tmp_path / "params.yaml").write_bytes(text)
        for recommender in ALL:
            space = load_space(recommender, tmp_path)
            assert all(space.present[name] in values for name, values in space.ranges.items())


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            {"generator.dropuot": {"low": 0, "high": 0.5}},
            ["dropuot: unknown", "did you mean `generator.dropout`?"],
        ),
        ({"generator.dropout": {"low": 0, "high": 1.5}}, ["generator.dropout", "less than 1 (given: 1.5)"]),
        ({"generator.dropout": {"low": 0.7, "high": 0.1}}, ["low is 0.7 and high 0.1"]),
        ({"adversarial": {"low": 0, "high": 4, "log": True}}, ["low is 0, which has no logarithm"]),
        (
            {"adversarial": {"low": 0, "hihg": 4}},
            ["hihg: unknown; did you mean `high`?", "adversarial.high: missing"],
        ),
        ({"adversarial": {"low": 0}}, ["rcgan.space.adversarial.high: missing"]),
        ({"adversarial": {"low": "0.1e", "high": 4}}, ["adversarial.low", "valid number", "'0.1e'"]),
        ({"adversarial": {"choices": []}}, ["adversarial.choices", "at least 1"]),
        ({"generator.hidden": {"low": 8, "high": 80}}, ["generator.hidden", "valid tuple"]),
        ({"generator.batch_size": {"low": 0.5, "high": 80}}, ["batch_size", "valid integer"]),
        ({"refit": {"choices": [True]}}, ["refit: says how to measure", "remove it"]),
        ({"trainer": {"choices": [1]}}, ["trainer: says how to measure", "remove it"]),
        ({"seed": {"low": 5, "high": 50}}, ["seed: says how to measure", "remove it"]),
        ({"generator": {"low": 5, "high": 50}}, ["rcgan.generator: unknown parameter"]),
        ({}, ["rcgan.space", "at least 1"]),
        ([], ["rcgan.space", "dictionary"]),
    ],
)
def test_a_faulty_space_is_one_clear_error(project, space, words):
    root = project(rcgan=space)
    with pytest.raises(RecganError) as caught:
        search("rcgan", trials=1, root=root)
    message = str(caught.value)
    assert message.startswith(f"{root / 'search.yaml'} has ")
    for word in words:
        assert word in message
    assert not (root / "tuning").exists()


@pytest.mark.parametrize(
    ("recommender", "words"),
    [
        ("eese", "no recommender 'eese'; did you mean ease"),
        ("popularity", "popularity has nothing to search; choose one of itemknn"),
        ("personal", "personal has nothing to search; choose one of itemknn"),
        ("student", "student has nothing to search; choose one of itemknn"),
        ("rcgam", "no recommender 'rcgam'; did you mean rcgan?"),
        ("svd++", "choose one of itemknn, rp3beta, ease, sparse_ease, ials"),
    ],
)
def test_a_recommender_that_cannot_be_searched_is_named(project, recommender, words):
    with pytest.raises(RecganError) as caught:
        search(recommender, trials=1, root=project())
    assert words in str(caught.value)


def edit(root, change):
    content = yaml.safe_load((root / "search.yaml").read_text())
    change(content)
    (root / "search.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("recommender", "change", "words"),
    [
        ("ease", lambda content: content.pop("ease"), "has no section ease; write one"),
        (
            "ease",
            lambda content: content.update(esae=content["ease"]),
            "esae: unknown recommender; did you mean `ease`",
        ),
        ("itemknn", lambda content: content["itemknn"]["space"].pop("shrink"), "itemknn.shrink: missing"),
        ("cfgan", lambda content: content["cfgan"].pop("base"), "cfgan is no candidate of params.yaml, and"),
        (
            "cfgan",
            lambda content: content["cfgan"].update(base="examples/ml-1m.yaml"),
            "ml-1m.yaml, has no such candidate",
        ),
        ("cfgan", lambda content: content["cfgan"].update(base="examples/none.yaml"), "none.yaml"),
        (
            "cfgan",
            lambda content: content["cfgan"].update(bases=1),
            "cfgan.bases: unknown; did you mean `base`?",
        ),
    ],
)
def test_a_section_that_does_not_do_is_one_clear_error(project, recommender, change, words):
    root = project()
    edit(root, change)
    with pytest.raises(RecganError) as caught:
        search(recommender, trials=1, root=root)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a list", "a: [1,"])
def test_a_file_that_is_no_search_yaml_is_one_clear_error(project, text):
    root = project()
    (root / "search.yaml").write_text(text)
    with pytest.raises(RecganError, match=r"search\.yaml"):
        search("ease", trials=1, root=root)
    (root / "search.yaml").unlink()
    with pytest.raises(RecganError, match=r"no .*search\.yaml"):
        search("ease", trials=1, root=root)


def test_without_a_budget_validation_or_record_to_read_nothing_is_tried(project):
    root = project()
    for budget in ({"trials": 0}, {"minutes": -1}):
        with pytest.raises(RecganError, match="give a number above 0"):
            search("ease", root=root, **budget)
    search("ease", trials=1, root=root)
    (record,) = (root / "tuning").glob("ease-*.json")
    record.write_text("{}")
    with pytest.raises(RecganError, match="remove it to begin anew"):
        search("ease", trials=1, root=root)
    blind = project("blind", replace(features(), validation=None))
    with pytest.raises(RecganError, match="no validation window"):
        search("ease", trials=1, root=blind)
    assert read_features(root / "data/features").validation is not None


def next_weight(space, trials, seed):
    return {"unobserved_weight": 0.3 + len(trials) / 10}


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


def test_without_a_name_it_is_the_first_gan_of_params_yaml(project):
    root = project()
    edit_params(root, lambda one: one.update(again=one["rcgan"]))
    assert search(trials=1, root=root).space.name == "rcgan"
    edit_params(root, lambda one: one.pop("rcgan"))
    assert search(trials=1, root=root).space.name == "again"
    edit_params(root, lambda one: one.pop("again"))
    with pytest.raises(RecganError, match="has no GAN to search; name one of popularity, itemknn"):
        search(trials=1, root=root)


def test_the_command_searches_shows_and_writes(project):
    root = project()
    command = [sys.executable, "-m", "recgan", "tune", "--candidate"]
    asked = [*command, "ease", "--trials", "3", "--write"]
    done = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True)
    assert "ease: 3 trials in" in done.stdout
    assert "params.yaml now holds the best settings" in done.stdout
    assert done.stderr == ""
    assert len(load_params(root / "params.yaml").candidates["ease"].l2) == 1
    refused = subprocess.run([*command, "eese"], cwd=root, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == "error: no recommender 'eese'; did you mean ease?\n"


def test_a_classical_one_is_searched_without_torch():
    code = "import sys, recgan.tuning.search; print({'torch', 'optuna', 'lightning'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
