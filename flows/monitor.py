"""Monitor: the newest events and the published recommendations against the champion's training data."""

import sys
from pathlib import Path

from flows.preflight import prepare
from recgan.core import layout

prepare(__name__ == "__main__")  # before Prefect and MLflow read their settings

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact, create_table_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.deployments import run_deployment  # noqa: E402
from prefect.states import Completed, State  # noqa: E402

from flows import workplace  # noqa: E402
from flows.deployments import RETRAIN, of_this_project  # noqa: E402
from flows.here import run_here  # noqa: E402
from flows.names import named  # noqa: E402
from flows.outside import OUTSIDE, told_cleanly  # noqa: E402
from flows.retrain import retrain  # noqa: E402
from recgan.daily import monitor as watch  # noqa: E402
from recgan.settings import Params, load_params  # noqa: E402


@task(task_run_name="observe", **OUTSIDE)
@told_cleanly
def observe(root: Path, params: Params) -> watch.Report:
    """Measure the drift and let the limits decide."""
    return watch.monitor(root, params)


@task(task_run_name="show", cache_policy=NO_CACHE)
def show(params: Params, report: watch.Report) -> None:
    """Show the figures and what follows as artifacts."""
    create_table_artifact(
        watch.as_rows(report, params.monitor), key="drift", description=watch.sentence(report)
    )
    create_markdown_artifact(
        watch.as_markdown(report, params.monitor), key="monitor", description="What the monitor saw"
    )


def retrain_where_due(root: Path, report: watch.Report, act: bool) -> None:
    """Start this project's deployment of `retrain` without waiting for it; without one, run the flow here."""
    if not (act and report.retrain):
        return
    with get_client(sync_client=True) as client:
        deployment, why_not = of_this_project(client, RETRAIN)
    if deployment is None:
        get_run_logger().info("%s; retraining here", why_not)
        retrain(root)
    else:
        run_deployment(deployment.id, timeout=0)
        get_run_logger().info("started the deployment %s", RETRAIN)


@flow(name="monitor", flow_run_name=named("monitor"))
def monitor(root: Path = Path(), act: bool = True) -> State[watch.Report]:
    """Compare what is new with what the champion knew, and retrain where a limit is passed.

    Args:
        root: the project, a folder with params.yaml and data/kept.
        act: retrain when it is due; otherwise only say so.
    """
    workplace.end_with_worker()
    params = load_params(root / layout.PARAMS)
    report = observe(root, params)
    show(params, report)
    retrain_where_due(root, report, act)
    return Completed(name=watch.outcome(report), message=watch.sentence(report), data=report)


def main() -> int:
    """Run the flow here and print the report."""
    return run_here(
        lambda: monitor(return_state=True),
        lambda report: watch.as_markdown(report, load_params().monitor),
        check=load_params,
    )


if __name__ == "__main__":
    sys.exit(main())
