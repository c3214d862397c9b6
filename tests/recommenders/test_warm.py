"""Warm start: whose weights a training begins from, what would leak, and when it begins anew."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from scipy.sparse import csr_array

from recgan.features.matrices import read_features, write_features
from recgan.recommenders.gan import weights_of
from recgan.recommenders.rcgan.game import RCGANGame
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.sequence.game import SequenceGame
from recgan.recommenders.sequence.recommender import Sequence
from recgan.recommenders.settings import always_anew
from recgan.recommenders.warm import (
    EVERY,
    History,
    Left,
    begin_from,
    is_good,
    leak,
    plan_of,
    read_start,
    write_left,
)
from recgan.stages import train
from tests.recommenders import test_rcgan, test_sequence
from tests.recommenders.test_train import features, make_project

CPU = torch.device("cpu")
THEN = {"users": ["u1", "u2", "u3", "u4"], "items": ["a", "b", "c"]}
NOW = {"users": ["u9", "u4", "u1", "u2", "u0"], "items": ["c", "x", "a", "y", "b"]}


def ids(names):
    return np.array(names, dtype=object)


def game_of(kind, seed, axes):
    rows = csr_array(np.ones((len(axes["users"]), len(axes["items"])), dtype=np.float32))
    if kind is RCGAN:
        return RCGANGame(test_rcgan.settings(seed=seed), rows, CPU)
    return SequenceGame(test_sequence.settings(seed=seed), rows, np.arange(rows.nnz, dtype=np.float32), CPU)


@pytest.mark.parametrize("kind", [RCGAN, Sequence])
def test_known_rows_are_the_champions_and_new_ones_start_as_ever(kind):
    champion, tonight, anew = (weights_of(game_of(kind, *how)) for how in ((1, THEN), (2, NOW), (2, NOW)))
    assert all(torch.equal(tonight[name], anew[name]) for name in anew)  # the same start, from the seed
    game = game_of(kind, 2, NOW)
    left = Left(champion, ids(THEN["users"]), ids(THEN["items"]))
    begin_from(left, kind.tables, ids(NOW["users"]), ids(NOW["items"]))(game)
    begun = weights_of(game)
    assert set(kind.tables) <= set(begun)
    for name, weight in begun.items():
        if name not in kind.tables:
            assert torch.equal(weight, champion[name]), name
            continue
        then, now = THEN[kind.tables[name]], NOW[kind.tables[name]]
        for row, one in enumerate(now):
            expected = champion[name][then.index(one)] if one in then else anew[name][row]
            assert torch.equal(weight[row], expected), (name, one)


def summary(validation_start="2026-01-05", test_start="2026-01-19"):
    cuts = {
        "validation_start": f"{validation_start}T00:00:00+00:00",
        "test_start": f"{test_start}T00:00:00+00:00",
    }
    return {
        "repeat_purchases": False,
        "md5": "abc",
        "cuts": cuts,
        "split_identity": {"kind": "time", "trained_until": cuts["test_start"]},
    }


def held_out_of(summary):
    return {"split": summary["split_identity"], "cuts": summary.get("cuts")}


RANDOM = {"draw": "d", "kind": "random", "validation_share": 0.1, "test_share": 0.1, "seed": 1}


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        (summary("2026-01-04", "2026-01-18"), summary(), None),
        (summary(), summary(), None),
        (summary("2026-01-06", "2026-01-18"), summary(), "until 2026-01-06"),  # validation had fewer days
        (summary("2026-01-04", "2026-01-20"), summary(), "trained until 2026-01-20"),
        ({"split_identity": RANDOM}, {"split_identity": RANDOM}, None),
        ({"split_identity": {**RANDOM, "validation_share": 0}}, {"split_identity": RANDOM}, "random split"),
        ({"split_identity": {**RANDOM, "seed": 2}}, {"split_identity": RANDOM}, "seed 2"),
        ({"split_identity": RANDOM}, summary(), "kind random"),
        (
            {"split_identity": {"kind": "leave-last-out", "test": "x"}},
            {"split_identity": {"kind": "leave-last-out", "test": "x"}},
            "does not tell",
        ),
    ],
)
def test_what_may_know_tonights_held_out_events_is_refused(then, now, why):
    found = leak(held_out_of(then), now)
    assert found is None if why is None else why in found


SETTINGS = test_rcgan.settings(warm_start=2, refit=True)


def dated(**cuts):
    return replace(features(), summary=summary(**cuts))


def start(folder, history=None, settings=SETTINGS, then=None, **named):
    """Write what a champion left, as a flow brings it."""
    history = history or History(good=True, since=1)
    then = dated() if then is None else then
    game = RCGANGame(settings, then.train, CPU)
    again = RCGANGame(settings, then.train_validation, CPU)
    write_left(folder, settings, then, (weights_of(game), weights_of(again)), history)
    about = json.loads((folder / "begin.json").read_text())
    (folder / "begin.json").write_text(json.dumps({**about, "candidate": "ours", "version": "3", **named}))
    return folder


def plan_for(folder, settings=SETTINGS, tonight=None):
    return plan_of(folder, "ours", settings, RCGAN.tables, tonight or dated())


def test_a_night_begins_warm_until_one_compares(tmp_path):
    def plan_after(good, since):
        return plan_for(start(tmp_path / f"{good}{since}", History(good, since)))

    first = plan_after(False, None)
    assert (first.began_from, first.compared is None, first.history) == (None, False, History(False, 0))
    warm = plan_after(True, 0)
    assert (warm.began_from, warm.compared, warm.history) == ("3", None, History(True, 1))
    assert warm.second is not None
    behind = plan_after(False, 1)
    assert (behind.began_from, behind.compared, behind.history) == (None, None, History(False, 2))
    for good in (True, False):
        assert plan_after(good, EVERY - 1).compared is not None
    assert plan_after(True, EVERY - 2).began_from == "3"


def test_only_one_hundredth_may_be_lost():
    assert is_good(0.0991, 0.1)
    assert not is_good(0.0989, 0.1)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (
            {
                "settings": test_rcgan.settings(
                    warm_start=2, refit=True, generator={**test_rcgan.SIDE, "hidden": [9]}
                )
            },
            "[9]",
        ),
        ({"candidate": "theirs"}, "the champion is theirs"),
        ({"then": dated(validation_start="2026-01-06")}, "that would leak"),
    ],
)
def test_it_begins_anew_with_the_reason_said_once(tmp_path, caplog, how, why):
    folder = start(tmp_path / "start", **how)
    with caplog.at_level(logging.INFO):
        plan = plan_for(folder)
    assert (plan.first, plan.second, plan.compared) == (None, None, None)
    (said,) = caplog.messages
    assert said.startswith("ours begins anew: ")
    assert why in said


def test_without_a_second_training_or_validation_it_begins_anew(tmp_path):
    folder = start(tmp_path / "start")
    (folder / "second.safetensors").unlink()
    assert "not fitted anew" in read_start(folder, "ours", SETTINGS, dated())
    assert read_start(folder, "ours", SETTINGS.model_copy(update={"refit": False}), dated()).second is None
    whole = replace(features(validation=False), summary=summary())
    assert "nothing is held out for validation" in read_start(folder, "ours", SETTINGS, whole)


def test_a_candidate_inside_another_one_begins_anew():
    always_anew(test_sequence.settings())
    with pytest.raises(ValueError, match="warm_start is 2, but only a candidate of its own"):
        always_anew(SETTINGS)
    with pytest.raises(ValidationError, match="warm_start is 9 and epochs 4"):
        test_rcgan.settings(warm_start=9)


def retrain(root, since, good):
    """Let a second night begin from what the first one left, with its own history put in place."""
    shutil.rmtree(root / "data/start", ignore_errors=True)
    shutil.copytree(root / "models/ours/warm_start", root / "data/start")
    note = root / "data/start/begin.json"
    about = json.loads(note.read_text()) | {"candidate": "ours", "version": "1", "since": since, "good": good}
    note.write_text(json.dumps(about))
    train("ours", root=root)
    metrics = json.loads((root / "metrics/candidates/ours.json").read_text())
    return metrics, json.loads((root / "models/ours/warm_start/begin.json").read_text())


def test_nights_one_after_the_other(tmp_path, caplog):
    root = make_project(tmp_path / "project", warm_start=4)
    shutil.rmtree(root / "data/features")
    (root / "data/features").mkdir()
    write_features(dated(), root / "data/features")
    train("ours", root=root)
    metrics = json.loads((root / "metrics/candidates/ours.json").read_text())
    assert (metrics["began_from"], metrics["epochs"] > 4) == (None, True)
    with caplog.at_level(logging.INFO):
        metrics, left = retrain(root, since=None, good=False)
    assert (metrics["began_from"], left["since"]) == (None, 0)
    assert left["good"] == metrics["warm_start_good"]
    assert any("at the warm start's first look" in message for message in caplog.messages)
    first = np.load(root / "models/ours/warm_start/ids.npz")
    assert first["train"].tolist() == list(read_features(root / "data/features").train.shape)
    metrics, left = retrain(root, since=0, good=True)
    assert (metrics["began_from"], left["since"], left["good"]) == ("1", 1, True)
    assert metrics["epochs"] <= 4
    # What the settings do not ask for costs nothing.
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["candidates"]["ours"]["warm_start"] = None
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    train("ours", root=root)
    assert not (root / "models/ours/warm_start").exists()
    assert "began_from" not in json.loads((root / "metrics/candidates/ours.json").read_text())
