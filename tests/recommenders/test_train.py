"""The train stage: files in, files out, the same after a kill."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import Features, HeldOut, write_features
from recgan.recommenders import train as stage
from recgan.recommenders import validation
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import window_ndcg
from recgan.recommenders.skipped import skipped
from recgan.recommenders.widened import Widened
from recgan.settings import load_params
from recgan.stages import train
from tests.adversarial.laws import TRAINER
from tests.conftest import SHOP, example


def features(validation=True):
    rng = np.random.default_rng(0)
    groups = np.arange(40) % 4
    likes = (rng.random((40, 24)) < np.where(groups[:, None] == np.arange(24) % 4, 0.8, 0.05)).astype(
        np.float32
    )
    later = (rng.random((40, 24)) < 0.3) & (likes > 0)
    before = likes * ~later
    user_ids = np.array([f"u{row}" for row in range(40)], dtype=object)
    window = HeldOut(user_ids, csr_array(before), csr_array(later.astype(np.float32)))
    return Features(
        train=csr_array(before),
        train_validation=csr_array(likes) if validation else csr_array(before),
        user_ids=user_ids,
        items=pd.DataFrame({"item_id": [f"i{column}" for column in range(24)]}),
        validation=window if validation else None,
        test=window,
        summary={"repeat_purchases": False, "md5": "abc"},
    )


def make_project(root, validation=True, gan="rcgan", **changes):
    """Make a project whose one candidate trains for moments."""
    content = yaml.safe_load(SHOP.read_text())
    if gan in ("rcgan", "student"):
        content["candidates"]["rcgan"]["critic_shares"] = [0.5]
    else:
        content["candidates"][gan] = example(EXAMPLES.get(gan, f"{gan}-ml100k"))["candidates"][gan]
    if gan == "irgan":
        content["candidates"]["irgan"]["pretraining"]["epochs"] = 3
    section = content["candidates"]["rcgan" if gan == "student" else gan]
    section |= {"epochs": 8, "evaluate_every": 2, "patience": 3, "trainer": TRAINER}
    section |= {"refit": True, **changes}
    if gan == "feature_gan":
        section["vectors"]["factors"] = 6
    for side in {"generator", "discriminator", "critic"} & set(section):
        size = {"factors": 12} if gan == "irgan" else {"hidden": [12]}
        steps = {"batch_size": 8} if gan == "feature_gan" else {"batch_size": 20}
        section[side] = {**section[side], **size, **steps, "learning_rate": 0.01}
    if gan == "student":
        lists = {
            "generated_weights": [0, 4],
            "row_exponents": [0, 0.5],
            "temperatures": [None],
            "l2": [5],
        }
        more = {"teachers": 2, "teacher_users": None, "neighbours": None, "block_items": None}
        content["candidates"]["student"] = {
            "recommender": "student",
            "teacher": section,
            **lists,
            **more,
        }
    (root / "data/features").mkdir(parents=True)
    write_features(features(validation), root / "data/features")
    content["candidates"] = {"ours": content["candidates"][gan]}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    return root


@pytest.fixture
def project(tmp_path):
    return partial(make_project, tmp_path / "project")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the project of a kind whose training nothing interrupted; each is trained once."""

    @cache
    def trained(gan):
        root = make_project(tmp_path_factory.mktemp("whole") / "project", gan=gan)
        train("ours", root=root)
        return root

    return trained


OUTPUTS = ("models/ours/weights.safetensors", "models/ours/recommender.json")
OUTPUTS += ("reports/curves/ours.csv", "metrics/candidates/ours.json")


def outputs(root):
    return {name: (root / name).read_bytes() for name in OUTPUTS}


EXAMPLES = {"feature_gan": "feature-gan"}
CURVES = {
    "rcgan": ["d_fake", "d_real", "adversarial", "reconstruction"],
    "cfgan": ["d_real", "d_fake", "win_rate", "zero_reconstruction"],
    "feature_gan": ["d_real", "d_fake", "win_rate", "adversarial", "regression"],
}
PROBED = ["effective_items", "effective_rank"]


FIGURES = ["best_epoch", "validation_ndcg", "epochs", "parameters", "alarms"]


@pytest.mark.parametrize(
    ("gan", "changes", "parameters"),
    [
        ("rcgan", {}, 2 * 24 * 12 + 12 + 24),
        ("cfgan", {"view": "user"}, 2 * 24 * 12 + 12 + 24),
        ("cfgan", {"view": "item"}, 2 * 40 * 12 + 12 + 40),
        # 6 factors, no content; the taste has one entry more, the noise 5.
        ("feature_gan", {"noise": 5}, (7 + 5) * 12 + 12 + 12 * 6 + 6 + 7 * 6 + 6),
    ],
)
def test_writes_the_recommender_its_curves_and_its_figures(project, gan, changes, parameters):
    root = project(gan=gan, **changes)
    train("ours", root=root)
    figures = json.loads((root / "metrics/candidates/ours.json").read_text())
    assert list(figures) == FIGURES + ["half_life_days"] * (gan == "rcgan")
    rows = list(csv.DictReader((root / "reports/curves/ours.csv").read_text().splitlines()))
    losses = ["epoch", "d_loss", "g_loss", *CURVES[gan], "g_grad_norm", "d_grad_norm", "validation_ndcg"]
    assert list(rows[0]) == losses + PROBED
    assert len(rows) == figures["epochs"] == 8
    looked = {int(row["epoch"]): float(row["validation_ndcg"]) for row in rows if row["validation_ndcg"]}
    assert list(looked) == [2, 4, 6, 8]
    assert max(looked, key=looked.get) == figures["best_epoch"]
    assert looked[figures["best_epoch"]] == pytest.approx(figures["validation_ndcg"], rel=1e-5)
    recommender = load_recommender(root / "models/ours")
    assert recommender.training.epochs == figures["best_epoch"]  # refitted for as long as validation chose
    assert recommender.training.validation_ndcg == figures["validation_ndcg"]
    assert figures["parameters"] == parameters
    assert not any((root / "checkpoints").iterdir())


@pytest.mark.parametrize("gan", ["rcgan", "cfgan", "irgan", "feature_gan"])
def test_twice_the_same_is_the_same_bytes(project, whole, gan):
    root = project(gan=gan)
    train("ours", root=root)
    assert outputs(root) == outputs(whole(gan))


def test_without_validation_all_epochs_are_trained_and_nothing_is_chosen(project):
    root = project(validation=False, patience=None)
    train("ours", root=root)
    figures = json.loads((root / "metrics/candidates/ours.json").read_text())
    assert figures["validation_ndcg"] is None
    assert figures["epochs"] == figures["best_epoch"] == 8
    rows = list(csv.DictReader((root / "reports/curves/ours.csv").read_text().splitlines()))
    assert {row["validation_ndcg"] for row in rows} == {""}


def test_without_validation_patience_is_refused(project):
    root = project(validation=False)
    train("ours", root=root)
    assert "set its patience to null" in skipped(root, "ours")


def test_a_student_writes_its_teachers_curves_and_its_own_figures(whole):
    root = whole("student")
    figures = json.loads((root / "metrics/candidates/ours.json").read_text())
    assert list(figures) == [*FIGURES, "half_life_days"]
    assert figures["parameters"] == 24 * 24
    rows = list(csv.DictReader((root / "reports/curves/ours.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 17))
    assert {row["teacher"] for row in rows} == {"1", "2"}
    student = load_recommender(root / "models/ours")
    assert student.training.validation_ndcg == figures["validation_ndcg"]
    assert student.training.epochs == figures["best_epoch"] == max(student.choice.epochs, default=0)


def test_a_student_killed_while_refitting_ends_as_the_uninterrupted_one(project, whole, monkeypatch):
    killed = project(gan="student")
    with monkeypatch.context() as patch:
        patch.setattr("recgan.stages.write_text", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("ours", root=killed)
    assert list((killed / "checkpoints").rglob("choose-teacher-2.ckpt"))
    train("ours", root=killed)
    assert outputs(killed) == outputs(whole("student"))


def test_without_refit_the_best_look_is_what_is_written(project):
    root = project(refit=False)
    train("ours", root=root)
    figures = json.loads((root / "metrics/candidates/ours.json").read_text())
    recommender = load_recommender(root / "models/ours")
    window = features().validation
    assert window_ndcg(recommender, window, 10, exclude_seen=True) == pytest.approx(
        figures["validation_ndcg"], rel=1e-6
    )


@pytest.mark.parametrize("look", [3, 4])
def test_a_training_killed_while_choosing_ends_as_the_uninterrupted_one(project, whole, monkeypatch, look):
    killed = project()
    looks, measure = [], validation.window_ndcg

    def dies(*arguments):
        looks.append(1)
        if len(looks) == look:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(validation, "window_ndcg", dies)
    with pytest.raises(KeyboardInterrupt):
        train("ours", root=killed)
    assert not (killed / "models").exists()
    assert list((killed / "checkpoints").rglob("choose.ckpt"))
    monkeypatch.setattr(validation, "window_ndcg", measure)
    train("ours", root=killed)
    assert outputs(killed) == outputs(whole("rcgan"))


def test_a_training_killed_while_refitting_ends_as_the_uninterrupted_one(project, whole, monkeypatch):
    killed = project()
    with monkeypatch.context() as patch:
        patch.setattr("recgan.stages.write_text", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("ours", root=killed)
    (checkpoint,) = (killed / "checkpoints").rglob("refit.ckpt")
    assert checkpoint.stat().st_size
    train("ours", root=killed)
    assert outputs(killed) == outputs(whole("rcgan"))


def test_the_refit_keeps_the_share_that_validation_chose(project, monkeypatch):
    """The first share would be the refit's own choice; validation is made to like the last."""
    monkeypatch.setattr(validation, "window_ndcgs", lambda *_: [0.025, 0.05, 0.1])
    root = project(critic_shares=[0.25, 0.5, 1])
    train("ours", root=root)
    assert load_recommender(root / "models/ours").critic_share == 1


def test_another_training_does_not_resume_this_one(project):
    built = features()
    settings = load_params(project() / "params.yaml").candidates["ours"]
    names = {
        stage.fingerprint(settings, built, 10),
        stage.fingerprint(settings.model_copy(update={"seed": 7}), built, 10),
        stage.fingerprint(
            settings, Features(**{**vars(built), "summary": {**built.summary, "md5": "abd"}}), 10
        ),
        stage.fingerprint(settings, built, 20),
    }
    assert len(names) == 4
    assert stage.fingerprint(settings, built, 10) in names


def raising(fault):
    def fails(*_):
        raise fault

    return fails


@pytest.mark.parametrize(
    "fault",
    [
        RecganError("the loss is not finite"),
        MemoryError("9 GiB"),
        RuntimeError("9 GiB"),
        FloatingPointError(),
    ],
)
def test_one_that_fails_says_why_in_place_of_its_results(project, whole, monkeypatch, fault):
    root = project()
    for name in ("models", "reports", "metrics"):
        shutil.copytree(whole("rcgan") / name, root / name)

    monkeypatch.setattr(validation, "window_ndcg", raising(fault))
    train("ours", root=root)
    assert str(fault) in skipped(root, "ours")
    assert json.loads((root / "metrics/candidates/ours.json").read_text()) == {
        "skipped": skipped(root, "ours")
    }
    assert [path.name for path in (root / "models/ours").iterdir()] == ["skipped.json"]
    assert len((root / "reports/curves/ours.csv").read_text().splitlines()) == 1


def test_one_that_failed_is_whole_once_it_works(project, whole, monkeypatch):
    root = project()
    with monkeypatch.context() as patch:
        patch.setattr(validation, "window_ndcg", raising(MemoryError("9 GiB")))
        train("ours", root=root)
    assert skipped(root, "ours") is not None
    train("ours", root=root)
    assert skipped(root, "ours") is None
    assert outputs(root) == outputs(whole("rcgan"))


def test_an_error_of_the_program_is_no_reason_to_go_on(project, monkeypatch):
    monkeypatch.setattr(validation, "window_ndcg", lambda *_: {}["none"])
    with pytest.raises(KeyError):
        train("ours", root=project())


def test_a_name_that_is_no_candidate_is_told_the_names(project):
    with pytest.raises(RecganError, match=r"no candidate 'theirs' in params\.yaml; choose among ours"):
        train("theirs", root=project())


def test_missing_features_are_named(project):
    root = project()
    (root / "data/features/train.npz").unlink()
    with pytest.raises(RecganError, match="run dvc repro features"):
        train("ours", root=root)


def test_who_loads_a_recommender_needs_no_lightning():
    code = "import sys, recgan.recommenders.loading; print('lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("gan", ["rcgan", "cfgan", "irgan", "feature_gan", "student"])
def test_somebody_of_whom_nothing_is_known_is_shown_what_many_like(project, gan):
    root = project(gan=gan)
    built = features()
    rng = np.random.default_rng(1)
    likes = rng.random((40, 24)) < np.linspace(0.05, 0.8, 24)[rng.permutation(24)]
    later = likes & (rng.random((40, 24)) < 0.2)
    later[:4] = likes[:4]  # some come without a history, as in a split in time
    window = HeldOut(built.user_ids, csr_array((likes & ~later).astype(np.float32)), csr_array(later * 1.0))
    both = csr_array((likes | later).astype(np.float32))
    whole = dataclasses.replace(
        built, train=window.history, train_validation=both, validation=window, test=window
    )
    write_features(whole, root / "data/features")
    train("ours", root=root)
    recommender = load_recommender(root / "models/ours")
    nothing = csr_array((1, 24), dtype=np.float32)
    [shown], _ = recommend(recommender, nothing, k=6)
    popularity = both.sum(axis=0)
    assert popularity[shown].mean() > popularity.mean() + popularity.std() / 2


def with_a_later_item():
    """Features whose validation brings a 25th item, taken by all who like the first."""
    built = features()
    likes = built.train_validation.toarray()
    later = (likes[:, :1] > 0).astype(np.float32)
    test = HeldOut(
        built.user_ids,
        csr_array(np.hstack([built.train.toarray(), 0 * later])),
        csr_array(np.hstack([0 * likes, later])),
    )
    return dataclasses.replace(
        built,
        train_validation=csr_array(np.hstack([likes, later])),
        items=pd.DataFrame({"item_id": [f"i{column}" for column in range(25)]}),
        test=test,
    )


@pytest.mark.parametrize(
    ("gan", "refit"),
    [("rcgan", True), ("rcgan", False), ("feature_gan", True), ("feature_gan", False), ("ease", True)],
)
def test_an_item_first_sold_in_validation_is_recommended_after_the_refit(project, gan, refit):
    if gan == "ease":  # always refitted
        root = project()
        content = yaml.safe_load((root / "params.yaml").read_text())
        content["candidates"] = {"ours": {"recommender": "ease", "l2": [5], "half_life_days": [None]}}
        (root / "params.yaml").write_text(yaml.safe_dump(content))
    else:
        root = project(gan=gan, refit=refit)
    built = with_a_later_item()
    write_features(built, root / "data/features")
    train("ours", root=root)
    recommender = load_recommender(root / "models/ours")
    ranking, scores = recommend(recommender, built.test.history, 25, exclude_seen=False)
    assert np.isfinite(scores).all()
    place = (ranking == 24).argmax(axis=1)
    fans = built.test.held_out.toarray()[:, 24] > 0
    if refit or gan == "ease":
        assert place[fans].mean() < 12
        assert place[fans].mean() < place[~fans].mean()
    else:
        assert (place == 24).all()


def test_a_recommender_of_fewer_items_leaves_out_what_it_does_not_know():
    known = csr_array(np.float32([[1, 0, 2], [0, 3, 0], [0, 0, 0]]))
    ease = EASE(1).fit(csr_array(np.float32([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])))
    wide = csr_array(np.hstack([known.toarray(), np.float32([[5, 0], [0, 0], [1, 0]])]))
    ages = csr_array((np.float32([3, 0, 7, 1, 2]), wide.indices, wide.indptr), shape=wide.shape)
    scores = Widened(ease, 3).score(wide, ages)
    expected = ease.score(known)
    np.testing.assert_array_equal(scores[:, :3], expected)
    np.testing.assert_array_equal(scores[:, 3:], np.repeat(expected.min(axis=1, keepdims=True), 2, axis=1))
    ranking, _ = recommend(Widened(ease, 3), wide, 5, exclude_seen=False)
    assert ranking[:, 3:].tolist() == [[3, 4]] * 3
