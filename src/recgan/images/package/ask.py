"""Ask a packaged generator in a process of its own, as a server would run it: with the code packaged with it.

Like package/ask.py a script that imports nothing of recgan:
`python -P ask.py MODEL CLASSES ANSWERS N DRAWS ASKER`, CLASSES a JSON list of names, empty for a generator
without. It ends when ASKER, the process that asks, is gone.
"""

import errno
import json
import os
import sys
import time
import traceback
from pathlib import Path
from threading import Thread

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}


def main(model_path: str, classes: str, answers: str, n: str, draws: str, asker: str) -> None:
    """Write the images of each draw (lists of base64 PNG), or the error, as JSON."""
    Thread(target=_end_with, args=(int(asker),), daemon=True).start()
    try:
        import mlflow.pyfunc
        import pandas as pd

        names = json.loads(classes)
        frame = pd.DataFrame({"class": names or [None]}, dtype=object)
        model = mlflow.pyfunc.load_model(model_path)
        found, error = [], None
        for seed in range(int(draws)):
            images = model.predict(frame, params={"n": int(n), "seed": seed})["images"]
            # Class after class in turn, so that a part of them is even too.
            found.append([image for turn in zip(*images, strict=True) for image in turn])
    except Exception as fault:
        if passes(fault):
            raise
        traceback.print_exc()
        error, found = f"{type(fault).__name__}: {fault}", []
    Path(answers).write_text(json.dumps({"error": error, "images": found}), encoding="utf-8")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def passes(fault: BaseException | None) -> bool:
    """Tell whether memory, disk or files ran out, as package/ask.py does."""
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
