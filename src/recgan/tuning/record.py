"""What is kept of a search, and how it is known again."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.features.matrices import Features
from recgan.tuning.search_space import SearchSpace
from recgan.tuning.trials import Trial


def key(space: SearchSpace, features: Features, seed: int) -> str:
    """Name a search by what its trials have in common: other data or another space begin another search."""
    parts = [
        str(features.summary["md5"]),
        features.summary["repeat_purchases"],
        {name: values.model_dump() for name, values in space.ranges.items()},
        space.fixed,
        seed,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def recorded(record: Path) -> list[Trial]:
    """Read the trials of an earlier search; none where there was none."""
    if not record.exists():
        return []
    try:
        return [_trial(**trial) for trial in read_json(record)["trials"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RecganError(f"{record} is no readable search ({error}); remove it to begin anew") from None


def _trial(further: Sequence[float | None] = (), **rest: Any) -> Trial:
    return Trial(**rest, further=tuple(further))


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the best mean over its seeds, among those that were given the most seeds.

    None where every trial failed.
    """
    most = max((len(trial.further) for trial in trials if trial.mean is not None), default=0)
    good = [trial for trial in trials if trial.mean is not None and len(trial.further) == most]
    return max(good, key=lambda trial: trial.mean or 0.0, default=None)


def content_of(space: SearchSpace, features: Features, seed: int, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return what the file of a search holds."""
    best = best_of(trials)
    return {
        "candidate": space.name,
        "recommender": space.recommender,
        "measure": f"validation NDCG@{space.metric_k}",
        "features": features.summary["md5"],
        "base": None if space.base is None else str(space.base),
        "seed": seed,
        "space": {name: values.model_dump() for name, values in space.ranges.items()},
        "fixed": space.fixed,
        "seconds": round(sum(trial.seconds for trial in trials), 3),
        "best": None if best is None else asdict(best),
        "trials": [asdict(trial) for trial in trials],
    }


def ndcg_of(trial: Trial) -> float:
    """Return the NDCG of a trial's first seed, 0 where it failed."""
    return 0.0 if trial.ndcg is None else trial.ndcg


@contextmanager
def alone(record: Path, recommender: str) -> Iterator[None]:
    """Keep a second process away from the same search."""
    record.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(record.with_suffix(".lock"), blocking=False):
            yield
    except Timeout:
        raise RecganError(
            f"this search of {recommender} is already running in another process; wait for it, or give "
            "another --seed"
        ) from None
