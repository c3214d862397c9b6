"""Ask a packaged model from here: its process, its answers, and what is wrong when there are none."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer
from typing import IO

import mlflow
import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import read_json
from recgan.core.temporary import temporary_folder
from recgan.registry.manifest import DamagedPackageError, check_package
from recgan.registry.outage import outside, unavailable

QUESTIONS = pa.schema({"history": pa.list_(pa.string()), "confidence": pa.list_(pa.float64())})
"""A row for each shopper: the item ids of the history, and what each is worth."""

_TIMEOUT = 3600.0  # seconds for one batch


_ENDS = 30.0  # seconds for a process to end once its answers have ended


class NoAnswerError(Exception):
    """What a packaged model answers wrongly, or why it cannot be loaded: a fault of the package itself."""


@dataclass(frozen=True)
class Answers:
    """What a packaged model recommends for each history."""

    item_ids: list[list[str]]
    error: str | None
    """Why the model failed its trial prediction; it then has no answers."""


def questions(histories: csr_array, item_ids: pa.Array) -> pa.RecordBatch:
    """Turn histories (rows, items) of confidences into questions, given the items' ids."""
    offsets = histories.indptr.astype(np.int32)
    lists = [
        pa.ListArray.from_arrays(offsets, values)
        for values in (item_ids.take(pa.array(histories.indices)), pa.array(histories.data, pa.float64()))
    ]
    return pa.record_batch(lists, schema=QUESTIONS)


def ask(model_uri: str, asked: pa.RecordBatch, k: int, exclude_seen: bool) -> Answers:
    """Ask a packaged model for recommendations, in a process of its own with its own packaged code.

    Args:
        model_uri: of MLflow, such as models:/recgan/3.
        asked: of QUESTIONS.
        k: length of a list.
        exclude_seen: leave out the items of the history.

    Raises:
        Unavailable: the package cannot be fetched, or its process was killed or took too long.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    try:
        with fetched(model_uri) as model, asking(model, k, exclude_seen) as answer:
            return Answers(answer(asked)["item_ids"].to_pylist(), None)
    except NoAnswerError as fault:
        return Answers([], str(fault))


@contextmanager
def fetched(model_uri: str) -> Iterator[Path]:
    """Yield the folder of a packaged model, there for the length of the block.

    Raises:
        Unavailable: it cannot be fetched.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    with ExitStack() as stack:
        with outside():
            folder = stack.enter_context(temporary_folder())
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


def catalogue_size(model: Path) -> int:
    """Return how many items a package knows.

    Raises:
        NoAnswerError: the package is damaged.
    """
    try:
        return len(read_json(model / "artifacts" / "items.json")["item_ids"])
    except (OSError, ValueError, KeyError) as error:
        raise NoAnswerError(f"the package has no readable items.json: {error}") from None


@contextmanager
def asking(model: Path, k: int, exclude_seen: bool) -> Iterator[Callable[[pa.RecordBatch], pa.RecordBatch]]:
    """Start a packaged model in a process of its own and yield the function that asks it.

    The function takes a batch of QUESTIONS and returns the columns `item_ids` and `scores`. A package that
    was made before it took confidences ignores them. The first call makes the trial prediction too. It raises
    NoAnswerError when the trial fails or the process ends by itself. It raises Unavailable when something
    killed the process, memory or disk ran out, or a batch took longer than an hour.

    Args:
        model: the folder of the package.
        k: length of a list.
        exclude_seen: leave out the items of the history.
    """
    with ExitStack() as stack:
        with outside():
            folder = stack.enter_context(temporary_folder())
            said = stack.enter_context(tempfile.TemporaryFile())
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    str(Path(__file__).with_name("ask.py")),
                    str(model.resolve()),
                    str(k),
                    str(exclude_seen).lower(),
                    str(os.getpid()),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                cwd=folder,
                env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
            )
        assert child.stdin is not None
        assert child.stdout is not None
        to_child = pa.ipc.new_stream(child.stdin, QUESTIONS)
        answers: pa.ipc.RecordBatchStreamReader | None = None

        def answer(asked: pa.RecordBatch) -> pa.RecordBatch:
            nonlocal answers
            assert child.stdin is not None
            late = Event()

            def give_up() -> None:
                late.set()
                child.kill()

            watch = Timer(_TIMEOUT, give_up)
            watch.start()
            try:
                to_child.write_batch(asked)
                child.stdin.flush()
                answers = answers or pa.ipc.open_stream(child.stdout)
                error = (answers.schema.metadata or {}).get(b"error")
                if error is None:
                    return answers.read_next_batch()
            except (OSError, pa.ArrowInvalid, StopIteration):  # the pipe is closed, or ends within a batch
                if late.is_set():
                    raise Unavailable(
                        f"the packaged model took longer than {_TIMEOUT:g} s for a batch; run this again "
                        "when the machine is less busy"
                    ) from None
                raise ended(_end_of(child), _last_line(said)) from None
            finally:
                watch.cancel()
            raise NoAnswerError(error.decode())

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
