"""Evidence for the gate: challenger and champion scored anew on today's test window, in outside ids."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core import layout
from recgan.core.errors import RecganError, Unavailable
from recgan.evaluation.rankings import read_rankings
from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.significance import Comparison, NonInferiority, compare, non_inferiority
from recgan.features.matrices import read_features
from recgan.features.unfair import Identity, unfair
from recgan.package.asking import ask, questions
from recgan.package.gate import CHAMPION, FLOOR, Evidence, may_compare, others_to_beat
from recgan.package.lineage import CANDIDATE, SETTINGS, SPLIT, split_identity, validation_passed
from recgan.recommenders.loading import challenger_of
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import hits, ndcg, once
from recgan.settings import Params

log = logging.getLogger(__name__)


def gather_evidence(
    root: Path, params: Params, client: MlflowClient, version: str, champion_version: str | None
) -> Evidence:
    """Judge a version and the champion on today's test window, with popularity and the candidates of today.

    Every packaged model gets the histories as item ids with the confidences and ages of the features, as
    evaluate takes them. It answers with item ids. All that came counts, products outside today's vocabulary
    too: an older version may name one. Any other id outside it is a miss that keeps its place. Whoever may
    have been trained on what is held out today is not compared, nor is anyone on too few users.

    Args:
        root: the project.
        params: of the project.
        client: of the tracking store.
        version: of the registered model, the challenger.
        champion_version: None where there is none.

    Raises:
        RecganError: the features or the rankings of must_beat are missing, or the champion does not answer.
    """
    name, k = params.register_.name, params.evaluate.primary_k
    features = read_features(root / layout.FEATURES)
    item_ids = features.items["item_id"].astype(str).tolist()
    outside = features.test.outside
    named = item_ids + ([] if outside is None else outside.item_ids.tolist())
    gate = params.register_.gate
    candidate = client.get_model_version(name, version).tags.get(CANDIDATE) or challenger_of(root)
    others = others_to_beat(candidate, gate)
    tonight = read_rankings(root / layout.EVALUATION / "rankings.npz", features, k) if others else {}
    came = features.test.came()
    rows = np.flatnonzero(np.diff(came.indptr))  # as in evaluate
    held_out = csr_array(came[rows])
    histories, ages = csr_array(features.test.history[rows]), features.test.ages
    asked = questions(
        histories, pa.array(item_ids, pa.string()), None if ages is None else csr_array(ages[rows])
    )
    exclude_seen = not features.summary["repeat_purchases"]

    def rank(version: str) -> tuple[NDArray[np.int32], str | None]:
        answers = ask(f"models:/{name}/{version}", asked, k, exclude_seen)
        return to_positions(answers.item_ids, named, k), answers.error

    log.info("asking challenger %s for %s users", version, f"{len(rows):,}")
    ranking, smoke_error = rank(version)
    now = split_identity(root)
    evidence = Evidence(
        version=version,
        candidate=candidate,
        champion_version=champion_version,
        primary_k=k,
        users=len(rows),
        expectations_passed=validation_passed(root),
        comparisons=(),
        coverage=math.nan if smoke_error is not None else _coverage(ranking, len(item_ids)),
        smoke_error=smoke_error,
        challenger_unfair=unfair(trained_under(client, name, version), now),
        champion_unfair=None
        if champion_version is None
        else unfair(trained_under(client, name, champion_version), now),
        champion_same=champion_version is not None
        and have_same_settings(client, name, version, champion_version),
    )
    if smoke_error is not None or not may_compare(evidence, gate):
        return evidence
    popularity = Popularity().fit(features.train_validation)
    rankings = {FLOOR: recommend(popularity, histories, k, exclude_seen)[0]}
    # One of must_beat that was skipped tonight is not compared, and the gate refuses for that.
    rankings |= {other: tonight[other][rows] for other in others if other in tonight}
    champion, hit_rate = None, None
    if champion_version is not None and evidence.champion_unfair is None:
        log.info("asking champion %s", champion_version)
        champion_ranking, error = rank(champion_version)
        if error is not None:
            raise RecganError(
                f"the champion (version {champion_version} of {name}) fails its trial prediction: "
                f"{error}; "
                "give the alias `champion` to a version that works, or remove it"
            )
        champion = ndcg(champion_ranking, held_out, k)
        hit_rate = float(hits(champion_ranking[:, :k], held_out).any(axis=1).mean())
    comparisons, retraining = compared(
        ndcg(ranking, held_out, k),
        {other: ndcg(ranking, held_out, k) for other, ranking in rankings.items()},
        champion,
        evidence.champion_same,
        gate.max_loss,
        params.evaluate,
    )
    return replace(evidence, comparisons=comparisons, retraining=retraining, champion_hit_rate=hit_rate)


def _coverage(ranking: NDArray[np.int32], n_items: int) -> float:
    """Return the share of the vocabulary, the first n positions, that is shown."""
    return len(np.unique(ranking[(ranking >= 0) & (ranking < n_items)])) / n_items


def compared(
    challenger: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    champion: NDArray[np.float64] | None,
    champion_same: bool,
    max_loss: float,
    settings: EvaluateParams,
) -> tuple[tuple[Comparison, ...], NonInferiority | None]:
    """Make every comparison that the gate judges, user by user.

    Args:
        challenger: (users,) NDCG.
        others: name → (users,) of those that the challenger must beat.
        champion: (users,) its NDCG; None where it is not compared.
        champion_same: whether the challenger is a retraining of the champion.
        max_loss: what such a retraining may lose, a share of the champion's mean.
        settings: the evaluate section.
    """
    samples, confidence, seed = settings.bootstrap_samples, settings.confidence, settings.seed
    if champion is None or champion_same:
        found = compare(challenger, others, samples, confidence, seed)
    else:
        found = compare(challenger, {**others, CHAMPION: champion}, samples, confidence, seed)
    if champion is None or not champion_same:
        return tuple(found), None
    return tuple(found), non_inferiority(challenger, champion, max_loss, samples, confidence, seed, CHAMPION)


def have_same_settings(client: MlflowClient, name: str, version: str, other: str) -> bool:
    """Tell whether two versions are of one recommender and its settings; without the tag they are not."""
    first, second = (client.get_model_version(name, one).tags.get(SETTINGS) for one in (version, other))
    return first is not None and first == second


def trained_under(client: MlflowClient, name: str, version: str) -> Identity | None:
    """Return the identity of the split that a version was trained under; None where nothing tells.

    A version that was registered before it was a tag tells of a split in time by the cuts in its run.

    Raises:
        Unavailable: the store of its files does not answer.
    """
    registered = client.get_model_version(name, version)
    if SPLIT in registered.tags:
        return dict(json.loads(registered.tags[SPLIT]))
    run_id, path = str(registered.run_id), "metrics/features.json"
    try:
        if path not in [file.path for file in client.list_artifacts(run_id, "metrics")]:
            return None
        cuts = mlflow.artifacts.load_dict(f"runs:/{run_id}/{path}").get("cuts")
    except (MlflowException, OSError) as error:
        raise Unavailable(
            f"the files of version {version} of {name} cannot be read ({error}); bring their store back"
        ) from None
    return {"kind": "time", "trained_until": cuts["test_start"]} if cuts else None


def to_positions(answers: list[list[str]], item_ids: list[str], k: int) -> NDArray[np.int32]:
    """Turn lists of item ids into positions (rows, k), -1 where a list ends.

    Any other id and one that the list has named before are -1 too: misses that keep their place.
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
