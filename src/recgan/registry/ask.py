"""Ask a packaged model in a process of its own, as a server would run it: with the code packaged with it.

A process that has imported recgan already would run its own recgan instead of the packaged one. So this
file is a script that imports nothing of recgan: `python -P ask.py MODEL HISTORIES ANSWERS K EXCLUDE_SEEN`.
"""

import json
import math
import sys
import traceback
from pathlib import Path
from typing import Any


def main(model_path: str, histories: str, answers: str, k: str, exclude_seen: str) -> None:
    """Write the answers for a Parquet file of histories, or the error of the trial prediction, as JSON."""
    try:
        import mlflow.pyfunc
        import pandas as pd

        # Histories from Parquet are arrays, and MLflow's schema wants lists.
        frame = pd.DataFrame({"history": [list(row) for row in pd.read_parquet(histories)["history"]]})
        model = mlflow.pyfunc.load_model(model_path)
        params = {"k": int(k), "exclude_seen": exclude_seen == "true"}
        error = _smoke(model, frame, params, pd)
        item_ids = [] if error else [list(row) for row in model.predict(frame, params=params)["item_ids"]]
    except Exception as fault:
        traceback.print_exc()
        error, item_ids = f"{type(fault).__name__}: {fault}", []
    Path(answers).write_text(json.dumps({"error": error, "item_ids": item_ids}), encoding="utf-8")


def _smoke(model: Any, frame: Any, params: dict[str, Any], pd: Any) -> str | None:
    """Say what is wrong with the answers to a known, an unknown and an empty history, or None."""
    known: list[str] = max(frame["history"].head(100), key=len, default=[])
    trial = pd.DataFrame({"history": [known, ["an item that no shop has ever sold"], []]})
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
        return "an unknown item and an empty history do not both get the most popular items"
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
