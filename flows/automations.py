"""What happens after a flow run: notify people, recommend anew, call a lost run lost.

    python -m flows.automations      (`make up` and `make deploy` do it)

RECGAN_ALERT_WEBHOOK is where notifications are posted as JSON {"text": …}, which Slack, Mattermost and most
others take; without it nobody is notified. Applied again, nothing is there twice.
"""

import os
import sys
from datetime import timedelta
from uuid import UUID

from recgan.core.environment import configure

configure()  # before Prefect reads its settings

from prefect.automations import Automation  # noqa: E402
from prefect.blocks.notifications import CustomWebhookNotificationBlock  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.objects import StateType  # noqa: E402
from prefect.events.actions import (  # noqa: E402
    ActionTypes,
    ChangeFlowRunState,
    RunDeployment,
    SendNotification,
)
from prefect.events.schemas.automations import EventTrigger, Posture  # noqa: E402
from prefect.types import SecretDict  # noqa: E402

from flows.deployments import RECOMMEND, find  # noqa: E402

TROUBLE = {"Failed", "Crashed", "TimedOut"}
ENDS = TROUBLE | {
    *("Completed", "Cancelled"),
    *("Promoted", "NotPromoted", "AlreadyChampion"),  # retrain, images
    *("Published", "Unchanged"),  # recommend
    *("Steady", "Drifted"),  # monitor
    "RolledBack",
}
"""Names of the states that a flow run of this project ends in: events go by a state's name, not its type."""


def automations(webhook: str | None) -> list[Automation]:
    """Return the project's automations, as far as there is somewhere to notify and something to run."""
    found = [
        Automation(
            name="recgan: a run whose machine is gone has crashed",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.heartbeat"} | events(ENDS),
                match={"prefect.resource.id": "prefect.flow-run.*"},
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=timedelta(seconds=120),
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="no sign of life for two minutes")],
        )
    ]
    if webhook is not None:
        found += [
            on("recgan: notify of failure", TROUBLE, notification(webhook, "failed")),
            on("recgan: notify of a refusal", {"NotPromoted"}, notification(webhook, "was not promoted")),
        ]
    if (recommend := deployment(RECOMMEND)) is not None:
        found.append(
            on("recgan: recommend after a promotion", {"Promoted"}, RunDeployment(deployment_id=recommend))
        )
    return found


def on(name: str, states: set[str], action: ActionTypes) -> Automation:
    """Act whenever a flow run enters one of the states."""
    trigger = EventTrigger(
        expect=events(states),
        match={"prefect.resource.id": "prefect.flow-run.*"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return Automation(name=name, trigger=trigger, actions=[action])


def events(states: set[str]) -> set[str]:
    """Return the events of entering states."""
    return {f"prefect.flow-run.{state}" for state in states}


def notification(webhook: str, what: str) -> SendNotification:
    """Return a message to the webhook that names the flow run and says what its state says."""
    block = CustomWebhookNotificationBlock(
        name="recgan",
        url="{{webhook}}",  # as a secret: Prefect shows a block's own address in its pages and events
        json_data={"text": "{{subject}}\n{{body}}"},
        secrets=SecretDict({"webhook": webhook}),
    )
    block_id = block.save("recgan-alerts", overwrite=True)
    assert isinstance(block_id, UUID)
    return SendNotification(
        block_document_id=block_id,
        subject=f"recgan: {{{{ flow.name }}}} {what}",
        body="{{ flow_run.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}",
    )


def deployment(name: str) -> UUID | None:
    """Return the id of a deployment, None where there is none of that name."""
    with get_client(sync_client=True) as client:
        found = find(client, name)
    return None if found is None else found.id


def apply(automation: Automation) -> None:
    """Create an automation, or bring the one of that name up to date."""
    try:
        automation.id = Automation.read(name=automation.name).id
    except ValueError:
        automation.create()
    else:
        automation.update()


def main() -> int:
    """Apply all automations to the server that PREFECT_API_URL names."""
    webhook = os.environ.get("RECGAN_ALERT_WEBHOOK")
    if webhook is None:
        sys.stdout.write("RECGAN_ALERT_WEBHOOK is not set: nobody will be notified\n")
    for automation in automations(webhook):
        apply(automation)
        sys.stdout.write(f"automation {automation.name!r} is in place\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
