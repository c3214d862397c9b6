"""Ask a packaged model from here: its process, its answers, and what is wrong when there are none."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Timer
from typing import IO, Any

import mlflow
import pyarrow as pa

from recgan.core.errors import RecganError, Unavailable
from recgan.core.temporary import temporary_folder
from recgan.registry.manifest import DamagedPackageError, check_package
from recgan.registry.outage import outside, unavailable

Ask = Callable[[pa.RecordBatch, Mapping[str, Any]], pa.RecordBatch]
"""Asks a packaged model: a batch of questions and the parameters of the prediction in, its answers out."""

_TIMEOUT = 3600.0  # seconds for one batch
_ENDS = 30.0  # seconds for a process to end once its answers have ended


class NoAnswerError(Exception):
    """What a packaged model answers wrongly, or why it cannot be loaded: a fault of the package itself."""


@contextmanager
def fetched(model_uri: str, within: Path | None = None) -> Iterator[Path]:
    """Yield the folder of a packaged model, there for the length of the block.

    Args:
        model_uri: of MLflow, such as models:/recgan/3.
        within: where that folder lies, for other machines to see; None takes the system's.

    Raises:
        Unavailable: it cannot be fetched.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    with ExitStack() as stack:
        with outside():
            folder = stack.enter_context(temporary_folder(within))
        model = _fetch(model_uri, f"{folder}/model")
        try:
            check_package(model)
        except DamagedPackageError:  # perhaps on the way: what arrives damaged twice is damaged in the store
            model = _fetch(model_uri, f"{folder}/again")
            try:
                check_package(model)
            except DamagedPackageError as fault:
                fault.model_uri = model_uri
                raise
        yield model


def _fetch(model_uri: str, folder: str) -> Path:
    """Download a package; whatever hinders that is no fault of the package."""
    try:
        with outside():
            model = Path(mlflow.artifacts.download_artifacts(model_uri, dst_path=folder))
    except Unavailable as fault:
        raise Unavailable(f"the package {model_uri} cannot be fetched: {fault}") from fault
    except Exception as error:
        raise Unavailable(f"the package {model_uri} cannot be fetched: {unavailable(error)}") from error
    if not (model / "MLmodel").exists():  # MLflow takes a missing folder for an empty one
        raise Unavailable(
            f"the package {model_uri} cannot be fetched: the artifact store does not have its files; see "
            "that the store is there, then run this again"
        )
    return model


@contextmanager
def started(
    model: Path, questions: pa.Schema, answers: pa.Schema, threads: int | None = None
) -> Iterator[Ask]:
    """Start a packaged model in a process of its own and yield the function that asks it.

    The function takes a batch of questions and the parameters of the prediction. It raises NoAnswerError
    where the package fails or its process ends by itself, and Unavailable when something killed the process,
    memory or disk ran out, or a batch took longer than an hour.

    Args:
        model: the folder of the package.
        questions: the columns that it gets; those that its signature does not name are ignored.
        answers: the columns that it must answer with.
        threads: of the process, unless OMP_NUM_THREADS says otherwise; None takes all cores.
    """
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    if threads is not None:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    with ExitStack() as stack:
        with outside():
            folder = stack.enter_context(temporary_folder())
            said = stack.enter_context(tempfile.TemporaryFile())
            script = Path(__file__).with_name("ask.py")
            child = subprocess.Popen(
                [sys.executable, "-P", str(script), str(model.resolve()), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                cwd=folder,
                env=environment,
            )
        assert child.stdin is not None
        assert child.stdout is not None
        schema = questions.with_metadata({"answers": answers.serialize().to_pybytes()})
        to_child = pa.ipc.new_stream(child.stdin, schema)
        from_child: pa.ipc.RecordBatchStreamReader | None = None

        def answer(asked: pa.RecordBatch, params: Mapping[str, Any]) -> pa.RecordBatch:
            nonlocal from_child
            assert child.stdin is not None
            late = Event()

            def give_up() -> None:
                late.set()
                child.kill()

            watch = Timer(_TIMEOUT, give_up)
            watch.start()
            try:
                to_child.write_batch(asked, custom_metadata={"params": json.dumps(params)})
                child.stdin.flush()
                from_child = from_child or pa.ipc.open_stream(child.stdout)
                found = from_child.read_next_batch_with_custom_metadata()
            except (OSError, pa.ArrowInvalid, StopIteration):  # the pipe is closed, or ends within a batch
                if late.is_set():
                    raise Unavailable(
                        f"the packaged model took longer than {_TIMEOUT:g} s for a batch; run this again "
                        "when the machine is less busy"
                    ) from None
                raise ended(_end_of(child), _last_line(said)) from None
            finally:
                watch.cancel()
            if (error := (found.custom_metadata or {}).get(b"error")) is not None:
                raise NoAnswerError(error.decode())
            return found.batch

        try:
            yield answer
        finally:
            child.kill()
            child.wait()
            with suppress(OSError):  # a pipe that the child left full
                child.stdin.close()
            child.stdout.close()


def ended(code: int | None, last_line: str) -> RecganError | NoAnswerError:
    """Tell what hindered a packaged model's process from what the package itself did.

    Args:
        code: its exit code, below 0 for a signal; None where it went on after its answers had ended.
        last_line: what it said last.

    Returns:
        The error to raise.
    """
    if code is None:
        return NoAnswerError(f"what it writes are no answers: {last_line}")
    if code < 0:
        return Unavailable(
            f"the packaged model's process was killed by {signal.Signals(-code).name}, which is what happens "
            "where memory runs out; free some, then run this again"
        )
    if code == os.EX_TEMPFAIL:
        return Unavailable(
            f"the packaged model ran out of memory, disk or files: {last_line}; make room, then run this "
            "again"
        )
    return NoAnswerError(f"its process ended with {code}: {last_line}")


def _end_of(child: "subprocess.Popen[bytes]") -> int | None:
    try:
        return child.wait(_ENDS)
    except subprocess.TimeoutExpired:
        return None


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
