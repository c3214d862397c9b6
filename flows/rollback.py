"""Rollback: the champion before comes back, with who, when and why on the record."""

import argparse
import sys
from pathlib import Path

from flows.preflight import prepare
from recgan.core import layout

prepare(__name__ == "__main__", arguments=True)  # before Prefect and MLflow read their settings

from prefect import flow, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.states import Completed, State  # noqa: E402

from flows.here import run_here  # noqa: E402
from flows.names import named  # noqa: E402
from flows.outside import OUTSIDE, told_cleanly  # noqa: E402
from recgan.daily.recommendations import live_now  # noqa: E402
from recgan.evaluation.plain_words import Change  # noqa: E402
from recgan.package.store import Recommenders  # noqa: E402
from recgan.package.verdict import tell_of_change  # noqa: E402
from recgan.registry.rollback import Rollback, sentence, this_user  # noqa: E402
from recgan.registry.rollback import rollback as put_previous_back  # noqa: E402
from recgan.settings import Params, load_params  # noqa: E402


@task(task_run_name="put back", **OUTSIDE)
@told_cleanly
def put_back(root: Path, params: Params, reason: str, by: str | None) -> Rollback:
    """Make the version with the alias `previous` the champion."""
    done = put_previous_back(Recommenders(root, params), reason, by or f"flow run {flow_run.get_id()}")
    tell_of_change(root, done.name, Change(done.champion, sentence(done)))
    return done


@task(task_run_name="show", cache_policy=NO_CACHE)
def show(text: str) -> None:
    """Say in an artifact what is live now."""
    create_markdown_artifact(text, key="rollback", description="What is live now")


@flow(name="rollback", flow_run_name=named("rollback"))
def rollback(reason: str, by: str | None = None, root: Path = Path()) -> State[Rollback]:
    """Make the champion before the champion again.

    Args:
        reason: why, for the record.
        by: who; the flow run when not given.
        root: the project, a folder with params.yaml.
    """
    params = load_params(root / layout.PARAMS)
    done = put_back(root, params, reason, by)
    text = live_now(root, done)
    show(text)
    return Completed(name="RolledBack", message=text, data=done)


def main() -> int:
    """Run the flow here and print what is live now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reason", required=True, help="why, for the record")
    parser.add_argument("--by", help="who; this user on this machine when not given")
    options = parser.parse_args()
    return run_here(
        lambda: rollback(options.reason, options.by or this_user(), return_state=True),
        lambda done: f"{live_now(Path(), done)}\n",
        check=load_params,
    )


if __name__ == "__main__":
    sys.exit(main())
