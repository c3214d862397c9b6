"""An experiment in the server: who is answered by which version, what is logged, what a failing one does."""

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from recgan.data.impressions import read_shown
from recgan.online.arms import CHALLENGER, CHAMPION, arm_of
from recgan.package import store
from recgan.registry.experiments import RUNNING, Experiment, as_json
from recgan.registry.tracking import connect
from recgan.serving.app import create_app
from recgan.serving.model import ServedModel
from tests.serving.conftest import buying, ids, promote, until

SHOPPERS = [f"user-{number}" for number in range(12)]


@pytest.fixture
def begin(shop):
    """Write an experiment into the registry, as another process does; take it out at the end."""
    client = connect()

    def write(design="split", champion="1", challenger="2", number="e1"):
        began = datetime(2026, 1, 1, tzinfo=UTC)
        found = Experiment(number, champion, challenger, 0.5, design, began, "ada")
        client.set_registered_model_tag(shop, RUNNING, as_json(found))
        return found

    promote(shop, "1")
    yield write
    if RUNNING in client.get_registered_model(shop).tags:
        client.delete_registered_model_tag(shop, RUNNING)


def served(shop, folder):
    return TestClient(create_app(shop, poll_seconds=0.05, impressions=folder), raise_server_exceptions=False)


def ask(client, **more):
    answer = client.post("/recommend", json={"k": 4} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_shopper_meets_one_version_and_who_is_unknown_meets_the_champion(shop, begin, tmp_path):
    experiment = begin()
    with served(shop, tmp_path) as client:
        assert client.get("/ready").json()["trying"] == {
            "experiment": "e1",
            "version": "2",
            "loaded": True,
            "problem": None,
        }
        answers = [ask(client, user_id=shopper) for shopper in SHOPPERS * 2]
        plain = ask(client, history=buying(3, 8))
    expected = ["2" if arm_of(experiment, shopper) == CHALLENGER else "1" for shopper in SHOPPERS * 2]
    assert [answer["model"]["version"] for answer in answers] == expected
    assert set(expected) == {"1", "2"}
    assert plain["model"]["version"] == "1"
    *rows, last = read_shown(tmp_path).to_pylist()
    assert {(row["arm"], row["version"]) for row in rows} == {(CHAMPION, "1"), (CHALLENGER, "2")}
    assert {row["experiment"] for row in rows} == {"e1"}
    assert (last["experiment"], last["arm"], last["teams"]) == (None, None, None)
    assert all(0 < row["milliseconds"] < 60_000 for row in [*rows, last])
    assert {tuple(row["propensities"]) for row in rows} == {(1.0,) * 4}


def test_an_interleaved_list_holds_both_rankings_and_says_whose_each_item_is(shop, begin, tmp_path):
    with served(shop, tmp_path / "before") as client:
        champion = {shopper: ids(ask(client, user_id=shopper)) for shopper in SHOPPERS}
    experiment = begin("interleave", number="e2")
    with served(shop, tmp_path / "during") as client:
        answers = {shopper: ask(client, user_id=shopper) for shopper in SHOPPERS}
    rows = {row["user_id"]: row for row in read_shown(tmp_path / "during").to_pylist()}
    met = [shopper for shopper in SHOPPERS if arm_of(experiment, shopper) != CHAMPION]
    assert 0 < len(met) < len(SHOPPERS)
    for shopper, answer in answers.items():
        row = rows[shopper]
        assert row["item_ids"] == ids(answer)
        if shopper not in met:
            assert (row["arm"], row["teams"], ids(answer)) == (CHAMPION, None, champion[shopper])
            continue
        assert (row["arm"], row["policy"], row["propensities"]) == ("interleaved", "interleave", None)
        assert len(set(ids(answer))) == 4
        assert row["teams"].count(CHAMPION) == row["teams"].count(CHALLENGER) == 2
        own = [item for item, team in zip(ids(answer), row["teams"], strict=True) if team == CHAMPION]
        assert own == [item for item in champion[shopper] if item in own]


def test_an_experiment_is_taken_up_and_let_go_while_the_server_runs(shop, begin, tmp_path):
    with served(shop, tmp_path) as client:
        assert client.get("/ready").json()["trying"] is None
        experiment = begin(number="e3")
        until(lambda: client.get("/ready").json()["trying"] is not None)
        one = next(shopper for shopper in SHOPPERS if arm_of(experiment, shopper) == CHALLENGER)
        assert ask(client, user_id=one)["model"]["version"] == "2"
        connect().delete_registered_model_tag(shop, RUNNING)
        until(lambda: client.get("/ready").json()["trying"] is None)
        assert ask(client, user_id=one)["model"]["version"] == "1"


def test_a_challenger_that_cannot_be_loaded_leaves_its_arm_to_the_champion(
    shop, begin, tmp_path, monkeypatch
):
    loads = store.load_version

    def load(name, version):
        if version == "2":
            raise OSError("the disk is gone")
        return loads(name, version)

    monkeypatch.setattr(store, "load_version", load)
    experiment = begin(number="e4")
    with served(shop, tmp_path) as client:
        told = client.get("/ready").json()
        assert (told["ready"], told["trying"]["loaded"]) == (True, False)
        assert "version 2" in told["trying"]["problem"]
        assert "the disk is gone" in told["trying"]["problem"]
        answers = [ask(client, user_id=shopper) for shopper in SHOPPERS]
    assert {answer["model"]["version"] for answer in answers} == {"1"}
    rows = read_shown(tmp_path).to_pylist()
    assert [row["arm"] for row in rows] == [arm_of(experiment, shopper) for shopper in SHOPPERS]


@pytest.mark.parametrize("design", ["split", "interleave"])
def test_a_challenger_that_fails_on_a_request_leaves_it_to_the_champion(
    shop, begin, tmp_path, monkeypatch, design
):
    scores = ServedModel.scores

    def fails(self, user_items, ages=None):
        if self.model.version == "2" and failing:
            raise ValueError("a weight is not a number")
        return scores(self, user_items, ages)

    failing = False
    monkeypatch.setattr(ServedModel, "scores", fails)
    experiment = begin(design, number="e5")
    with served(shop, tmp_path) as client:
        failing = True
        answers = [ask(client, user_id=shopper) for shopper in SHOPPERS]
    assert {(answer["model"]["version"], answer["fallback"]) for answer in answers} == {("1", False)}
    rows = read_shown(tmp_path).to_pylist()
    assert [row["arm"] for row in rows] == [arm_of(experiment, shopper) for shopper in SHOPPERS]
    assert {row["teams"] for row in rows} == {None}


def test_an_experiment_against_another_champion_meets_nobody(shop, begin, tmp_path):
    begin(champion="7", number="e6")
    with served(shop, tmp_path) as client:
        assert {ask(client, user_id=shopper)["model"]["version"] for shopper in SHOPPERS} == {"1"}
    assert {row["experiment"] for row in read_shown(tmp_path).to_pylist()} == {None}


def test_what_the_request_asks_wrongly_is_refused_in_both_arms(shop, begin, tmp_path):
    begin(number="e7")
    with served(shop, tmp_path) as client:
        codes = {client.post("/recommend", json={"user_id": one, "k": 0}).status_code for one in SHOPPERS}
    assert codes == {422}
