"""The deployments of prefect.yaml by name, and whether one that a server has is this project's."""

import os
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

RETRAIN = "retrain/nightly"
RECOMMEND = "recommend/nightly"

_FOLDER_STEP = "prefect.deployments.steps.set_working_directory"


def find(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    """Return the deployment of a name (flow/deployment), None where there is none."""
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def of_this_project(client: SyncPrefectClient, name: str) -> tuple[DeploymentResponse | None, str]:
    """Return the deployment of a name if it works in this project, and else why there is none.

    A server may serve several projects, and any project may have a flow named retrain. Ours has the
    entrypoint of prefect.yaml. It works in this process's folder, or in RECGAN_ROOT where the worker sees
    that folder under another path.
    """
    found, flow = find(client, name), name.partition("/")[0]
    if found is None:
        others = client.read_deployments(flow_filter=FlowFilter.model_validate({"name": {"any_": [flow]}}))
        listed = ", ".join(sorted(f"{flow}/{other.name}" for other in others))
        return None, f"the server has no deployment {name}" + (f", only {listed}" if listed else "")
    if found.entrypoint != f"flows/{flow}.py:{flow}":
        return None, f"the deployment {name} is another project's: it runs {found.entrypoint}"
    folders = [
        step[_FOLDER_STEP].get("directory", "") for step in found.pull_steps or [] if _FOLDER_STEP in step
    ]
    ours = {str(Path.cwd()), str(Path(os.environ.get("RECGAN_ROOT") or ".").resolve())}
    if folders and str(Path(folders[-1]).resolve()) not in ours:
        return None, f"the deployment {name} is another project's: it works in {folders[-1]}"
    return found, ""
