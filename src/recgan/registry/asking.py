"""Ask a packaged model from here: its process, its answers, and what is wrong when there are none."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

import mlflow
import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from recgan.files import read_json
from recgan.temporary import temporary_folder

QUESTIONS = pa.schema({"history": pa.list_(pa.string()), "confidence": pa.list_(pa.float64())})
"""A row for each shopper: the item ids of the history, and what each is worth."""

_TIMEOUT = 3600.0  # seconds for one batch


class NoAnswerError(Exception):
    """Why a packaged model does not answer."""


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
        NoAnswerError: the registry does not have it.
    """
    with temporary_folder() as folder:
        try:
            model = mlflow.artifacts.download_artifacts(model_uri, dst_path=f"{folder}/model")
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise NoAnswerError(f"the package cannot be fetched: {error}") from None
        yield Path(model)


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
    NoAnswerError when the trial fails or the process ends.

    Args:
        model: the folder of the package.
        k: length of a list.
        exclude_seen: leave out the items of the history.
    """
    with temporary_folder() as folder, tempfile.TemporaryFile() as said:
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
            watch = Timer(_TIMEOUT, child.kill)
            watch.start()
            try:
                to_child.write_batch(asked)
                child.stdin.flush()
                answers = answers or pa.ipc.open_stream(child.stdout)
                error = (answers.schema.metadata or {}).get(b"error")
                if error is None:
                    return answers.read_next_batch()
            except (OSError, pa.ArrowInvalid, StopIteration):  # the pipe is closed, or ends within a batch
                child.kill()
                raise NoAnswerError(f"its process ended with {child.wait()}: {_last_line(said)}") from None
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


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
