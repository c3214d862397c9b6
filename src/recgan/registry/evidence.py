"""Evidence for the gate: challenger and champion scored anew on today's test window, in outside ids."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.errors import RecganError
from recgan.evaluation.evaluate import read_rankings
from recgan.evaluation.significance import Comparison, compare
from recgan.features.matrices import read_features
from recgan.params import Params
from recgan.recommenders.ranking import ndcg, once
from recgan.registry.asking import ask, questions
from recgan.registry.gate import CHAMPION as CHAMPION_NAME
from recgan.registry.gate import Evidence
from recgan.registry.lineage import validation_passed
from recgan.registry.tracking import connect, current

log = logging.getLogger(__name__)


def gather_evidence(root: Path, params: Params, version: str) -> Evidence:
    """Judge a version and the champion on today's test window, with the baselines of today.

    Every packaged model gets the histories as item ids with the confidences of the features, as evaluate
    takes them, and answers with item ids; an id outside today's vocabulary is a miss that keeps its place.

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
    asked = questions(csr_array(features.test.history[rows]), pa.array(item_ids, pa.string()))
    exclude_seen = not features.summary["repeat_purchases"]

    def rank(version: str) -> tuple[NDArray[np.int32], str | None]:
        answers = ask(f"models:/{name}/{version}", asked, k, exclude_seen)
        return to_positions(answers.item_ids, item_ids, k), answers.error

    log.info("asking challenger %s for %s users", version, f"{len(rows):,}")
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
        users=len(rows),
        expectations_passed=validation_passed(root),
        comparisons=tuple(comparisons),
        coverage=coverage,
        smoke_error=smoke_error,
    )


def to_positions(answers: list[list[str]], item_ids: list[str], k: int) -> NDArray[np.int32]:
    """Turn lists of item ids into positions (rows, k), -1 where a list ends.

    An id unknown today and one that the list has named before are -1 too: misses that keep their place.
    """
    positions = {item_id: position for position, item_id in enumerate(item_ids)}
    ranking = np.full((len(answers), k), -1, dtype=np.int32)
    for row, answer in enumerate(answers):
        for place, item_id in enumerate(answer[:k]):
            ranking[row, place] = positions.get(item_id, -1)
    first = once(ranking)
    if repeats := np.count_nonzero(first != ranking):
        log.warning("%s items stand in a list a second time; they count as misses", f"{repeats:,}")
    return first
