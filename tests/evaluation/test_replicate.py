"""The stage on a small log of its own: what is trained, what is taken from before, what is dropped."""

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.data.events import EVENTS, ITEMS, USERS, Tables, write_tables
from recgan.data.quarantine import QUARANTINE
from recgan.evaluation import replicate as stage
from recgan.evaluation.replicate import earlier
from recgan.evaluation.replications import read_replications
from recgan.features.build import features_of
from recgan.features.matrices import read_features
from recgan.recommenders.fit import with_seed
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.ranking import user_ndcg
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.settings import seed_of
from recgan.recommenders.student.settings import StudentParams
from recgan.settings import load_params
from recgan.stages import features, replicate, train
from tests.adversarial.laws import TRAINER
from tests.conftest import SHOP, example, screen_out

NOBODY = pa.array([], pa.string())

START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 40


@pytest.fixture
def project(tmp_path):
    """Forty days of a log with a popularity, an iALS and a small RC-GAN."""
    rng = np.random.default_rng(0)
    n = 1500
    users, items = rng.integers(40, size=n), np.minimum(rng.geometric(0.12, n) - 1, 19)
    seconds = np.sort(rng.integers(DAYS * 86_400, size=n))
    events = {
        "user_id": [f"u{user}" for user in users],
        "item_id": [f"i{item}" for item in items],
        "event": ["purchase"] * n,
        "timestamp": [START + timedelta(seconds=int(second)) for second in seconds],
    }
    table = pa.table(
        {name: pa.array(events.get(name, [None] * n), EVENTS.field(name).type) for name in EVENTS.names}
    )
    kept = tmp_path / "data/kept"
    kept.mkdir(parents=True)
    catalogue = pa.Table.from_pylist([{"item_id": f"i{one}"} for one in range(20)], ITEMS)
    write_tables(Tables(table, catalogue, USERS.empty_table()), kept)
    pq.write_table(QUARANTINE.empty_table(), kept / "quarantine.parquet")
    screen_out(tmp_path)
    content = yaml.safe_load(SHOP.read_text())
    gan = content["candidates"]["rcgan"]
    gan |= {"trainer": TRAINER, "epochs": 2, "evaluate_every": 1, "patience": 2, "critic_shares": [0.5]}
    for side in ("generator", "critic"):
        gan[side] |= {"hidden": [6], "batch_size": 16}
    content["candidates"] = {
        "popularity": {"recommender": "popularity", "half_life_days": [None]},
        "ials": {
            **content["candidates"]["ials"],
            "factors": [4],
            "regularization": [10],
            "alpha": [1],
            "iterations": [2],
        },
        "rcgan": gan,
    }
    content["features"]["split"] = {"kind": "time", "validation_days": 4, "test_days": 4}
    content["evaluate"] |= {"windows": 2, "seeds": 2, "ablation": True}
    write(tmp_path, content)
    features(root=tmp_path)
    return tmp_path


def write(root, content):
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def change(root, **sections):
    content = yaml.safe_load((root / "params.yaml").read_text())
    for name, values in sections.items():
        place = content["candidates"] if name in content["candidates"] else content
        place[name] |= values
    write(root, content)


@pytest.fixture
def fitted(monkeypatch):
    """What is fitted, in order: candidate's kind and its coefficient of the adversarial term."""
    seen, fit = [], stage.fit

    def counting(section, *rest):
        seen.append((section.recommender, getattr(section, "adversarial", None)))
        return fit(section, *rest)

    monkeypatch.setattr(stage, "fit", counting)
    return seen


def index(root):
    return read_json(root / "data/replications/replications.json")


EXPECTED = [
    # window, candidate, seed, ablated: today's window has the stage train's own beside
    *((0, "ials", 1, False), (0, "rcgan", 42, True), (0, "rcgan", 43, False), (0, "rcgan", 43, True)),
    *((1, "ials", 0, False), (1, "ials", 1, False), (1, "popularity", None, False)),
    *((1, "rcgan", 42, False), (1, "rcgan", 42, True), (1, "rcgan", 43, False), (1, "rcgan", 43, True)),
]


def test_what_is_asked_for_is_trained_once_and_each_reading_logged(project, fitted, caplog):
    with caplog.at_level(logging.INFO):
        replicate(root=project)
    key = ("window", "candidate", "seed", "ablated")
    found = sorted((tuple(one[name] for name in key) for one in index(project)), key=str)
    assert found == sorted(EXPECTED, key=str)
    readings = [one.getMessage() for one in caplog.records if one.getMessage().endswith("is read")]
    assert len(readings) == len(set(readings)) == len(EXPECTED)
    assert not (project / "checkpoints/replications").exists()
    assert len(fitted) == len(EXPECTED)
    replicate(root=project)
    assert len(fitted) == len(EXPECTED), "the second run trained anew"
    del fitted[:]
    change(project, rcgan={"epochs": 3})
    replicate(root=project)
    assert {kind for kind, _ in fitted} == {"rcgan"}
    assert len(fitted) == 7
    del fitted[:]
    change(project, evaluate={"windows": 3, "seeds": 1, "ablation": False})
    replicate(root=project)
    assert sorted(kind for kind, _ in fitted) == ["ials", "popularity", "rcgan"]
    assert sorted({one["window"] for one in index(project)}) == [1, 2]
    files = {path.stem for path in (project / "data/replications").glob("*.parquet")}
    assert files == {one["fingerprint"] for one in index(project)}


def test_a_window_is_the_log_as_it_was_and_its_users_are_ranked_as_evaluate_does(project):
    change(project, evaluate={"seeds": 1, "ablation": False})
    replicate(root=project)
    (found,) = (one for one in read_replications(project / "data/replications") if one.seed is None)
    today = read_features(project / "data/features")
    test_start = datetime.fromisoformat(today.summary["cuts"]["test_start"])
    assert found.test_end == test_start.isoformat()
    assert found.test_start == (test_start - timedelta(days=4)).isoformat()
    kept = project / "data/kept"
    events = pq.read_table(kept / "events.parquet")
    past = pc.less(events["timestamp"], pa.scalar(test_start, events["timestamp"].type))
    pq.write_table(events.filter(past), kept / "events.parquet")
    window = features_of(kept, NOBODY, load_params(project / "params.yaml").features, test_start)
    user_ids, ndcg = user_ndcg(Popularity().fit(window.train_validation), window.test, 10, True)
    assert list(found.user_ids) == list(user_ids)
    assert found.ndcg == pytest.approx(ndcg)
    assert found.ndcg.mean() > 0


def test_one_that_fails_is_left_out_with_its_reason(project, monkeypatch):
    change(project, evaluate={"windows": 1, "ablation": False})

    def fails(*_):
        raise ArithmeticError("the loss is not finite")

    monkeypatch.setattr("recgan.recommenders.train.train", fails)
    replicate(root=project)
    skipped = {one["candidate"]: one["skipped"] for one in index(project)}
    assert skipped == {"ials": None, "rcgan": "ArithmeticError: the loss is not finite"}


def test_a_stage_that_was_stopped_goes_on(project, fitted, monkeypatch):
    change(project, evaluate={"ablation": False})
    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_json", lambda *_: {}["stopped"])
        with pytest.raises(KeyError):
            replicate(root=project)
    assert not (project / "data/replications").exists()
    trained = len(fitted)
    replicate(root=project)
    assert len(fitted) == trained > 0


@pytest.mark.parametrize("stage_of", [features, replicate, lambda root: train("popularity", root)])
def test_more_windows_than_the_log_has_are_refused_before_anything_is_built(project, fitted, stage_of):
    change(project, evaluate={"windows": 40})  # the parameters of the simulated shop name a longer log
    with pytest.raises(RecganError, match=r"windows is 40, but the log holds (\d+) at most") as caught:
        stage_of(root=project)
    assert not fitted
    most = int(str(caught.value).split("the log holds ")[1].split()[0])
    today, split = read_features(project / "data/features"), load_params(project / "params.yaml").features
    assert earlier(project / "data/kept", NOBODY, split, today, most - 1).train.nnz
    with pytest.raises(RecganError):
        earlier(project / "data/kept", NOBODY, split, today, most)


def test_the_simulated_shops_parameters_say_how_many_windows_it_holds(project):
    change(project, evaluate={"windows": 43})  # of 4 days; 8 more for validation and train
    load_params(project / "params.yaml")
    change(project, evaluate={"windows": 44})
    with pytest.raises(RecganError, match=r"windows is 44, but ingest.days 180 hold 43 at most"):
        load_params(project / "params.yaml")


def test_an_empty_request_loads_nothing_heavy(project):
    write_json(project / "data/features/summary.json", {})  # not even the features are read
    change(project, evaluate={"windows": 1, "seeds": 1, "ablation": False})
    code = (
        "import sys; from pathlib import Path; from recgan.stages import replicate; "
        f"replicate(Path({str(project)!r})); print(*{{'torch', 'lightning', 'duckdb'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert index(project) == []
    assert read_replications(project / "data/replications") == []


def test_seeds_are_the_candidates_own_and_a_students_are_its_teachers():
    rcgan = example("shop")["candidates"]["rcgan"]
    student = example("student-ml100k")["candidates"]["student"]
    taught, alone = StudentParams.model_validate(student), RCGANParams.model_validate(rcgan)
    assert (seed_of(alone), seed_of(taught)) == (42, 42)
    assert with_seed(alone, 7) == alone.model_copy(update={"seed": 7})
    assert with_seed(taught, 7).teacher.seed == 7
    assert with_seed(taught, 7) == StudentParams.model_validate(
        {**student, "teacher": {**student["teacher"], "seed": 7}}
    )
