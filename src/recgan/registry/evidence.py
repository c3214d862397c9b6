"""Evidence for the gate: challenger and champion scored anew on today's test window, in outside ids."""

import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.errors import RecganError
from recgan.evaluation.evaluate import read_rankings
from recgan.evaluation.significance import Comparison, compare
from recgan.features.matrices import read_features
from recgan.files import read_json
from recgan.params import Params
from recgan.recommenders.ranking import ndcg
from recgan.registry.gate import CHAMPION as CHAMPION_NAME
from recgan.registry.gate import Evidence
from recgan.registry.lineage import validation_passed
from recgan.registry.tracking import connect, current

log = logging.getLogger(__name__)

_ASK_TIMEOUT = 3600  # seconds


@dataclass(frozen=True)
class Answers:
    """What a packaged model recommends for each history."""

    item_ids: list[list[str]]
    error: str | None
    """Why the model failed its trial prediction; it then has no answers."""


def gather_evidence(root: Path, params: Params, version: str) -> Evidence:
    """Judge a version and the champion on today's test window, with the baselines of today.

    Every packaged model gets the histories as item ids and answers with item ids; an id outside today's
    vocabulary is a miss that keeps its place.

    Args:
        root: the project.
        params: of the project.
        version: of the registered model, the challenger.

    Raises:
        RecganError: the features or baselines are missing, or the champion does not answer.
    """
    client = connect(root)
    name, k = params.register_.name, params.evaluate.primary_k
    champion = current(client, name)
    champion_version = None if champion is None else str(champion.version)
    features = read_features(root / "data" / "features")
    item_ids = features.items["item_id"].astype(str).tolist()
    baselines = read_rankings(root, features, k)
    rows = np.flatnonzero(np.diff(features.test.held_out.indptr))  # as in evaluate
    held_out = csr_array(features.test.held_out[rows])
    histories = to_ids(csr_array(features.test.history[rows]), item_ids)
    exclude_seen = not features.summary["repeat_purchases"]

    def rank(version: str) -> tuple[NDArray[np.int32], str | None]:
        answers = ask(f"models:/{name}/{version}", histories, k, exclude_seen)
        return to_positions(answers.item_ids, item_ids, k), answers.error

    log.info("asking challenger %s for %s users", version, f"{len(histories):,}")
    ranking, smoke_error = rank(version)
    comparisons: list[Comparison] = []
    coverage = float("nan")
    if smoke_error is None:
        coverage = len(np.unique(ranking[ranking >= 0])) / len(item_ids)
        others: dict[str, NDArray[np.float64]] = {
            baseline: ndcg(baselines[baseline][rows], held_out, k)
            for baseline in params.register_.gate.must_beat
        }
        if champion_version is not None:
            log.info("asking champion %s", champion_version)
            champion_ranking, error = rank(champion_version)
            if error is not None:
                raise RecganError(
                    f"the champion (version {champion_version} of {name}) fails its trial prediction: "
                    f"{error}; "
                    "give the alias `champion` to a version that works, or remove it"
                )
            others[CHAMPION_NAME] = ndcg(champion_ranking, held_out, k)
        settings = params.evaluate
        comparisons = compare(
            ndcg(ranking, held_out, k),
            others,
            settings.bootstrap_samples,
            settings.confidence,
            settings.seed,
        )
    return Evidence(
        version=version,
        champion_version=champion_version,
        primary_k=k,
        users=len(histories),
        expectations_passed=validation_passed(root),
        comparisons=tuple(comparisons),
        coverage=coverage,
        smoke_error=smoke_error,
    )


def ask(model_uri: str, histories: list[list[str]], k: int, exclude_seen: bool) -> Answers:
    """Ask a packaged model for recommendations, in a process of its own with its own packaged code.

    Args:
        model_uri: of MLflow, such as models:/recgan/3.
        histories: item ids of each shopper.
        k: length of a list.
        exclude_seen: leave out the items of the history.
    """
    with tempfile.TemporaryDirectory() as folder:
        questions, answers = Path(folder) / "histories.parquet", Path(folder) / "answers.json"
        pd.DataFrame({"history": histories}).to_parquet(questions, index=False)
        try:
            model = mlflow.artifacts.download_artifacts(model_uri, dst_path=f"{folder}/model")
        except (mlflow.exceptions.MlflowException, OSError) as error:
            return Answers([], f"the package cannot be fetched: {error}")
        script = Path(__file__).with_name("ask.py")
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                str(script),
                model,
                str(questions),
                str(answers),
                str(k),
                str(exclude_seen).lower(),
            ],
            capture_output=True,
            text=True,
            timeout=_ASK_TIMEOUT,
            cwd=folder,
            env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        )
        log.debug("%s", done.stderr)
        if not answers.exists():
            lines = done.stderr.strip().splitlines() or ["without a word"]
            return Answers([], f"its process ended with {done.returncode}: {lines[-1]}")
        content = read_json(answers)
    return Answers(content["item_ids"], content["error"])


def to_ids(history: csr_array, item_ids: list[str]) -> list[list[str]]:
    """Turn a matrix (rows, items) into each row's item ids."""
    names = np.array(item_ids, dtype=object)
    return [names[row].tolist() for row in np.split(history.indices, history.indptr[1:-1])]


def to_positions(answers: list[list[str]], item_ids: list[str], k: int) -> NDArray[np.int32]:
    """Turn lists of item ids into positions (rows, k); -1 for an id unknown today and where a list ends."""
    positions = {item_id: position for position, item_id in enumerate(item_ids)}
    ranking = np.full((len(answers), k), -1, dtype=np.int32)
    for row, answer in enumerate(answers):
        for place, item_id in enumerate(answer[:k]):
            ranking[row, place] = positions.get(item_id, -1)
    return ranking
