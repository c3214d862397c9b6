"""Ask a packaged recommender from here, in a process of its own: a trial first, then every question."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from recgan.core.files import read_json
from recgan.registry.asking import NoAnswerError, fetched, started

QUESTIONS = pa.schema(
    {
        "history": pa.list_(pa.string()),
        "confidence": pa.list_(pa.float64()),
        "age_days": pa.list_(pa.float64()),
    }
)
"""A row for each shopper: the item ids of the history, what each is worth, and the days since the last event
with it; null where nothing is known of time."""

ANSWERS = pa.schema({"item_ids": pa.list_(pa.string()), "scores": pa.list_(pa.float64())})


@dataclass(frozen=True)
class Answers:
    """What a packaged model recommends for each history."""

    item_ids: list[list[str]]
    error: str | None
    """Why the model failed its trial prediction; it then has no answers."""


def questions(histories: csr_array, item_ids: pa.Array, ages: csr_array | None = None) -> pa.RecordBatch:
    """Turn histories into questions.

    Args:
        histories: (rows, items), confidences.
        item_ids: (items,).
        ages: (rows, items), days, the same entries in the same order; None where nothing is known of time.
    """
    if isinstance(item_ids, pa.ChunkedArray):  # as pandas has a column of more than 131,072 rows from a file
        item_ids = item_ids.combine_chunks()
    offsets = histories.indptr.astype(np.int32)
    lists = [
        pa.nulls(histories.shape[0], field.type)
        if values is None
        else pa.ListArray.from_arrays(offsets, values.cast(field.type.value_type))
        for field, values in zip(
            QUESTIONS,
            (
                item_ids.take(pa.array(histories.indices)),
                pa.array(histories.data),
                None if ages is None else pa.array(ages.data),
            ),
            strict=True,
        )
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
def asking(
    model: Path, k: int, exclude_seen: bool, threads: int | None = None, approximate: bool = False
) -> Iterator[Callable[[pa.RecordBatch], pa.RecordBatch]]:
    """Start a packaged model in a process of its own and yield the function that asks it.

    The function takes a batch of QUESTIONS and returns one of ANSWERS. A package that was made before it
    took confidences or ages ignores them. The first call makes the trial prediction too. It raises what
    `started` says, and NoAnswerError when the trial fails.

    Args:
        model: the folder of the package.
        k: length of a list.
        exclude_seen: leave out the items of the history.
        threads: of the process, unless OMP_NUM_THREADS says otherwise; None takes all cores.
        approximate: rank by an index; of packages that `has_index` knows.
    """
    params = {"k": k, "exclude_seen": exclude_seen} | ({"approximate": True} if approximate else {})
    with started(model, QUESTIONS, ANSWERS, threads) as ask_it:
        tried = False

        def answer(asked: pa.RecordBatch) -> pa.RecordBatch:
            nonlocal tried
            if not tried:
                trial = _trial(asked)
                wrong = what_is_wrong(trial.to_pylist(), ask_it(trial, params).to_pydict(), k, exclude_seen)
                if wrong is not None:
                    raise NoAnswerError(wrong)
                tried = True
            return ask_it(asked, params)

        yield answer


def _trial(asked: pa.RecordBatch) -> pa.RecordBatch:
    """Return a known history (the longest of the first hundred), an unknown one and an empty one."""
    empty: dict[str, Any] = {"history": [], "confidence": [], "age_days": []}
    longest = max(asked.slice(0, 100).to_pylist(), key=lambda one: len(one["history"]), default=empty)
    unknown = {"history": ["an item that no shop has ever sold"], "confidence": [1.0], "age_days": [0.0]}
    return pa.RecordBatch.from_pylist([longest, unknown, empty], QUESTIONS)


def what_is_wrong(
    asked: list[dict[str, Any]], found: dict[str, list[Any]], k: int, exclude_seen: bool
) -> str | None:
    """Say what is wrong with the answers to a known, an unknown and an empty history, or None.

    Args:
        asked: those three, as rows of QUESTIONS.
        found: the columns of ANSWERS.
        k: the length of list that was asked for.
        exclude_seen: whether the items of the history were to be left out.
    """
    item_ids, scores = found["item_ids"], found["scores"]
    if len(item_ids) != len(asked):
        return f"{len(item_ids):,} answers to {len(asked):,} histories"
    for ids, values in zip(item_ids, scores, strict=True):
        if len(ids) != len(values) or len(ids) > k:
            return f"{len(ids)} items and {len(values)} scores for k = {k}"
        if len(set(ids)) != len(ids):
            return f"an item stands twice in {ids}"
        if not all(math.isfinite(value) for value in values):
            return f"a score is not a number in {values}"
    if exclude_seen and (seen := set(item_ids[0]) & set(asked[0]["history"])):
        return f"items already seen: {sorted(seen)}"
    if not item_ids[2] or item_ids[1] != item_ids[2]:
        return "an empty history gets nothing, or something else than an unknown item"
    return None
