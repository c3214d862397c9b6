"""How tasks that need something outside are run: tried again where it did not answer, and told cleanly."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import State
from prefect.tasks import exponential_backoff

from recgan.core.errors import RecganError, Unavailable
from recgan.core.redact import clean

P = ParamSpec("P")
T = TypeVar("T")


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


def told_cleanly(function: Callable[P, T]) -> Callable[P, T]:
    """Raise what quotes a password without it: Prefect keeps an error's text as the state's message."""

    @wraps(function)
    def told(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except RecganError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if clean(said) == said:
                raise
            kind = Unavailable if isinstance(error, ConnectionError) else RecganError
            raise kind(said) from None

    return told
