"""The flows around the champion: what they show, and when the monitor starts a retraining."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from prefect import flow

from flows import runners
from recgan.core.errors import RecganError
from recgan.daily import monitor as watch
from recgan.daily.parts import WORKERS, Job
from recgan.daily.publish import joined, opened
from recgan.daily.recommendations import Published
from recgan.registry.rollback import Rollback
from recgan.settings import load_params
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

SEEN = watch.Observation(
    name="shop",
    version="3",
    run_id="0",
    trained_until="2026-01-01T00:00:00+00:00",
    newest_from="2026-01-01T00:00:00+00:00",
    newest_until="2026-01-15T00:00:00+00:00",
    events=1000,
    drift={"events.kind": {"psi": 0.7, "jensen_shannon": 0.3}},
    shares={"coverage": 0.4},
    screened=None,
    notes=(),
)


def artifacts(state):
    """Key → type and data of the artifacts of a flow run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            flow_run_filter=FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
        )
    return {artifact.key: (artifact.type, artifact.data) for artifact in found if artifact.key}


@pytest.fixture
def started(monkeypatch):
    """What the monitor started: flows in this process, and deployments by id."""
    from flows import monitor

    calls = []
    monkeypatch.setattr(monitor, "retrain", lambda root: calls.append(("here", root)))
    monkeypatch.setattr(monitor, "run_deployment", lambda name, timeout: calls.append((name, timeout)))
    return calls


def run_monitor(monkeypatch, due, **options):
    from flows.monitor import monitor

    reasons = ("events.kind: PSI 0.700 is above 0.25",) if due else ("Nothing is beyond its limit.",)
    report = watch.Report(SEEN, due, reasons, ())
    monkeypatch.setattr(watch, "monitor", lambda root, params: report)
    return monitor(root=ROOT, return_state=True, **options)


def test_a_steady_champion_is_left_alone_and_its_figures_are_shown(started, monkeypatch):
    state = run_monitor(monkeypatch, due=False)
    assert (state.name, started) == ("Steady", [])
    shown = artifacts(state)
    assert shown["drift"][0] == "table"
    assert "0.7000" in shown["drift"][1]
    assert shown["monitor"][1].startswith("# shop version 3: no drift")


FOLDER_STEP = "prefect.deployments.steps.set_working_directory"


@contextmanager
def deployed(name="nightly", entrypoint="flows/retrain.py:retrain", folder=None):
    """Have a deployment of a flow named retrain, by default as prefect.yaml has it; yield its id."""
    from prefect.client.orchestration import get_client

    from flows.retrain import retrain

    steps = [{FOLDER_STEP: {"directory": str(folder or Path.cwd())}}]
    with get_client(sync_client=True) as client:
        made = client.create_deployment(
            client.create_flow(retrain), name, entrypoint=entrypoint, pull_steps=steps
        )
    try:
        yield made
    finally:
        with get_client(sync_client=True) as client:
            client.delete_deployment(made)


def test_drift_retrains_here_unless_there_is_a_deployment_or_one_only_looks(started, monkeypatch):
    state = run_monitor(monkeypatch, due=True, act=False)
    assert (state.name, started) == ("Drifted", [])
    state = run_monitor(monkeypatch, due=True)
    assert (state.name, started) == ("Drifted", [("here", ROOT)])
    assert "retraining is due; events.kind: PSI 0.700 is above 0.25" in state.message

    with deployed() as deployment, deployed("hourly"):
        run_monitor(monkeypatch, due=True)
    assert started[1:] == [(deployment, 0)]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"name": "hourly"}, "no deployment retrain/nightly, only retrain/hourly; retraining here"),
        ({"entrypoint": "jobs.py:retrain"}, "is another project's: it runs jobs.py:retrain"),
        ({"folder": "/srv/other-shop"}, "is another project's: it works in /srv/other-shop"),
    ],
)
def test_what_another_project_has_deployed_is_not_started(started, monkeypatch, caplog, other, says):
    monkeypatch.delenv("RECGAN_ROOT", raising=False)
    with deployed(**other), caplog.at_level("INFO", logger="prefect.flow_runs"):
        run_monitor(monkeypatch, due=True)
    assert started == [("here", ROOT)]
    assert says in caplog.text


def test_a_worker_may_see_the_project_under_another_path(started, monkeypatch):
    monkeypatch.setenv("RECGAN_ROOT", "/project")
    with deployed(folder="/project") as deployment:
        run_monitor(monkeypatch, due=True)
    assert started == [(deployment, 0)]


def test_the_names_are_those_of_prefect_yaml():
    from flows.deployments import RECOMMEND, RETRAIN

    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    flows = {
        f"{entry['entrypoint'].partition(':')[2]}/{entry['name']}": entry for entry in content["deployments"]
    }
    assert {RETRAIN, RECOMMEND} <= flows.keys()
    for name, entry in flows.items():
        flow = name.partition("/")[0]
        assert entry["entrypoint"] == f"flows/{flow}.py:{flow}"
    assert [step for entry in content["pull"] for step in entry] == [FOLDER_STEP]


@pytest.mark.parametrize(("unchanged", "name"), [(False, "Published"), (True, "Unchanged")])
def test_recommend_says_what_is_published(monkeypatch, unchanged, name):
    from flows import recommend

    content = {
        "name": "shop",
        "version": "3",
        "k": 5,
        "exclude_seen": True,
        "shoppers": 1234,
        "created": "2026-01-01T00:00:00+00:00",
    }
    asked = []

    def publish(root, params, k, exclude_seen, run):
        asked.append((root, k, exclude_seen))
        return Published(Path("recommendations/shop.parquet"), content, unchanged)

    def no_champion(root, params):
        raise RecganError("no new products today")  # the lists go out all the same

    def too_short(root, days):
        raise RecganError(f"the log is too short for {days:g} days")  # nor does this keep them back

    monkeypatch.setattr(recommend.newcomers, "update_newcomers", no_champion)
    monkeypatch.setattr(recommend.foretold, "days_of", lambda root: 9.0)
    monkeypatch.setattr(recommend.behaviour, "behaviour", too_short)
    monkeypatch.setattr(recommend.recommendations, "recommend", publish)
    state = recommend.recommend(ROOT, k=5, return_state=True)
    assert (state.name, asked) == (name, [(ROOT, 5, None)])
    assert "the 5 best items for 1,234 shoppers" in artifacts(state)["recommendations"][1]


def test_the_second_gate_says_what_it_did_and_a_quiet_day_is_no_fault(monkeypatch):
    from flows import experiment

    asked = []
    monkeypatch.setattr(experiment.online, "judge", lambda root, params, by: asked.append((root, by)))
    state = experiment.experiment(ROOT, return_state=True)
    assert (state.name, state.result()) == ("NoExperiment", None)
    assert asked == [(ROOT, f"flow run {state.state_details.flow_run_id}")]
    name = load_params(ROOT / "params.yaml").register_.name
    assert artifacts(state)["experiment"][1] == f"No experiment of {name} runs."


def test_rollback_says_what_is_live_and_a_refusal_fails_with_the_reason(monkeypatch):
    from flows import rollback

    def put_back(domain, reason, by):
        when = datetime(2026, 1, 1, tzinfo=UTC)
        return Rollback(domain.name, withdrawn="3", champion="2", by=by, reason=reason, when=when)

    monkeypatch.setattr(rollback, "put_previous_back", put_back)
    state = rollback.rollback("empty lists", root=ROOT, return_state=True)
    assert state.name == "RolledBack"
    name = load_params(ROOT / "params.yaml").register_.name
    assert f"Live now: {name} version 2" in artifacts(state)["rollback"][1]
    assert state.result().by == f"flow run {state.state_details.flow_run_id}"

    def refuse(*_):
        raise RecganError("recgan has no version before its champion (version 2), so it stays")

    monkeypatch.setattr(rollback, "put_previous_back", refuse)
    state = rollback.rollback("empty lists", root=ROOT, return_state=True)
    assert state.is_failed()
    assert "no version before its champion" in state.message


def seven_parts(folder):
    return Job(opened(folder / "shop.parquet", "key", 7), folder / "package", "shop", "1", 5, True, None)


def test_the_makers_work_at_once_and_make_every_part_once(tmp_path, monkeypatch):
    monkeypatch.setenv(WORKERS, "3")
    job = seven_parts(tmp_path)
    schema = pa.schema({"row": pa.int64()})
    together, made = threading.Barrier(3), []

    def make(job, numbers):
        together.wait(60)  # three makers, or none goes on
        for number in numbers:
            made.append(number)
            job.parts.write(number, pa.table({"row": [2 * number, 2 * number + 1]}, schema))

    monkeypatch.setattr(runners, "make", make)
    flow(runners.side_by_side, validate_parameters=False)(job, range(7))
    assert sorted(made) == list(range(7))
    whole = joined(job.parts, tmp_path / "shop.parquet", schema)
    assert pq.read_table(whole)["row"].to_pylist() == list(range(14))


def test_what_fails_is_raised_as_it_is_and_stops_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv(WORKERS, "2")
    job = seven_parts(tmp_path)

    def make(job, numbers):
        if 0 in numbers:
            raise RecganError("the champion does not answer")

    monkeypatch.setattr(runners, "make", make)
    with pytest.raises(RecganError, match=r"^the champion does not answer$"):
        flow(runners.side_by_side, validate_parameters=False)(job, range(7))
    assert job.parts.stopped
    again = opened(tmp_path / "shop.parquet", "key", 7)
    assert not again.stopped
