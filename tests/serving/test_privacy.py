"""Who may ask under which name, and what of a shopper's history an answer tells."""

import sys
import threading
import time

import pytest
from fastapi.testclient import TestClient

from recgan.registry import versions
from recgan.serving import champion as champion_module
from recgan.serving import server as server_module
from recgan.serving.app import create_app
from recgan.serving.champion import ChampionWatch
from recgan.serving.server import allowed_hosts, is_allowed, may_see_histories
from tests.package.conftest import ITEMS, TASTES, shop_features
from tests.serving.conftest import buying, ids, promote, until

CATEGORIES = [f"taste-{taste}" for taste in range(TASTES)]


def opened(shop, exposure, host="testserver", hosts=None):
    return TestClient(
        create_app(shop, poll_seconds=3600, exposure=exposure, hosts=hosts),
        base_url=f"http://{host}",
        raise_server_exceptions=False,
    )


def history_of(row):
    features = shop_features()
    return {f"item-{item}" for item in (features.test.history + features.test.held_out)[[row]].indices}


def told(client, row):
    """Read what the difference between with and without the seen tells, filter by filter."""
    found = set()
    filters = [{"categories": [one]} for one in CATEGORIES] + [
        {"min_price": low, "max_price": low + 3} for low in range(ITEMS)
    ]
    for some in [{}, *filters]:
        asked = {"user_id": f"user-{row}", "k": ITEMS} | some
        both = [client.post("/recommend", json=asked | {"exclude_seen": seen}) for seen in (True, False)]
        if {answer.status_code for answer in both} == {200}:
            found |= set(ids(both[1].json())) - set(ids(both[0].json()))
    return found


@pytest.mark.parametrize(
    ("exposure", "host", "tells"),
    [
        ("none", "127.0.0.1", False),
        ("local", "shop.example", False),
        ("local", "127.0.0.1:8000", True),
        ("any", "shop.example", True),
    ],
)
def test_a_history_is_told_to_those_alone_who_may_see_it(shop, exposure, host, tells):
    promote(shop, "1")
    with opened(shop, exposure, host) as client:
        for row in (3, 7):
            assert told(client, row) == (history_of(row) if tells else set())
        refused = client.post("/recommend", json={"user_id": "nobody", "exclude_seen": False})
        assert refused.status_code == (200 if tells else 403)  # known or not: the refusal tells nothing
        if not tells:
            assert "RECGAN_SERVE_TOKEN" in refused.json()["detail"]
        # Of a history that is given there is nothing to tell.
        given = {"history": buying(1), "exclude_seen": False, "k": ITEMS}
        assert len(ids(client.post("/recommend", json=given).json())) == ITEMS


@pytest.mark.parametrize(
    "telling",
    [
        {"categories": ["taste-1"]},
        {"categories": []},
        {"min_price": 4},
        {"max_price": 4},
        {"history": buying(1)},
        {"exclude_seen": False},
    ],
)
def test_a_list_for_a_shopper_cannot_be_narrowed_to_what_was_seen(shop, telling):
    promote(shop, "1")
    with opened(shop, "none") as client:
        refused = client.post("/recommend", json={"user_id": "user-7"} | telling)
        assert refused.status_code == 403
        assert next(iter(telling)) in refused.json()["detail"]
        # Of a stranger the same: the refusal does not tell who is known.
        assert client.post("/recommend", json={"user_id": "nobody"} | telling).text == refused.text


def test_the_length_of_a_list_does_not_depend_on_the_history(shop):
    promote(shop, "1")
    with opened(shop, "none") as client:
        for user in ("user-3", "user-7", "nobody"):
            answer = client.post("/recommend", json={"user_id": user, "k": ITEMS})
            assert len(ids(answer.json())) == ITEMS // 10


def test_a_back_end_with_the_token_may_ask_for_anything(shop, monkeypatch):
    promote(shop, "1")
    monkeypatch.setenv("RECGAN_SERVE_TOKEN", "s3cr3t-of-the-shop")
    with opened(shop, "none") as client:
        asked = {"user_id": "user-7", "exclude_seen": False, "k": ITEMS}
        for wrong in ("", "s3cr3t-of-the-shop", "Bearer ", "Bearer s3cr3t-of-the-shoq", "Bearer é"):
            headers = {"Authorization": wrong.encode("latin-1")}
            assert client.post("/recommend", json=asked, headers=headers).status_code == 403
        right = {"Authorization": "Bearer s3cr3t-of-the-shop"}
        answer = client.post("/recommend", json=asked, headers=right)
        assert len(ids(answer.json())) == ITEMS
    monkeypatch.setenv("RECGAN_SERVE_TOKEN", "")
    with opened(shop, "none") as client:
        empty = client.post("/recommend", json=asked, headers={"Authorization": "Bearer "})
        assert empty.status_code == 403


def test_what_is_allowed_is_a_name(monkeypatch):
    monkeypatch.delenv("RECGAN_ALLOWED_HOSTS", raising=False)
    monkeypatch.setenv("RECGAN_HOST", "0.0.0.0")
    assert allowed_hosts() is None
    monkeypatch.delenv("RECGAN_HOST")
    assert allowed_hosts() == ()
    monkeypatch.setenv("RECGAN_ALLOWED_HOSTS", "Shop.example:*, *.intern , 10.0.0.5:80")
    allowed = allowed_hosts()
    for host in (
        "shop.example",
        "SHOP.example:8000",
        "a.intern:1",
        "10.0.0.5",
        "127.0.0.1",
        "[::1]:8000",
        "",
    ):
        assert is_allowed(host, allowed), host
    for host in ("evil.example", "shop.example.evil.example", "intern", "127.0.0.1.evil.example", "0.0.0.0"):
        assert not is_allowed(host, allowed), host
    assert may_see_histories("local", "LOCALHOST:8000")
    assert not may_see_histories("local", "shop.example")
    assert not may_see_histories("none", "localhost")


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json", "/explorer", "/similar"])
def test_on_loopback_another_name_is_refused_everywhere(path):
    with opened("nobody", "local", "rebound.example", hosts=("shop.example",)) as client:
        answer = client.get(path)
        assert answer.status_code == 403
        assert "RECGAN_ALLOWED_HOSTS" in answer.json()["detail"]
        assert client.get(path, headers={"Host": "Shop.Example:80"}).status_code in (200, 403, 422, 503)
        assert "RECGAN_ALLOWED_HOSTS" not in client.get(path, headers={"Host": "shop.example"}).text
        assert client.post("/recommend", json={"history": []}).status_code == 403


PASSWORD = "hunter2SECRET"


@pytest.mark.parametrize(
    "uri",
    [
        f"http://bob:{PASSWORD}@127.0.0.1:9",
        f"http://bob:a%2F{PASSWORD}@127.0.0.1:9",
        f"b:{PASSWORD}@h",
    ],
)
def test_no_answer_shows_the_registrys_password(uri, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with opened("nobody", "any") as client:
        for path in ("/ready", "/similar?item_id=a", "/explorer/api/state", "/metrics"):
            assert PASSWORD.lower() not in client.get(path).text.lower()
        for path in ("/recommend", "/explorer/api/lists"):
            answer = client.post(path, json={"history": []})
            assert answer.status_code == 503
            assert PASSWORD.lower() not in answer.text.lower()
        assert client.get("/ready").json()["problem"]
    assert PASSWORD.lower() not in caplog.text.lower()


def test_a_foreign_error_is_cleaned_where_it_is_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)

    def failing(root, name):
        raise OSError(f"403 for {PASSWORD}")

    monkeypatch.setattr(versions, "champion_version", failing)
    monkeypatch.setattr(versions, "challenger", failing)
    with opened("nobody", "any") as client:
        for text in (client.get("/ready").text, client.get("/explorer/api/state").text):
            assert "403 for ***" in text
            assert PASSWORD not in text


@pytest.mark.parametrize("stop", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_the_thread_outlives_whatever_a_library_raises(monkeypatch, stop):
    looks = []

    def ends(root, name):
        looks.append(1)
        raise stop

    monkeypatch.setattr(versions, "champion_version", ends)
    watch = ChampionWatch("nobody", poll_seconds=0.01, on_look=lambda: None)
    watch.start()
    until(lambda: len(looks) > 2)
    assert type(stop).__name__ in watch.problem or "cannot be read" in watch.problem
    watch.stop()


def test_a_thread_that_has_ended_or_hangs_shows(monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(versions, "champion_version", lambda root, name: go_on.wait(60) and None)
    watch = ChampionWatch("nobody", poll_seconds=0.01)
    watch.start()
    assert "not loaded yet" in watch.problem
    later = champion_module.time.monotonic() + champion_module.SILENT_AFTER + 5
    monkeypatch.setattr(champion_module.time, "monotonic", lambda: later)
    assert "has not come back for 12" in watch.problem
    monkeypatch.setattr(threading, "excepthook", lambda caught: None)
    monkeypatch.setattr(watch._stopping, "wait", lambda seconds: sys.exit())
    go_on.set()
    watch._thread.join(60)
    assert "has ended; restart the server" in watch.problem


def test_the_last_look_is_a_metric_from_the_first_request_on(shop):
    with opened(shop, "none") as client:
        lines = client.get("/metrics").text.splitlines()
        [looked] = [line for line in lines if line.startswith("recgan_registry_looked_timestamp_seconds ")]
        assert abs(time.time() - float(looked.split()[1])) < 600


def test_the_command_serves_with_all_of_it(monkeypatch):
    """What uvicorn is started with, since the tests of connections start their own."""
    given = {}
    monkeypatch.setattr(server_module.uvicorn, "run", lambda app, **settings: given.update(settings))
    for name in ("RECGAN_SERVE_NAME", "RECGAN_SERVE_POLL_SECONDS", "RECGAN_SERVE_EXPLORER"):
        monkeypatch.setenv(name, "")
    server_module.serve("recgan", 0)
    assert given["http"] is server_module.BoundedConnection
    assert (given["ws"], given["log_level"], given["timeout_graceful_shutdown"]) == ("none", "error", 30)
