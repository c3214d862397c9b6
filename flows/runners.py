"""Where the parts of the nightly lists are made: a task runner of Prefect, named by the environment."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.outside import told_cleanly
from recgan.core.addresses import check_listens
from recgan.core.errors import RecganError, Unavailable
from recgan.daily.parts import Job, make, workers_asked, workers_for

log = logging.getLogger(__name__)

RUNNER, ADDRESS = "RECGAN_TASK_RUNNER", "RECGAN_TASK_RUNNER_ADDRESS"
_LOCAL = {"threads": ThreadPoolTaskRunner, "processes": ProcessPoolTaskRunner}
_INSTALLED = {"dask": "DaskTaskRunner", "ray": "RayTaskRunner"}
_PORTS = {"dask": 8786, "ray": 10001}
_ON_THIS_MACHINE = "auto"
"""An address of Ray: the one that `ray start` has started here."""
_AT_A_TIME = 8
"""Parts that one task makes at most: a package takes seconds to load, and a part a minute."""


@task(task_run_name="parts-from-{first}", cache_policy=NO_CACHE)
@told_cleanly
def make_parts(work: Callable[[], None], first: int) -> None:
    """Make some parts with a package loaded once.

    Args:
        work: makes them. Prefect and Dask look for futures in collections, entry by entry, and Dask and Ray
            take the mark off that forbids it; none looks into a callable.
        first: the number of the first one.
    """
    work()


def check_runner() -> None:
    """Check what the environment says of runners, before anything slow starts.

    Raises:
        RecganError: it names no runner, one that is not installed, one that has no address, or no number of
            workers.
        Unavailable: nobody listens at the address.
    """
    name, address = _name(), os.environ.get(ADDRESS)
    if name not in _LOCAL | _INSTALLED:
        raise RecganError(
            f"{RUNNER} is {name!r}; set it to one of {', '.join(_LOCAL | _INSTALLED)}, or leave it out"
        )
    workers_asked()
    if name in _INSTALLED:
        _installed(name)
    if address and name in _LOCAL:
        raise RecganError(
            f"{ADDRESS} is {address}, but {name} are of this machine; set {RUNNER} to dask or ray, or leave "
            f"{ADDRESS} out"
        )
    if address == _ON_THIS_MACHINE and name != "ray":
        raise RecganError(
            f"{ADDRESS} is {address}, which finds a Ray, but {RUNNER} is {name}; write tcp://host:8786"
        )
    if address and address != _ON_THIS_MACHINE:
        remedy = f"start {name} there, or leave {ADDRESS} out: one is then started here"
        check_listens(ADDRESS, address, _PORTS[name], remedy)


def side_by_side(job: Job, numbers: Sequence[int]) -> None:
    """Have parts made by a task runner, several at a time, each maker with its own loaded package.

    Raises:
        RecganError: the package does not answer, makers lack a module, or the environment is as in
            `check_runner`.
        Unavailable: its process was hindered, the runner does not start, or it lost a maker.
    """
    workers = workers_for(job)
    size = max(1, min(_AT_A_TIME, -(-len(numbers) // workers)))
    bundles = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    log.info("%s parts, %s at a time", f"{len(numbers):,}", workers)
    asked = [{"work": partial(make, job, few), "first": few[0]} for few in bundles]
    with ExitStack() as stack:
        try:
            for future in _begun(stack, min(workers, len(bundles)), asked):
                future.result()
        except BaseException as error:
            job.parts.stop()  # the end of the runner waits for what it has begun
            if lacks := _module_missing(error):
                raise RecganError(
                    f"{RUNNER} is {_name()}, whose makers have no module {lacks}; start them with "
                    f"PYTHONPATH={Path.cwd()}, in a Python that has recgan"
                ) from error
            if _is_of_a_cluster(error):
                raise Unavailable(
                    f"{RUNNER} is {_name()}, which lost a maker of parts, as where memory is full "
                    f"({_said(error)}); run this again: it goes on after the parts that are finished"
                ) from error
            raise


def _begun(stack: ExitStack, workers: int, asked: list[dict[str, Any]]) -> list[PrefectFuture[None]]:
    try:
        runner = stack.enter_context(_runner(workers))
        return [runner.submit(make_parts, parameters) for parameters in asked]
    except RecganError:
        raise
    except Exception as error:  # of a library's own kinds
        address = os.environ.get(ADDRESS)
        there = f" at {address}, with RAY_AUTH_MODE=token where a Ray asks for one" if address else ""
        raise Unavailable(
            f"{RUNNER} is {_name()}, which does not start ({_said(error)}); see that it runs{there}, or "
            f"leave {RUNNER} out"
        ) from error


def _module_missing(error: BaseException | None) -> str | None:
    """Return the module without which a maker elsewhere could not read what it got; else None."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__
    return None if error is None else error.name


def _is_of_a_cluster(error: BaseException) -> bool:
    return isinstance(error, BrokenExecutor) or type(error).__module__.split(".")[0] in ("distributed", "ray")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _runner(workers: int) -> TaskRunner[Any]:
    name, address = _name(), os.environ.get(ADDRESS)
    if name in _LOCAL:
        return _LOCAL[name](max_workers=workers)
    if name == "dask":
        here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        return _installed(name)(**({"address": address} if address else {"cluster_kwargs": here}))
    if address:
        return _installed(name)(init_kwargs={"address": address})  # its own `address` takes none for auto
    here = {"address": "local", "num_cpus": workers, "include_dashboard": False}
    return _installed(name)(init_kwargs=here)


def _installed(name: str) -> Any:
    try:
        return getattr(import_module(f"prefect_{name}"), _INSTALLED[name])
    except ImportError:
        raise RecganError(
            f"{RUNNER} is {name}, but prefect-{name} is not installed; pip install 'recgan[{name}]', or "
            f"leave {RUNNER} out"
        ) from None


def _name() -> str:
    return os.environ.get(RUNNER) or "threads"
