"""Ask a packaged model in a process of its own, as a server would run it: with the code packaged with it.

A process that has imported recgan already would run its own recgan instead of the packaged one. So this
file is a script that imports nothing of recgan: `python -P ask.py MODEL ASKER` reads batches of questions
from standard input and writes a batch of answers for each to standard output, both as Arrow streams. The
questions' schema carries that of the answers, and each batch the parameters of the prediction. It ends with
its input, and in the midst of an answer when ASKER, the process that asks, is gone.
"""

import errno
import json
import os
import sys
import time
import traceback
from threading import Thread
from typing import Any

import pyarrow as pa

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}


def main(model_path: str, asker: str) -> None:
    """Answer every batch, or say in the metadata of an empty one why there is no answer."""
    Thread(target=_end_with, args=(int(asker),), daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers
        questions = pa.ipc.open_stream(sys.stdin.buffer)
        schema = pa.ipc.read_schema(pa.py_buffer(questions.schema.metadata[b"answers"]))
        model: Any = None
        with pa.ipc.new_stream(answers, schema) as stream:
            for asked in questions.iter_batches_with_custom_metadata():
                try:
                    import mlflow.pyfunc
                    import pandas as pd

                    model = model or mlflow.pyfunc.load_model(model_path)
                    # pandas would make columns of its own kind of text, which MLflow does not know.
                    frame = pd.DataFrame(asked.batch.to_pydict(), dtype=object)
                    found = model.predict(frame, params=json.loads(asked.custom_metadata[b"params"]))
                    columns = [pa.array(list(found[field.name]), field.type) for field in schema]
                    answer, said = pa.record_batch(columns, schema), {}
                except Exception as fault:
                    if passes(fault):
                        raise
                    traceback.print_exc()
                    answer = pa.RecordBatch.from_pylist([], schema)
                    said = {"error": f"{type(fault).__name__}: {fault}"}
                stream.write_batch(answer, custom_metadata=said)
                answers.flush()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


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
