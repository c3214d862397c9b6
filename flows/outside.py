"""How tasks that need something outside are run: tried again where it did not answer."""

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import State
from prefect.tasks import exponential_backoff

from recgan.errors import Unavailable


def is_transient(task: Task[..., object], run: TaskRun, state: State) -> bool:
    """Tell whether trying again may help: something outside did not answer."""
    return isinstance(state.result(raise_on_failure=False), Unavailable | ConnectionError)


OUTSIDE: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 4,
    "retry_delay_seconds": exponential_backoff(15),
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": is_transient,
}
"""Options of a task that needs something outside; every such task may run twice without harm."""
