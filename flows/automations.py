"""Apply automations.yaml to the server that PREFECT_API_URL names: once each, however often.

    python -m flows.automations      (`make up` and `make deploy` do it)

`prefect automation create --from-file` alone would make a second automation of the same name each time, and
the file cannot name the block that notifies: each server chooses its id. RECGAN_ALERT_WEBHOOK is where
notifications are posted as JSON {"text": …}, which Slack, Mattermost and most others take; without it nobody
is notified.
"""

from recgan.core.stopped import one_line_for_ctrl_c

one_line_for_ctrl_c()  # before what takes long to import

import os  # noqa: E402
import sys  # noqa: E402
from contextlib import suppress  # noqa: E402
from pathlib import Path  # noqa: E402
from uuid import UUID  # noqa: E402

from recgan.core.environment import configure  # noqa: E402

configure()  # before Prefect reads its settings

from prefect.automations import Automation  # noqa: E402
from prefect.blocks.notifications import CustomWebhookNotificationBlock  # noqa: E402
from prefect.types import SecretDict  # noqa: E402

from recgan.core.yaml12 import read_yaml  # noqa: E402

FILE = Path(__file__).parents[1] / "automations.yaml"
_FORMER = "recgan: recommend after a promotion"  # now a trigger of the deployment, which has another name


def automations(block: UUID | None) -> tuple[list[Automation], list[str]]:
    """Return the automations of the file, and the names of those that need a block to notify by.

    Args:
        block: that notifies; None leaves out the automations that notify.
    """
    wanted, left_out = [], []
    for content in read_yaml(FILE)["automations"]:
        notifying = [action for action in content["actions"] if action["type"] == "send-notification"]
        if notifying and block is None:
            left_out.append(content["name"])
            continue
        for action in notifying:
            action["block_document_id"] = block
        wanted.append(Automation.model_validate(content))
    return wanted, left_out


def notifier(webhook: str) -> CustomWebhookNotificationBlock:
    """Return the block that posts a message to the webhook."""
    return CustomWebhookNotificationBlock(
        name="recgan",
        url="{{webhook}}",  # as a secret: Prefect shows a block's own address in its pages and events
        json_data={"text": "{{subject}}\n{{body}}"},
        secrets=SecretDict({"webhook": webhook}),
    )


def apply(automation: Automation) -> None:
    """Create an automation, or bring the one of that name up to date."""
    try:
        automation.id = Automation.read(name=automation.name).id
    except ValueError:
        automation.create()
    else:
        automation.update()


def main() -> int:
    """Create the automations of the file or bring them up to date, and remove what is no longer wanted."""
    webhook = os.environ.get("RECGAN_ALERT_WEBHOOK")
    block = None
    if webhook is None:
        sys.stdout.write("RECGAN_ALERT_WEBHOOK is not set: nobody will be notified\n")
    else:
        block = notifier(webhook).save("recgan-alerts", overwrite=True)
        assert isinstance(block, UUID)
    wanted, unwanted = automations(block)
    for automation in wanted:
        apply(automation)
        sys.stdout.write(f"automation {automation.name!r} is in place\n")
    for name in [*unwanted, _FORMER]:
        with suppress(ValueError):  # there is none
            Automation.read(name=name).delete()
            sys.stdout.write(f"automation {name!r} is removed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
