"""Where the parts of the nightly lists are made: a task runner of Prefect, named by the environment."""

import logging
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.outside import told_cleanly
from recgan.core.errors import RecganError
from recgan.daily.parts import Job, make, workers_asked, workers_for

log = logging.getLogger(__name__)

RUNNER, ADDRESS = "RECGAN_TASK_RUNNER", "RECGAN_TASK_RUNNER_ADDRESS"
_LOCAL = {"threads": ThreadPoolTaskRunner, "processes": ProcessPoolTaskRunner}
_INSTALLED = {"dask": "DaskTaskRunner", "ray": "RayTaskRunner"}
_AT_A_TIME = 8
"""Parts that one task makes at most: a package takes seconds to load, and a part a minute."""


@task(task_run_name="parts-from-{first}", cache_policy=NO_CACHE)
@told_cleanly
def make_parts(job: Job, numbers: Sequence[int], first: int) -> None:
    """Make some parts with a package loaded once."""
    make(job, numbers)


def check_runner() -> None:
    """Check what the environment says of runners, before anything slow starts.

    Raises:
        RecganError: it names no runner, one that is not installed, or no number of workers.
    """
    name = _name()
    if name not in _LOCAL | _INSTALLED:
        raise RecganError(
            f"{RUNNER} is {name!r}; set it to one of {', '.join(_LOCAL | _INSTALLED)}, or leave it out"
        )
    workers_asked()
    if name in _INSTALLED:
        _installed(name)


def side_by_side(job: Job, numbers: Sequence[int]) -> None:
    """Have parts made by a task runner, several at a time, each maker with its own loaded package.

    Raises:
        RecganError: the package does not answer, or the environment is as in `check_runner`.
        Unavailable: its process was hindered.
    """
    workers = workers_for(job)
    size = max(1, min(_AT_A_TIME, -(-len(numbers) // workers)))
    bundles = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    log.info("%s parts, %s at a time", f"{len(numbers):,}", workers)
    with _runner(min(workers, len(bundles))) as runner:
        try:
            # Prefect looks for futures in whatever is not quoted, entry by entry.
            asked = [{"job": quote(job), "numbers": quote(few), "first": few[0]} for few in bundles]
            for future in [runner.submit(make_parts, parameters) for parameters in asked]:
                future.result()
        except BaseException:
            job.parts.stop()  # the end of the runner waits for what it has begun
            raise


def _runner(workers: int) -> TaskRunner[Any]:
    name, address = _name(), os.environ.get(ADDRESS)
    if name in _LOCAL:
        return _LOCAL[name](max_workers=workers)
    if name == "dask":
        here = {"cluster_kwargs": {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}}
        return _installed(name)(**({"address": address} if address else here))
    return _installed(name)(**({"address": address} if address else {"init_kwargs": {"num_cpus": workers}}))


def _installed(name: str) -> Any:
    try:
        return getattr(import_module(f"prefect_{name}"), _INSTALLED[name])
    except ImportError:
        raise RecganError(
            f"{RUNNER} is {name}, but prefect-{name} is not installed; pip install prefect-{name}, or leave "
            f"{RUNNER} out"
        ) from None


def _name() -> str:
    return os.environ.get(RUNNER) or "threads"
