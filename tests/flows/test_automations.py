"""Deployments and automations, applied to a server: once each, however often."""

import inspect
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate

from flows.automations import FILE, automations, notifier
from recgan.core.yaml12 import read_yaml
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def names():
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return sorted(one.name for one in client.read_automations() if one.name.startswith("recgan"))


def test_automations_are_there_once_and_notify_only_where_somebody_listens(monkeypatch):
    from flows.automations import main

    crashed = "recgan: a run whose machine is gone has crashed"
    monkeypatch.delenv("RECGAN_ALERT_WEBHOOK", raising=False)
    for _ in range(2):
        assert main() == 0
    assert names() == [crashed]
    monkeypatch.setenv("RECGAN_ALERT_WEBHOOK", "http://127.0.0.1:1/hook")
    for _ in range(2):
        assert main() == 0
    told = ("a refusal", "failure", "fake accounts", "the end of an experiment")
    assert names() == [crashed, *(f"recgan: notify of {what}" for what in told)]
    monkeypatch.delenv("RECGAN_ALERT_WEBHOOK")
    assert main() == 0
    assert names() == [crashed]


@pytest.fixture
def deployed(monkeypatch):
    """Apply prefect.yaml twice, by Prefect's own command, to a server of the time before it had triggers."""
    from prefect.client.orchestration import get_client

    monkeypatch.delenv("RECGAN_ALERT_WEBHOOK", raising=False)
    automations(None)[0][0].model_copy(update={"name": "recgan: recommend after a promotion"}).create()
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="recgan", type="process"))
        environment = {
            "PREFECT_API_URL": str(client.api_url),
            "RECGAN_ROOT": str(ROOT),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        }
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        for _ in range(2):
            subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, capture_output=True)
        yield client
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)
        client.delete_work_pool("recgan")


def test_recommend_runs_once_after_a_promotion(deployed):
    from flows.automations import main

    main()
    (found,) = [one for one in deployed.read_automations() if "promotion" in one.name]
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (written,) = [one for of in content["deployments"] for one in of.get("triggers", [])]
    assert found.name == written["name"]
    assert found.trigger.expect == {"prefect.flow-run.Promoted"}
    recommend = deployed.read_deployment_by_name("recommend/nightly")
    assert [action.deployment_id for action in found.actions] == [recommend.id]


def test_every_state_a_flow_ends_in_is_a_sign_of_life():
    """Completed(name="Promoted") sends the event of that name, and none called Completed."""
    from flows.summary import state_name
    from recgan.registry.domain import Decision
    from recgan.registry.promotion import Promotion

    decision = Decision(True, ())
    ended = {
        state_name(Promotion("2", promoted, already, "1", None, decision, held))
        for promoted, already, held in (
            (True, False, None),
            (False, True, None),
            (False, False, None),
            (False, False, "it waits"),
        )
    }
    rooms = ("daily", "online")
    written = "".join(
        path.read_text() for room in rooms for path in Path(ROOT, f"src/recgan/{room}").glob("*.py")
    )
    others = {"Published", "Unchanged", "Steady", "Drifted", "NotCompared", "Warned"}
    others |= {"GoesOn", "Undecided", "NoExperiment"}
    assert all(f'"{name}"' in written for name in others)
    content = yaml.safe_load(FILE.read_text())["automations"][0]
    seen = {event.removeprefix("prefect.flow-run.") for event in content["trigger"]["expect"]}
    assert ended | others | {"RolledBack", "Completed", "Failed", "Crashed", "TimedOut", "Cancelled"} <= seen


@pytest.mark.parametrize(
    ("flow", "state", "is_told"),
    [
        *(("experiment", state, True) for state in ("Promoted", "RolledBack", "Undecided")),
        *(("experiment", state, False) for state in ("GoesOn", "NoExperiment")),
        ("retrain", "Promoted", False),
        ("rollback", "RolledBack", False),
    ],
)
def test_what_an_experiment_ends_in_is_told(flow, state, is_told):
    from prefect.server.events.schemas.automations import EventTrigger
    from prefect.server.events.schemas.events import ReceivedEvent

    content = next(one for one in read_yaml(FILE)["automations"] if one["name"].endswith("an experiment"))
    run, of = {"prefect.resource.id": "prefect.flow-run.1"}, {"prefect.resource.id": "prefect.flow.1"}
    of |= {"prefect.resource.role": "flow", "prefect.resource.name": flow}
    event = ReceivedEvent(
        occurred=datetime.now(UTC), event=f"prefect.flow-run.{state}", resource=run, related=[of], id=uuid4()
    )
    trigger = EventTrigger.model_validate({"posture": "Reactive", "threshold": 1} | content["trigger"])
    assert trigger.covers(event) is is_told


def test_every_deployment_names_a_flow_and_parameters_that_it_takes():
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for deployment in content["deployments"]:
        file, _, name = deployment["entrypoint"].partition(":")
        assert (ROOT / file).is_file()
        flow = getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)
        inspect.signature(flow.fn).bind_partial(**deployment["parameters"])
        assert deployment["concurrency_limit"]["limit"] == 1


def test_the_webhook_is_a_secret_of_its_block_and_is_what_is_called():
    """Prefect shows the rest of a block in its pages, its answers and its events."""
    webhook = "https://hooks.example/T0/hunter2SECRET"
    block = notifier(webhook)
    assert "hunter2SECRET" not in block.model_dump_json()
    assert block._build_request_args("body", "subject")["url"] == webhook
