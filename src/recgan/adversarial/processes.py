"""Several processes that train together: who starts them, what the first one decides, what ends them all.

They are started as torchrun starts them, by its own agent, which ends all as soon as one has died. So nobody
waits for the dead. Each runs the same command and meets the others where it trains, or where the first one
decides something. Lightning could start them as well, but its watch over them kills without a word.
"""

import atexit
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from recgan.adversarial.settings import TrainerParams
from recgan.core.errors import RecganError, Unavailable
from recgan.core.processes import end_with_parent
from recgan.core.temporary import temporary_folder

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

T = TypeVar("T")

_LOST = 75  # the exit code of a process whose fellow is gone; EX_TEMPFAIL of sysexits.h
_PATIENCE = timedelta(days=7)
"""How long a process waits for another, which may be solving or looking at validation. The dead are not
waited for: their connections close."""
_GRACE = 5  # seconds that the others have to end when one has died
_LINGER = 5
"""Seconds for which a process whose fellow is gone stays. Whoever started them sees the fellow's end first,
which is the reason, and ends this one for it; if the fellow is on another machine, nobody here does."""

_deciding: list[bool] = []
"""Not empty while this process decides for the others."""

# torch is imported where several processes are asked for: a classical candidate needs none.


def count(trainer: TrainerParams) -> int:
    """Return how many processes train, on all machines.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    return 1 if trainer.alone else _here(trainer) * trainer.num_nodes


def are_to_be_started(trainer: TrainerParams) -> bool:
    """Say whether several processes are to train and this is none of them.

    Raises:
        RecganError: others than the trainer asks for were started, or a GPU is asked for and there is none.
    """
    asked, started = count(trainer), int(os.environ.get("WORLD_SIZE", "1"))
    if started not in (1, asked):
        raise RecganError(
            f"torchrun started {started} processes, but trainer has devices {trainer.devices} and num_nodes "
            f"{trainer.num_nodes}; let them agree"
        )
    return asked > started


def start(trainer: TrainerParams, arguments: Sequence[str]) -> None:
    """Have Python run in as many processes as the trainer has devices here, and wait for them.

    Args:
        trainer: devices, and how many machines.
        arguments: of Python, the same for each.

    Raises:
        Unavailable: one of them has died or failed; the others are ended.
        RecganError: there are several machines, and nothing says where the first one is.
        KeyboardInterrupt: Ctrl-C, which ends them all.
    """
    where = _meeting_place(trainer.num_nodes)
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    nodes, here = trainer.num_nodes, _here(trainer)
    with temporary_folder() as scratch, _silent():
        config = LaunchConfig(
            min_nodes=nodes,
            max_nodes=nodes,
            nproc_per_node=here,
            run_id="recgan",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=str(scratch)),
            shutdown_timeout=_GRACE,
            **where,
        )
        try:
            elastic_launch(config, sys.executable)(*arguments)
        except ChildFailedError as error:
            rank, failure = min(error.failures.items(), key=lambda one: _suspicion(one[1].exitcode))
            raise Unavailable(_said(rank, nodes * here, failure)) from None
        except SignalException as caught:
            if caught.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            sys.exit(128 + caught.sigval)


@contextmanager
def joined(trainer: TrainerParams) -> Iterator[None]:
    """Be one of the processes that train together; alone this does nothing.

    Of several, only the first one tells what goes on. One that is stopped, or whose fellow is gone, ends
    without a word: whoever started them says what happened.

    Raises:
        RecganError: several are to train, but this is none of them, or a GPU is asked for and there is none.
    """
    if count(trainer) == 1:
        yield
        return
    import torch

    join(trainer)
    end_with_parent()
    if not is_first():
        logging.getLogger("recgan").setLevel(logging.ERROR)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(_LOST)
    except RuntimeError as error:
        # gloo has no kind of error of its own
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
            time.sleep(_LINGER)
            sys.exit(_LOST)
        raise


def join(trainer: TrainerParams) -> None:
    """Meet the other processes.

    Raises:
        RecganError: several are to train, but this is none of them, or a GPU is asked for and there is none.
    """
    import torch
    from torch.distributed import destroy_process_group, init_process_group, is_initialized

    from recgan.adversarial.devices import pick_device

    if is_initialized():
        return
    if are_to_be_started(trainer):
        raise RecganError(
            f"{count(trainer)} processes are to train, but this is one alone; start it with torchrun "
            "--nproc-per-node, or set devices and num_nodes to 1"
        )
    device = pick_device(trainer.accelerator)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        init_process_group("nccl", timeout=_PATIENCE, device_id=device)
    else:
        init_process_group("gloo", timeout=_PATIENCE)
    atexit.register(destroy_process_group)


def is_first() -> bool:
    """Say whether this process is the one that decides and writes; alone it is."""
    return _rank() in (None, 0)


def by_first(decide: Callable[[], T]) -> T:
    """Return what the first process finds: it does the work, and tells the others, who wait.

    Within such work the first process is alone, and decides without telling.

    Args:
        decide: returns what can be pickled.

    Raises:
        RecganError: the first process raised it.
    """
    if _deciding or _rank() is None:
        return decide()
    import torch

    told: list[tuple[T | None, RecganError | None] | None] = [None]
    if is_first():
        _deciding.append(True)
        try:
            told = [(decide(), None)]
        except RecganError as error:
            told = [(None, error)]
        finally:
            _deciding.pop()
    torch.distributed.broadcast_object_list(told, src=0)
    assert told[0] is not None
    found, refusal = told[0]
    if refusal is not None:
        raise refusal
    return found  # type: ignore[return-value]  # None where that is what was found


def of_all(value: T) -> list[T]:
    """Return what each of several processes says, in their order."""
    from torch.distributed import all_gather_object, get_world_size

    said: list[T] = [value] * get_world_size()
    all_gather_object(said, value)
    return said


def _rank() -> int | None:
    """Return this process's place among those that have met; None of one alone."""
    if "torch" not in sys.modules:
        return None
    from torch.distributed import get_rank, is_available, is_initialized

    return get_rank() if is_available() and is_initialized() else None


def _here(trainer: TrainerParams) -> int:
    """Return how many processes train on this machine."""
    if trainer.devices != "auto":
        return trainer.devices
    import torch

    from recgan.adversarial.devices import pick_device

    return torch.cuda.device_count() if pick_device(trainer.accelerator).type == "cuda" else 1


def _meeting_place(nodes: int) -> dict[str, Any]:
    """Return where torchrun's agents meet.

    Raises:
        RecganError: there are several machines, and nothing says where the first one is.
    """
    if nodes == 1:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if name not in os.environ]
    if missing:
        raise RecganError(
            f"trainer.num_nodes is {nodes}, but {', '.join(missing)} is not set; set MASTER_ADDR and "
            "MASTER_PORT (of the first machine) and NODE_RANK (from 0) on each machine, or num_nodes to 1"
        )
    return {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
        "rdzv_configs": {"rank": int(os.environ["NODE_RANK"])},
    }


@contextmanager
def _silent() -> Iterator[None]:
    """Have this process log nothing, as it only waits: the agent's many loggers have levels of their own."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _suspicion(exitcode: int) -> int:
    """Order exit codes: whose failure ended the others is first, who was ended for it last."""
    if exitcode == _LOST:
        return 3
    if exitcode == -signal.SIGTERM:  # what the others are ended with
        return 2
    return 0 if exitcode < 0 else 1


def _said(rank: int, processes: int, failure: "ProcessFailure") -> str:
    """Say which process ended how."""
    which = f"process {rank + 1} of {processes} (pid {failure.pid})"
    again = "the same command goes on from the last checkpoint"
    if failure.exitcode == _LOST:
        return f"{which} lost its fellows on another machine, where the reason is; {again}"
    if failure.exitcode > 0:
        return f"{which} failed, and the others were ended; what it said stands above"
    name = failure.signal_name()
    hint = " (as the system does where memory is full)" if -failure.exitcode == signal.SIGKILL else ""
    return f"{which} was killed by {name}{hint}, and the others were ended; {again}"
