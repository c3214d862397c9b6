"""Deployments and automations, applied to a server: once each, however often."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from flows.automations import notification
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def names():
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        response = client._client.post("/automations/filter", json={})
    return sorted(one["name"] for one in response.json() if one["name"].startswith("recgan"))


def test_automations_are_there_once_and_notify_only_where_somebody_listens(monkeypatch):
    from flows import automations

    monkeypatch.delenv("RECGAN_ALERT_WEBHOOK", raising=False)
    for _ in range(2):
        assert automations.main() == 0
    assert names() == ["recgan: a run whose machine is gone has crashed"]
    monkeypatch.setenv("RECGAN_ALERT_WEBHOOK", "http://127.0.0.1:1/hook")
    for _ in range(2):
        assert automations.main() == 0
    assert len(names()) == 3


def test_every_state_a_flow_ends_in_is_a_sign_of_life():
    """Completed(name="Promoted") sends the event of that name, and none called Completed."""
    from flows.automations import ENDS
    from flows.summary import state_name
    from recgan.package.gate import Decision
    from recgan.package.store import Promotion

    decision = Decision(True, ())
    ended = {
        state_name(Promotion("2", promoted, already, "1", None, decision))
        for promoted, already in ((True, False), (False, True), (False, False))
    }
    written = "".join(path.read_text() for path in Path(ROOT, "src/recgan/registry").glob("*.py"))
    others = {"Published", "Unchanged", "Steady", "Drifted"}
    assert all(f'"{name}"' in written for name in others)
    assert ended | others | {"RolledBack"} <= ENDS


def test_every_deployment_names_a_flow_and_parameters_that_it_takes():
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for deployment in content["deployments"]:
        file, _, flow = deployment["entrypoint"].partition(":")
        code = f"import inspect, runpy; flow = runpy.run_path({file!r})[{flow!r}]; "
        code += f"inspect.signature(flow.fn).bind_partial(**{deployment['parameters']!r})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=None)
        assert deployment["concurrency_limit"]["limit"] == 1


def test_the_webhook_is_a_secret_of_its_block_and_is_what_is_called(monkeypatch):
    """Prefect shows the rest of a block in its pages, its answers and its events."""
    saved = []
    monkeypatch.setattr(
        CustomWebhookNotificationBlock, "save", lambda block, *_, **__: saved.append(block) or uuid4()
    )
    webhook = "https://hooks.example/T0/hunter2SECRET"
    notification(webhook, "failed")
    assert "hunter2SECRET" not in saved[0].model_dump_json()
    assert saved[0]._build_request_args("body", "subject")["url"] == webhook
