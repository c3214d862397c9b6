"""Recommend: the champion's items for every shopper, in a file that readers never see half of."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from flows.preflight import prepare
from recgan.core import layout

prepare(__name__ == "__main__")  # before Prefect and MLflow read their settings

from prefect import flow, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.states import Completed, State  # noqa: E402

from flows import workplace  # noqa: E402
from flows.here import run_here  # noqa: E402
from flows.names import named  # noqa: E402
from flows.outside import OUTSIDE, told_cleanly  # noqa: E402
from flows.runners import check_runner, side_by_side  # noqa: E402
from recgan.core.errors import RecganError, Unavailable  # noqa: E402
from recgan.daily import behaviour, foretold, newcomers, recommendations, ruled  # noqa: E402
from recgan.data.engine import chosen  # noqa: E402
from recgan.settings import Params, load_params  # noqa: E402


@task(task_run_name="find-newcomers", **OUTSIDE)
@told_cleanly
def find_newcomers(root: Path, params: Params) -> State[str]:
    """Estimate the products that the champion does not know; where that fails, lists go out without."""
    try:
        updated = newcomers.update_newcomers(root, params)
    except Unavailable:
        raise
    except RecganError as fault:
        return Completed(name="Skipped", message=f"no new products: {fault}", data=str(fault))
    said = newcomers.sentence(updated)
    return Completed(name=newcomers.outcome(updated), message=said, data=said)


@task(task_run_name="foretell", cache_policy=NO_CACHE)
def foretell(root: Path) -> State[str]:
    """Foretell anew what shoppers do, where somebody asked for it once; lists go out all the same."""
    days = foretold.days_of(root)
    if days is None:
        return Completed(name="Skipped", message="`recgan behaviour` was never run", data="")
    try:
        said = behaviour.sentence(behaviour.behaviour(root, days))
    except RecganError as fault:
        return Completed(name="Skipped", message=f"nothing is foretold: {fault}", data=str(fault))
    return Completed(message=said, data=said)


@task(task_run_name="publish", **OUTSIDE)
@told_cleanly
def publish(
    root: Path, params: Params, k: int | None, exclude_seen: bool | None
) -> recommendations.Published:
    """Ask the champion for every shopper and put the file in place."""
    run = None if chosen() == "spark" else side_by_side
    return recommendations.recommend(root, params, k, exclude_seen, run)


@task(task_run_name="show", cache_policy=NO_CACHE)
def show(published: recommendations.Published) -> None:
    """Say in an artifact what was published."""
    create_markdown_artifact(
        recommendations.sentence(published), key="recommendations", description="The published file"
    )


@flow(name="recommend", flow_run_name=named("recommend"))
def recommend(
    root: Path = Path(), k: int | None = None, exclude_seen: bool | None = None
) -> State[recommendations.Published]:
    """Publish the champion's recommendations for every shopper; a killed run goes on where it was.

    Parts are made side by side, where RECGAN_TASK_RUNNER says, or by Spark where RECGAN_ENGINE is spark.

    Args:
        root: the project, a folder with params.yaml and data/features.
        k: items for each shopper; recommend.k of params.yaml when not given.
        exclude_seen: leave out the items of the history; as features.repeat_purchases has it when not given.
    """
    workplace.end_with_worker()
    chosen()
    check_runner()
    params = load_params(root / layout.PARAMS)
    ruled.rules_for(root, params.register_.name, datetime.now(UTC))  # a fault is told before what takes long
    find_newcomers(root, params)
    foretell(root)
    published = publish(root, params, k, exclude_seen)
    show(published)
    return Completed(
        name=recommendations.outcome(published), message=recommendations.sentence(published), data=published
    )


def check() -> None:
    """Refuse what is known to fail before a server is started for it.

    Raises:
        RecganError: the parameters or the rules of the shop have a fault, or the environment names no makers
            of the lists.
    """
    params = load_params()
    check_runner()
    ruled.rules_for(Path(), params.register_.name, datetime.now(UTC))


if __name__ == "__main__":
    sys.exit(
        run_here(
            lambda: recommend(return_state=True),
            lambda published: f"{recommendations.sentence(published)}\n",
            check=check,
        )
    )
