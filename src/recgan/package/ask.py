"""Ask a packaged model in a process of its own, as a server would run it: with the code packaged with it.

A process that has imported recgan already would run its own recgan instead of the packaged one. So this file
is a script that imports nothing of recgan. `python -P ask.py MODEL K EXCLUDE_SEEN ASKER` reads batches of
questions from standard input. It writes a batch of answers for each to standard output, both as Arrow
streams. It ends with its input. It also ends, even while it answers, when ASKER, the process that asks, is
gone.
"""

import errno
import math
import os
import sys
import time
import traceback
from threading import Thread
from typing import Any

import pyarrow as pa

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}

ANSWERS = pa.schema({"item_ids": pa.list_(pa.string()), "scores": pa.list_(pa.float64())})


def main(model_path: str, k: str, exclude_seen: str, asker: str) -> None:
    """Answer every batch, or say why the trial prediction failed in the metadata of an empty stream."""
    Thread(target=_end_with, args=(int(asker),), daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers
        questions = pa.ipc.open_stream(sys.stdin.buffer)
        params = {"k": int(k), "exclude_seen": exclude_seen == "true"}
        first = questions.read_next_batch()
        try:
            import mlflow.pyfunc
            import pandas as pd

            model = mlflow.pyfunc.load_model(model_path)
            error = _smoke(model, first.slice(0, 100).to_pylist(), params, pd)
        except Exception as fault:
            if passes(fault):
                raise
            traceback.print_exc()
            error = f"{type(fault).__name__}: {fault}"
        schema = ANSWERS if error is None else ANSWERS.with_metadata({"error": error})
        with pa.ipc.new_stream(answers, schema) as stream:
            batch = first if error is None else None
            while batch is not None:
                found = model.predict(pd.DataFrame(batch.to_pydict()), params=params)
                columns = [pa.array(list(found[field.name]), field.type) for field in ANSWERS]
                stream.write_batch(pa.record_batch(columns, ANSWERS))
                answers.flush()
                batch = next(questions, None)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _smoke(model: Any, asked: list[dict[str, Any]], params: dict[str, Any], pd: Any) -> str | None:
    """Say what is wrong with the answers to a known, an unknown and an empty history, or None."""
    empty: dict[str, Any] = {"history": [], "confidence": []}
    longest = max(asked, key=lambda one: len(one["history"]), default=empty)
    known: list[str] = longest["history"]
    unknown = {"history": ["an item that no shop has ever sold"], "confidence": [1.0]}
    trial = pd.DataFrame([longest, unknown, empty])
    found = model.predict(trial, params=params)
    item_ids, scores = list(found["item_ids"]), list(found["scores"])
    if len(item_ids) != len(trial):
        return f"{len(item_ids)} answers to {len(trial)} histories"
    for ids, values in zip(item_ids, scores, strict=True):
        if len(ids) != len(values) or len(ids) > params["k"]:
            return f"{len(ids)} items and {len(values)} scores for k = {params['k']}"
        if len(set(ids)) != len(ids):
            return f"an item stands twice in {list(ids)}"
        if not all(math.isfinite(value) for value in values):
            return f"a score is not a number in {list(values)}"
    if params["exclude_seen"] and set(item_ids[0]) & set(known):
        return f"items already seen: {sorted(set(item_ids[0]) & set(known))}"
    if not len(item_ids[2]) or list(item_ids[1]) != list(item_ids[2]):
        return "an empty history gets nothing, or something else than an unknown item"
    return None


def passes(fault: BaseException | None) -> bool:
    """Tell whether memory, disk or files ran out, which says nothing about the package."""
    while fault is not None:
        if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":
            return True
        if isinstance(fault, RuntimeError) and "not enough memory" in str(fault):  # torch on a CPU
            return True
        if isinstance(fault, OSError) and fault.errno in _PASSING:
            return True
        fault = fault.__cause__ or fault.__context__
    return False


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as fault:
        traceback.print_exc()
        sys.exit(os.EX_TEMPFAIL if passes(fault) else 1)
