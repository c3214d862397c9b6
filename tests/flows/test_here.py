"""A flow that is run by hand: it is named by its data, and its error is said once."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import yaml
from prefect import context, flow, task
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed

from flows.here import prefect_api, run_here
from flows.names import named
from flows.retrain import check
from recgan.core.errors import RecganError
from tests.conftest import ROOT, SHOP, example


@pytest.fixture(autouse=True)
def filters():
    yield
    for kind in ("flow", "task"):
        logging.getLogger(f"prefect.{kind}_runs").filters.clear()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_an_error_is_said_once_and_a_good_end_with_its_outcome(caplog, capsys):
    @task
    def stage():
        raise RecganError("the price is -3; mend it")

    @flow
    def faulty():
        stage()

    @flow
    def good():
        return Completed(name="Promoted", message="version 1", data="live")

    assert run_here(lambda: faulty(return_state=True), str) == 1
    said = caplog.text + capsys.readouterr().err
    assert said.count("the price is -3") == 1
    assert said.count("Finished in state Failed") == 2
    assert run_here(lambda: good(return_state=True), str) == 0
    assert "Finished in state Promoted('version 1'" in caplog.text


def test_a_run_is_named_by_its_model_its_source_and_the_day(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.names.flow_run.parameters", {"root": str(tmp_path)}, raising=False)
    assert named("retrain")().startswith("retrain 20")
    (tmp_path / "params.yaml").write_text(SHOP.read_text())
    assert named("retrain")().startswith("retrain recgan (shop) 20")


def test_a_missing_file_is_known_before_a_server_is_started(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    check(tmp_path)  # the simulated shop needs no file
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(example("own-files")))
    with pytest.raises(RecganError, match=r"no file .*events.csv; put it there, or mend ingest.path"):
        check(tmp_path)


def test_every_thread_knows_the_server_of_the_run(monkeypatch):
    @contextmanager
    def server(home, starts_within):
        yield "http://127.0.0.1:1/api"

    def asked():
        with ThreadPoolExecutor(1) as pool:  # as Prefect's own, without a context
            return pool.submit(PREFECT_API_URL.value).result()

    monkeypatch.setattr(context, "GLOBAL_SETTINGS_CONTEXT", context.GLOBAL_SETTINGS_CONTEXT)  # put back
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr("flows.here.temporary_server", server)
    with temporary_settings({PREFECT_API_URL: None}):
        with prefect_api():
            assert asked() == PREFECT_API_URL.value() == "http://127.0.0.1:1/api"
        assert asked() is None
