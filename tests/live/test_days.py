"""A day against a server that is played here; what others would have answered; the project's own folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest

from recgan.core.errors import RecganError
from recgan.core.yaml12 import read_yaml
from recgan.live.apart import Apart
from recgan.live.children import environment
from recgan.live.client import free_port
from recgan.live.days import Memory, live_day
from recgan.live.month import live
from recgan.live.project import check_place, make_project
from recgan.live.replay import replayed
from recgan.live.shop import FIRST_DAY, HISTORY_DAYS, PLACES, open_shop
from recgan.live.shoppers import draw, wants
from recgan.package.packaged import PackagedRecommender
from recgan.serving.model import ServedModel
from recgan.serving.schema import Event
from tests.conftest import ROOT


class Popular:
    """Scores by the place in the vocabulary, a history by nothing but what it has."""

    def score(self, user_items, ages=None):
        return np.tile(-np.arange(user_items.shape[1], dtype=np.float32), (user_items.shape[0], 1))


class Server:
    """Answers as a server would, and keeps what it is told."""

    def __init__(self, packaged):
        self.served = ServedModel("m", "1", packaged)
        self.asked, self.told = [], []

    def recommend(self, user_id, history, k):
        self.asked.append((user_id, history))
        ranking = self.served.rank(self.served.history([Event(**one) for one in history], user_id), k)
        items = [{"item_id": item.item_id, "price": item.price} for item in ranking.items]
        return {"items": items, "model": {"version": "1"}, "request_id": f"{len(self.asked):032x}"}

    def feedback(self, events):
        self.told += events


@pytest.fixture(scope="module")
def shop():
    return open_shop(3, 2)


@pytest.fixture(scope="module")
def packaged(shop):
    log = shop.own_log(-30, 0).to_pandas()
    item_ids = log["item_id"].value_counts().index.tolist()
    return PackagedRecommender(Popular(), item_ids, np.ones(len(item_ids), dtype=np.float32))


def nobody(shop):
    """Return a month apart in which nobody has seen anything: the server of the first day knows as little."""
    return Apart(shop, np.zeros((len(shop.user_ids), len(shop.item_ids)), dtype=np.bool_))


@pytest.fixture(scope="module")
def first_day(shop, packaged):
    server, memory = Server(packaged), Memory.of(shop)
    table = live_day(0, memory, nobody(shop), server, {"popularity": packaged})
    return server, memory, table


def test_a_day_is_a_request_for_each_visit(shop, first_day):
    server, _, table = first_day
    visits = shop.visits(0)
    assert table["user_id"].tolist() == [shop.user_ids[user] for user in visits.user]
    assert [user_id for user_id, _ in server.asked] == table["user_id"].tolist()
    assert (table["expected_served"] > 0).all()


def test_shoppers_tell_what_they_did_when_they_did_it(shop, first_day):
    server, _, table = first_day
    kinds = [event["event"] for event in server.told]
    assert {kind: kinds.count(kind) for kind in ("view", "cart", "purchase")} == {
        "view": table["opened"].sum(),
        "cart": table["carted"].sum(),
        "purchase": table["bought"].sum(),
    }
    assert table["opened"].sum() > 20
    last = (FIRST_DAY + timedelta(days=1, minutes=3)).isoformat()
    assert all(FIRST_DAY.isoformat() <= event["timestamp"] < last for event in server.told)


def test_a_later_request_of_the_day_knows_what_came_of_an_earlier_one(first_day):
    server, _, table = first_day
    earlier = next(
        row
        for row, user_id in enumerate(table["user_id"])
        if table["opened"][row] and user_id in set(table["user_id"][row + 1 :])
    )
    user_id = table["user_id"][earlier]
    opened = {one["item_id"] for one in server.told if one["request_id"] == table["request_id"][earlier]}
    later = [history for asked, history in server.asked[earlier + 1 :] if asked == user_id][-1]
    assert opened <= {event["item_id"] for event in later}


def test_a_replay_is_what_the_server_answers(first_day):
    table = first_day[2]
    assert table["same_popularity"].all()
    assert np.allclose(table["expected_popularity"], table["expected_served"])


def test_where_the_best_sellers_answer_their_own_month_is_the_servers(first_day):
    table = first_day[2]
    assert np.allclose(table["expected_apart"], table["expected_served"])


def test_what_the_best_sellers_were_opened_for_is_not_shown_again_in_their_month(shop, packaged):
    apart = Apart.of(shop)
    before = apart.seen.copy()
    log = shop.own_log(0, 1).to_pandas().dropna(subset=["user_id"])
    own = np.zeros_like(before)
    own[log["user_id"].map(shop.number), log["item_id"].map(shop.position)] = True
    visits = shop.visits(0)
    wanted = wants(shop.world, visits.user, visits.time)
    chance = draw(len(visits.user), len(shop.item_ids), shop.draws(0))
    always = replace(chance, reads=chance.reads * 0, opens=chance.opens * 0)  # all that is shown is opened
    sold = apart.day(0, visits, wanted, always, packaged)
    assert np.array_equal(apart.seen & own, own)
    for user, count in zip(*np.unique(visits.user, return_counts=True), strict=True):
        opened = (apart.seen[user] & ~before[user] & ~own[user]).sum()
        assert PLACES * count - own[user].sum() <= opened <= PLACES * count
    fresh = Apart.of(shop).day(0, visits, wanted, replace(chance, reads=chance.reads * 0 + 1), packaged)
    assert sold.mean() < fresh.mean()  # where nothing is opened, the best ones stay


def test_the_oracle_is_above_all_lists(first_day):
    table = first_day[2]
    assert (table["expected_oracle"] >= table["expected_served"] - 1e-12).all()
    assert table["expected_oracle"].mean() > 1.5 * table["expected_served"].mean()


def test_a_new_champion_knows_what_was_sent_before(shop, packaged):
    memory = Memory.of(shop)
    before = memory.seen.sum()
    live_day(0, memory, nobody(shop), Server(packaged), {"popularity": packaged})
    assert memory.since
    memory.forget()
    assert not memory.since
    assert memory.seen.sum() > before


def test_what_others_show_has_no_more_places_than_there_are_items(shop, packaged):
    few = PackagedRecommender(Popular(), packaged.item_ids[:3].tolist(), np.ones(3, dtype=np.float32))
    seen = {"item_id": few.item_ids[0], "event": "view", "timestamp": FIRST_DAY.isoformat()}
    found = replayed(few, [("u1", []), ("u2", [seen])], shop, PLACES, FIRST_DAY)
    numbers = [shop.position[item_id] for item_id in few.item_ids]
    assert found.tolist() == [numbers, [*numbers[1:], -1]]


def test_the_same_day_again_is_the_same(shop, packaged, first_day):
    again = live_day(0, Memory.of(shop), nobody(shop), Server(packaged), {"popularity": packaged})
    assert again.equals(first_day[2])


def test_the_log_before_the_first_day_is_seen(shop):
    memory = Memory.of(shop)
    log = shop.own_log(-HISTORY_DAYS, 0).to_pandas().dropna(subset=["user_id"])
    row = log.iloc[0]
    assert memory.seen[shop.number[row["user_id"]], shop.position[row["item_id"]]]


# --- the project's own folder, and what goes wrong ------------------------------------------------------


def test_there_must_be_days():
    with pytest.raises(RecganError, match="DAYS is 0; let the shop live for 1 day at least"):
        live(0)


def test_a_busy_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RecganError, match=f"port {port} cannot be listened on"):
            free_port(port)
    assert free_port(None) > 0


def test_a_folder_of_somebodys_own_is_left_alone(tmp_path):
    with pytest.raises(RecganError, match="run it from the root of the project"):
        check_place(tmp_path)
    for name in ("src", "flows", "dvc.yaml", "forgotten.json", "examples"):
        (tmp_path / name).mkdir()
    (tmp_path / "live").mkdir()
    with pytest.raises(RecganError, match="was not made by `recgan live`"):
        check_place(tmp_path)


def test_the_users_servers_and_registry_are_not_the_projects(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "RECGAN_SERVE_TOKEN"):
        monkeypatch.setenv(name, "theirs")
    found = environment(tmp_path)
    assert "theirs" not in found.values()
    assert found["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), str(tmp_path / "src")]


def test_no_server_outlives_a_killed_run(tmp_path):
    """The guard ends it as soon as the pipe that the run holds is closed."""
    code = (
        "import sys, time; from pathlib import Path; from recgan.live.children import guarded\n"
        "sleep = ['-c', 'import time; time.sleep(100)']\n"
        "with guarded(Path(sys.argv[1]), sleep, sys.stderr.buffer) as child:\n"
        "    print(child.pid, flush=True); time.sleep(100)"
    )
    command = [sys.executable, "-c", code, str(ROOT)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    guard = psutil.Process(int(run.stdout.readline()))
    until = time.monotonic() + 30
    while not guard.children() and time.monotonic() < until:
        time.sleep(0.05)
    (child,) = guard.children()
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    _, alive = psutil.wait_procs([guard, child], timeout=30)
    assert not alive


def test_the_project_of_a_month_has_all_that_its_stages_read_and_no_stage_makes(tmp_path):
    for name in ("src", "flows", "dvc.yaml", "forgotten.json", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    place = make_project(tmp_path)
    stages = [stage.get("do", stage) for stage in read_yaml(place / "dvc.yaml")["stages"].values()]
    made = {
        next(iter(out)) if isinstance(out, dict) else out for one in stages for out in one.get("outs", [])
    }
    read = {one for stage in stages for one in stage.get("deps", []) if "$" not in one} - made
    folders = {str(Path(out).parent) for out in made if "$" in out}
    assert "forgotten.json" in read
    assert [one for one in sorted(read - folders) if not (place / one).exists()] == []
