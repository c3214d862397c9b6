"""The tasks that take any domain's training to its champion: register, judge, promote."""

from collections.abc import Callable, Iterable

from prefect import task
from prefect.runtime import flow_run

from flows.outside import OUTSIDE, told_cleanly
from recgan.registry import promotion
from recgan.registry.domain import Domain
from recgan.registry.enrol import Registered, enrol

Move = Callable[[Domain, str, promotion.Judgement], promotion.Promotion]


@task(task_run_name="register", **OUTSIDE)
@told_cleanly
def register(domain: Domain) -> Registered:
    """Register what was trained; a training that has a version keeps it."""
    return enrol(domain, flow_run.get_id())


@task(task_run_name="judge", **OUTSIDE)
@told_cleanly
def judge(domain: Domain, version: str) -> promotion.Judgement:
    """Measure challenger and champion anew and let the gate decide."""
    return promotion.judge(domain, version)


@task(task_run_name="promote", **OUTSIDE)
@told_cleanly
def promote(domain: Domain, version: str, judgement: promotion.Judgement, move: Move) -> promotion.Promotion:
    """Move the aliases as the gate decided."""
    return move(domain, version, judgement)


def through_the_gate(
    domain: Domain, after: Iterable[object], move: Move = promotion.promote
) -> promotion.Promotion:
    """Register a training, let the gate judge it, and promote it if it passes.

    Args:
        domain: with the training.
        after: states and results of what came before, for Prefect's graph.
        move: what is done with a version that passes.
    """
    registered = register(domain, wait_for=after)
    judgement = judge(domain, registered.version, wait_for=[registered])
    return promote(domain, registered.version, judgement, move)
