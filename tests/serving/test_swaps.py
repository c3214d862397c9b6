"""From no champion to a new one while requests run; metrics; the server as a process."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from recgan.core.errors import RecganError
from recgan.package import store
from recgan.package.packaged import write_items
from recgan.registry import versions
from recgan.serving import champion as champion_module
from recgan.serving.app import create_app
from recgan.serving.champion import ChampionWatch
from tests.package.conftest import shop_features
from tests.serving.conftest import LIMIT, buying, ids, promote, register, until


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0] == name)


def test_without_a_champion_it_lives_but_is_not_ready(store_env):
    with TestClient(create_app("nobody", poll_seconds=3600)) as client:
        until(lambda: "has no champion" in client.get("/ready").json()["problem"])
        assert client.get("/health").json() == {"status": "ok"}
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["ready"], ready.json()["model"]) == (503, False, None)
        for answer in (
            client.post("/recommend", json={"history": buying(1)}),
            client.get("/similar?item_id=item-1"),
        ):
            assert answer.status_code == 503
            assert (
                "nobody has no champion yet; a version becomes one by passing the gate"
                in answer.json()["detail"]
            )
            assert answer.headers["retry-after"]


def test_a_moved_alias_is_swapped_in_without_a_failed_request(shop):
    promote(shop, "1")
    with TestClient(create_app(shop, poll_seconds=0.1)) as client:
        until(lambda: client.get("/ready").status_code == 200)
        seen, answers = [], {}
        for target in ("2", "1", "2", "1"):
            promote(shop, target)
            ends = time.monotonic() + LIMIT
            while not seen or seen[-1] != target:
                assert time.monotonic() < ends
                answer = client.post("/recommend", json={"history": buying(4, 10), "k": 5})
                assert answer.status_code == 200
                version = answer.json()["model"]["version"]
                assert answer.headers["x-recgan-model-version"] == version
                assert answers.setdefault(version, ids(answer.json())) == ids(answer.json())
                seen.append(version)
        changes = [b for a, b in pairwise(seen) if a != b]
        assert changes == ["2", "1", "2", "1"]
        assert answers["1"] != answers["2"]  # the second one does not know this taste
        assert metric(client, "recgan_model_swaps_total") == 5
        assert metric(client, "recgan_model_version") == 1


def test_a_version_that_does_not_work_is_not_swapped_in(shop, monkeypatch):
    promote(shop, "1")
    watch = ChampionWatch(shop)
    watch.look()
    assert (watch.serving.model.version, watch.problem) == ("1", None)
    good, calls = store.load_champion, []

    def broken(root, name):
        calls.append(name)
        loaded = good(root, name)
        loaded.packaged.recommender.score = lambda user_items, ages: 1 / 0
        return loaded

    monkeypatch.setattr(store, "load_champion", broken)
    promote(shop, "2")
    watch.look()
    watch.look()
    assert len(calls) == 1  # not again at every look
    assert watch.serving.model.version == "1"
    assert "version 2" in watch.problem
    assert "ZeroDivisionError" in watch.problem
    monkeypatch.setattr(store, "load_champion", good)
    monkeypatch.setattr(champion_module.time, "monotonic", lambda: 1e12)
    watch.look()
    assert (watch.serving.model.version, watch.problem) == ("2", None)
    promote(shop, "1")


def test_a_registry_that_does_not_answer_leaves_the_old_version_serving(shop, monkeypatch):
    promote(shop, "1")
    problems = []
    watch = ChampionWatch(shop, on_problem=lambda: problems.append(1))
    watch.look()

    def gone(root, name):
        raise RecganError("the database is gone")

    with monkeypatch.context() as patch:
        patch.setattr(versions, "champion_version", gone)
        watch.look()
    assert watch.serving.model.version == "1"
    assert "the database is gone" in watch.problem
    assert problems == [1]
    watch.look()
    assert watch.problem is None


def test_a_registry_that_was_made_anew_or_restored_is_noticed_by_the_run_behind_the_number(
    params,
    empty_database,
    tmp_path,
    monkeypatch,
):
    """A server's open connection would go on reading the removed file, and version 1 is version 1 again."""
    database, away = tmp_path / "mlflow.db", tmp_path / "backup.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    shutil.copy(empty_database, database)
    promote("restored", register(tmp_path / "good", params, "restored"))
    watch = ChampionWatch("restored")
    watch.look()
    first = watch.serving
    assert (first.model.version, watch.problem) == ("1", None)
    database.rename(away)
    watch.look()
    assert watch.serving is first
    assert "is gone" in watch.problem
    shutil.copy(empty_database, database)
    promote("restored", register(tmp_path / "poor", params, "restored", good_tastes=3))
    watch.look()
    assert (watch.serving.model.version, watch.problem) == ("1", None)
    assert watch.serving is not first
    away.replace(database)
    newer = watch.serving
    watch.look()
    assert watch.serving is not newer
    seen = watch.serving
    watch.look()
    assert watch.serving is seen  # the same one is not loaded again


def test_a_failing_model_is_answered_by_popularity_and_counted(shop):
    promote(shop, "1")
    with TestClient(create_app(shop, poll_seconds=3600)) as client:
        until(lambda: client.get("/ready").status_code == 200)
        assert metric(client, "recgan_fallbacks_total") == 0
        packaged = client.app.state.watch.serving.packaged
        popular = packaged.item_ids[np.argsort(-packaged.popularity, kind="stable")]
        packaged.recommender.score = lambda user_items, ages: 1 / 0
        answer = client.post("/recommend", json={"history": buying(1), "k": 48})
        assert answer.status_code == 200
        assert answer.headers["x-recgan-fallback"] == "true"
        assert answer.json()["fallback"] is True
        assert ids(answer.json()) == [item for item in popular if item != "item-1"]
        assert client.get("/similar?item_id=item-1").json()["fallback"]
        assert metric(client, "recgan_fallbacks_total") == 2


def test_health_does_not_wait_for_a_slow_model(shop):
    promote(shop, "1")
    with TestClient(create_app(shop, poll_seconds=3600)) as client:
        served = client.app.state.watch.serving
        served.takes = lambda length: 1.0
        begun, go_on, score = threading.Event(), threading.Event(), served.packaged.recommender.score

        def slow(user_items, ages):
            begun.set()
            assert go_on.wait(LIMIT)
            return score(user_items, ages)

        served.packaged.recommender.score = slow
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.post, "/recommend", json={"history": buying(1)})
            assert begun.wait(LIMIT)
            assert client.get("/health").status_code == 200
            assert client.get("/ready").status_code == 200
            assert not asked.done()
            go_on.set()
            assert (asked.result().status_code, asked.result().json()["fallback"]) == (200, False)


def test_requests_are_counted_by_path_and_status(shop):
    with TestClient(create_app(shop, poll_seconds=3600)) as client:
        until(lambda: client.get("/ready").status_code == 200)
        for request in ({"history": []}, {"history": []}, {"k": 0}):
            client.post("/recommend", json=request)
        client.get("/no/such/path")
        assert metric(client, 'recgan_requests_total{path="/recommend",status="200"}') == 2
        assert metric(client, 'recgan_requests_total{path="/recommend",status="422"}') == 1
        assert metric(client, 'recgan_requests_total{path="other",status="404"}') == 1
        assert metric(client, 'recgan_request_seconds_count{path="/recommend"}') == 3


def test_an_older_package_answers(shop, tmp_path):
    """Before catalogue, confidences and shoppers were packaged."""
    from recgan.core.files import read_json, write_json
    from recgan.package.packaged import PackagedRecommender

    write_items(shop_features().items, tmp_path / "items.json")
    content = read_json(tmp_path / "items.json")
    write_json(tmp_path / "items.json", {name: content[name] for name in ("item_ids", "popularity")})
    newer = store.load_champion(Path(), shop).packaged
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recgan.package.packaged.load_recommender", lambda folder: newer.recommender)
        older = PackagedRecommender.load(tmp_path, tmp_path / "items.json")
    assert (older.catalogue, older.confidence, older.shoppers) == (None, None, None)
    assert older.recommend([["item-1"]]) == newer.recommend([["item-1"]])


def test_serving_a_student_imports_no_torch(tmp_path):
    """In a process of its own, with all that serving imports."""
    from recgan.recommenders.student.recommender import Student
    from tests.recommenders.test_student import of_real_rows

    features, folder = shop_features(), tmp_path / "recommender"
    folder.mkdir()
    Student(of_real_rows()).fit(features.train).save(folder)
    write_items(features.items, tmp_path / "items.json")
    code = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from recgan.package import store
from recgan.registry import versions
from recgan.package.packaged import PackagedRecommender
from recgan.serving.app import create_app
folder = Path(sys.argv[1])
versions.champion_version = lambda root, name: versions.VersionId("1", "run")
store.load_champion = lambda root, name: store.Champion(
    versions.VersionId("1", "run"), PackagedRecommender.load(folder / "recommender", folder / "items.json")
)
app = create_app("shop")
app.state.watch.look()
client = TestClient(app)
answer = client.post("/recommend", json={"history": [{"item_id": "item-1"}], "k": 3})
print(answer.status_code, answer.json()["fallback"], "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["200", "False", "False"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_recgan_serve_answers_and_ends(shop, tmp_path, workers):
    promote(shop, "1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "recgan", "serve", "--name", shop, "--port", str(port)]
    command += ["--workers", str(workers), "--poll-seconds", "0.5"]
    url = f"http://127.0.0.1:{port}"

    def get(path):
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            return answer.read().decode()

    def is_ready():
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return all(json.loads(get("/ready"))["ready"] for _ in range(10))
        except (urllib.error.URLError, OSError):
            return False

    with (tmp_path / "log").open("w+b") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=dict(os.environ))
        try:
            until(is_ready)
            request = urllib.request.Request(
                url + "/recommend",
                json.dumps({"history": buying(1)}).encode(),
                headers={"Content-Type": "application/json"},
            )
            for _ in range(10):
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert json.load(answer)["fallback"] is False
            assert 'recgan_requests_total{path="/recommend",status="200"} 10.0' in get("/metrics")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGTERM)
