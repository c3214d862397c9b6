"""Experiment: let the second gate look at the experiment that runs, and do what it decides."""

import sys
from pathlib import Path

from flows.preflight import prepare
from recgan.core import layout

prepare(__name__ == "__main__")  # before Prefect and MLflow read their settings

from prefect import flow, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.states import Completed, State  # noqa: E402

from flows import workplace  # noqa: E402
from flows.here import run_here  # noqa: E402
from flows.names import named  # noqa: E402
from flows.outside import OUTSIDE, told_cleanly  # noqa: E402
from recgan.online import experiment as online  # noqa: E402
from recgan.online.words import report, state_name  # noqa: E402
from recgan.settings import Params, load_params  # noqa: E402


@task(task_run_name="judge", **OUTSIDE)
@told_cleanly
def judge(root: Path, params: Params) -> online.Judged | None:
    """Read the log of answers, decide, and promote, withdraw or go on."""
    return online.judge(root, params, f"flow run {flow_run.get_id()}")


@task(task_run_name="show", cache_policy=NO_CACHE)
def show(text: str) -> None:
    """Show both arms, the decision and its reasons."""
    create_markdown_artifact(text, key="experiment", description="The experiment that runs")


@flow(name="experiment", flow_run_name=named("experiment"))
def experiment(root: Path = Path()) -> State[online.Judged | None]:
    """Judge the experiment between the champion and a challenger on what shoppers did.

    Args:
        root: the project, a folder with params.yaml and the log of answers.
    """
    workplace.end_with_worker()
    params = load_params(root / layout.PARAMS)
    judged = judge(root, params)
    text = report(judged, params.register_.name)
    show(text)
    return Completed(name=state_name(judged), message=text, data=judged)


def main() -> int:
    """Run the flow here and print what it found."""
    return run_here(
        lambda: experiment(return_state=True),
        lambda judged: report(judged, load_params().register_.name) + "\n",
        check=load_params,
    )


if __name__ == "__main__":
    sys.exit(main())
