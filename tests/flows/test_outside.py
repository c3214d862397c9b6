"""What a task says of what is outside: without passwords, and tried again or not as before."""

import importlib

import pytest
from prefect import Task

from flows.outside import told_cleanly
from recgan.core.errors import RecganError, Unavailable

SECRET = "http://bob:hunter2SECRET@host/x"


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (ValueError(f"no answer from {SECRET}"), RecganError, "ValueError: no answer from http://***@host/x"),
        (ConnectionError(SECRET), Unavailable, "ConnectionError: http://***@host/x"),
        (ValueError("nothing secret"), ValueError, "nothing secret"),
        (ConnectionError("refused"), ConnectionError, "refused"),
        (Unavailable(SECRET), Unavailable, "http://***@host/x"),
    ],
)
def test_an_error_keeps_its_meaning_and_loses_its_password(raised, kind, says):
    def task(number: int) -> int:
        raise raised

    with pytest.raises(kind) as caught:
        told_cleanly(task)(1)
    assert (type(caught.value), str(caught.value)) == (kind, says)
    assert told_cleanly(lambda number: number)(3) == 3


@pytest.mark.parametrize("flow", ["retrain", "recommend", "monitor", "rollback", "images"])
def test_every_task_that_goes_outside_is_told_cleanly(flow):
    tasks = [one for one in vars(importlib.import_module(f"flows.{flow}")).values() if isinstance(one, Task)]
    outside = [one for one in tasks if one.retry_condition_fn is not None]
    assert outside
    assert all(hasattr(one.fn, "__wrapped__") for one in outside)
