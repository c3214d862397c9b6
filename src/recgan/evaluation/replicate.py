"""Train the candidates on earlier test windows, with other seeds and without the adversarial term."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import replacing, write_json
from recgan.data.screened import read_quarantined
from recgan.evaluation.replications import Replication, read_users
from recgan.evaluation.settings import EvaluateParams, period_of
from recgan.features.build import features_of
from recgan.features.matrices import Features, read_features
from recgan.features.settings import FeaturesParams
from recgan.recommenders.catalogue import CandidateParams
from recgan.recommenders.fit import FAULTS, fingerprint, fit, on_one_device, reason_of, with_seed
from recgan.recommenders.ranking import user_ndcg
from recgan.recommenders.settings import seed_of

_log = logging.getLogger(__name__)

UNFINISHED = layout.CHECKPOINTS / "replications"
"""What is trained while the stage has not ended: one that is killed goes on from here."""


@dataclass(frozen=True)
class Task:
    """One training beyond those of the stage `train`."""

    candidate: str
    section: CandidateParams
    seed: int | None
    ablated: bool


def replicate(
    root: Path, params: FeaturesParams, candidates: Mapping[str, CandidateParams], asked: EvaluateParams
) -> None:
    """Write data/replications: a training for each window, seed, candidate and variant that is asked for.

    A training whose settings, features and code are those of one that is there is taken from there. One that
    fails is left out with its reason.

    Args:
        root: the project.
        params: the features section.
        candidates: name → its section.
        asked: the evaluate section.

    Raises:
        RecganError: the log is too short for so many windows, or an input is missing.
    """
    today = read_features(root / layout.FEATURES)
    left_out = read_quarantined(root / layout.SCREENED)
    asked.check_windows(params.split, *period_of(today.summary))
    found: list[Replication] = []
    for window in reversed(range(asked.windows)):  # the earliest first, which has the least to learn from
        tasks = list(tasks_of(window, candidates, asked))
        if tasks:
            features = today
            if window > 0:
                features = earlier(root / layout.KEPT, left_out, params, today, window)
            found += [_result(root, task, window, features, asked.primary_k) for task in tasks]
    found.reverse()
    with replacing(root / layout.REPLICATIONS) as folder:
        folder.mkdir()
        for one in found:
            if one.skipped is None:
                _write_users(folder / f"{one.fingerprint}.parquet", one.user_ids, one.ndcg)
        write_json(folder / layout.REPLICATIONS_INDEX, [one.entry() for one in found])
    shutil.rmtree(root / UNFINISHED, ignore_errors=True)


def tasks_of(window: int, candidates: Mapping[str, CandidateParams], asked: EvaluateParams) -> Iterator[Task]:
    """Yield what is to be trained for a window; of today's all but what the stage `train` has trained."""
    for name, section in candidates.items():
        seed = seed_of(section)
        for step in range(1 if seed is None else asked.seeds):
            one = section if seed is None else with_seed(section, seed + step)
            its_seed = None if seed is None else seed + step
            if window > 0 or step > 0:
                yield Task(name, one, its_seed, ablated=False)
            if asked.ablation and has_adversarial_term(section):
                yield Task(name, one.model_copy(update={"adversarial": 0.0}), its_seed, ablated=True)


def has_adversarial_term(section: CandidateParams) -> bool:
    """Tell whether a candidate is an RC-GAN that is trained with its adversarial term."""
    return section.recommender == "rcgan" and getattr(section, "adversarial", 0) > 0


def end_of(today: Features, params: FeaturesParams, window: int) -> datetime:
    """Return the instant before which a window ends: of today's the last event's, so that it is in it."""
    days = getattr(params.split, "test_days", 0)  # only a split in time has more windows than one
    return datetime.fromisoformat(today.summary["log"]["end"]) - timedelta(days=days * window)


def earlier(kept: Path, left_out: pa.Array, params: FeaturesParams, today: Features, window: int) -> Features:
    """Build the features of an earlier window: nothing at its end or later is read.

    Args:
        kept: folder of the kept tables.
        left_out: ids of accounts that are not learned from.
        params: the features section.
        today: the features of today's window.
        window: 1 for the one before.

    Raises:
        RecganError: the log is too short, or the window or its vocabulary is empty.
    """
    try:
        return features_of(kept, left_out, params, end_of(today, params, window))
    except (RecganError, OverflowError) as error:
        raise RecganError(
            f"test window {window + 1} of evaluate.windows cannot be built: {error}; "
            "or lower evaluate.windows"
        ) from None


def _result(root: Path, task: Task, window: int, features: Features, k: int) -> Replication:
    """Take one training from where it is, or do it."""
    section = on_one_device(task.section)  # several processes would have to go through all this together
    summary = features.summary
    found = Replication(
        window=window,
        test_start=(summary.get("cuts") or {}).get("test_start", "today's"),
        test_end=summary["log"]["end"] or "",
        candidate=task.candidate,
        seed=task.seed,
        ablated=task.ablated,
        fingerprint=fingerprint(section, features, k),
        skipped=None,
        user_ids=np.empty(0, dtype=object),
        ndcg=np.empty(0),
    )
    for folder in (root / layout.REPLICATIONS, root / UNFINISHED):
        if (known := folder / f"{found.fingerprint}.parquet").exists():
            user_ids, ndcg = read_users(known)
            return replace(found, user_ids=user_ids, ndcg=ndcg)
    named = (
        f"{task.candidate}{' without its adversarial term' if task.ablated else ''}, "
        f"window {window + 1}, seed {'none' if task.seed is None else task.seed}"
    )
    try:
        fitted, unfinished = fit(section, features, k, root / layout.CHECKPOINTS)
        assert fitted is not None  # one process alone
        _log.info("%s: its test window, from %s, is read", named, found.test_start)
        seen = not summary["repeat_purchases"]
        user_ids, ndcg = user_ndcg(fitted.recommender, features.test, k, seen)
    except FAULTS as fault:
        reason = reason_of(fault)
        _log.warning("%s is left out: %s", named, reason)
        return replace(found, skipped=reason)
    with replacing(root / UNFINISHED / f"{found.fingerprint}.parquet") as path:
        _write_users(path, user_ids, ndcg)
    if unfinished is not None:
        shutil.rmtree(unfinished, ignore_errors=True)
    return replace(found, user_ids=user_ids, ndcg=ndcg)


def _write_users(path: Path, user_ids: NDArray[np.object_], ndcg: NDArray[np.float64]) -> None:
    pd.DataFrame({"user_id": user_ids.astype(str), "ndcg": ndcg}).to_parquet(path, index=False)
