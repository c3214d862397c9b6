"""MLflow's scoring server answers with the champion, over HTTP."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from recgan.core.errors import RecganError
from recgan.package.store import Recommenders
from recgan.registry import servers
from recgan.registry.enrol import enrol
from recgan.registry.tracking import connect
from tests.package.conftest import ITEMS, TASTES, make_project


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(params, store_env, port, tmp_path):
    """`recgan serve-model` on a champion, from an empty working directory."""
    root = make_project(tmp_path / "project", params, good_tastes=TASTES)
    registered = enrol(Recommenders(root, params))
    connect().set_registered_model_alias(params.register_.name, "champion", registered.version)
    command = [
        sys.executable,
        "-m",
        "recgan",
        "serve-model",
        "--name",
        params.register_.name,
        "--port",
        str(port),
    ]
    with (tmp_path / "server.log").open("w+b") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=log, stderr=log, env=dict(os.environ), start_new_session=True
        )
        try:
            for _ in range(480):
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                        break
                except OSError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def post(url, content):
    request = urllib.request.Request(
        url, json.dumps(content).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
def test_the_champion_answers_over_http(server):
    histories = [[["item-1", "item-7", "no such item"]], [[]]]
    known, empty = post(
        server, {"dataframe_split": {"columns": ["history"], "data": histories}, "params": {"k": 3}}
    )
    assert known["item_ids"] == ["item-13", "item-19", "item-25"]
    assert known["scores"] == sorted(known["scores"], reverse=True)
    assert len(empty["item_ids"]) == 3
    [seen] = post(
        server,
        {"dataframe_records": [{"history": ["item-1", "item-7"]}], "params": {"k": 1, "exclude_seen": False}},
    )
    assert seen["item_ids"] == ["item-1"]
    [everything] = post(server, {"dataframe_records": [{"history": ["item-1"]}], "params": {"k": 10_000}})
    assert len(everything["item_ids"]) == ITEMS - 1
    question = {"history": ["item-1", "item-2"], "confidence": [0.5, 4.0]}
    [confident] = post(server, {"dataframe_records": [question]})
    assert confident["item_ids"][0] == "item-8"
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(server, {"dataframe_records": [{"history": ["item-1"]}], "params": {"k": 0}})
    assert refused.value.code == 400
    assert "k is 0; ask for at least 1 item" in refused.value.read().decode()


def test_the_pages_take_the_registrys_address_from_the_environment(monkeypatch):
    """Every user of the machine can read a command line, and the address may hold a password."""
    address = "postgresql://bob:hunter2SECRET@127.0.0.1/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")
    became = []
    monkeypatch.setattr(os, "execve", lambda *given: became.append(given))
    monkeypatch.setattr(servers, "check_registry", lambda: None)
    servers.ui(5000)
    [(_, command, environment)] = became
    assert not any("hunter2SECRET" in word for word in command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == address


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://bob:hunter2SECRET@127.0.0.1:9", "a tracking server, which shows its pages itself"),
        ("postgresql://bob:hunter2SECRET/x@127.0.0.1:9/mlflow", "write @ as %40"),
        ("redis://bob:hunter2SECRET@127.0.0.1:9", "MLFLOW_TRACKING_URI is redis"),
    ],
)
def test_the_pages_do_not_begin_where_mlflow_would_show_the_address(address, says, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("MLflow was started"))
    with pytest.raises(RecganError, match=says) as refused:
        servers.ui(5000)
    assert "hunter2SECRET" not in str(refused.value)
