"""Search any recommender's settings on validation, with the same budget, going on where it stopped.

Every trial fits on the train window and is judged by NDCG on the validation window; the test window is not
read. What is tried next follows from the seed and the finished trials alone (a Gaussian process and its
expected improvement, Jones et al. 1998, as Optuna computes them), so a search that was killed and asked for
again makes the trials of one that never stopped.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from recgan.core import layout
from recgan.core.comments import read_with_comments, written
from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.core.memory import Need, refuse
from recgan.core.yaml12 import read_yaml
from recgan.features.matrices import Features, read_features
from recgan.recommenders.catalogue import TRAINED
from recgan.recommenders.settings import ClassicalGrid
from recgan.recommenders.tune import choose
from recgan.settings import Params, check_params, load_params
from recgan.tuning.search_space import SearchSpace, Settings, load_space, put_base, with_settings
from recgan.tuning.trials import Trial, in_words, need_optuna, propose
from recgan.use import Replaced, put_in_place, whole

TRIALS = 30
"""Trials of a search that names no budget."""


_SHOWN = 5


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A search's trials, in the order in which they were made, and the best of them."""

    space: SearchSpace
    trials: tuple[Trial, ...]
    best: Trial

    @property
    def seconds(self) -> float:
        """Wall-clock time of all trials."""
        return sum(trial.seconds for trial in self.trials)


def search(
    name: str | None = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    root: Path = Path(),
) -> Found:
    """Search a candidate's settings within search.yaml for the best validation NDCG.

    The first trial is what params.yaml holds, so what is found is never worse on validation. Each trial is
    recorded in tuning/ before the next begins, with a copy in reports/tuning/. The same search asked for
    again goes on from there, also with a larger budget.

    Args:
        name: of a candidate, or of a recommender that is none yet; None takes the first GAN of params.yaml.
        trials: how many in all, those made before included; None is TRIALS, or no limit where minutes are
            given.
        minutes: no trial begins after this much time in trials, earlier ones included.
        seed: of the settings tried.
        root: the project.

    Raises:
        RecganError: nothing to search or to judge by, the candidate needs more memory than is free, the
            same search is running, or every trial failed.
    """
    for what, budget in (("trials", trials), ("minutes", minutes)):
        if budget is not None and budget <= 0:
            raise RecganError(f"{what} is {budget:g}, which leaves nothing to try; give a number above 0")
    most = trials if trials is not None else TRIALS if minutes is None else None
    name = name or _first_gan(load_params(root / layout.PARAMS))
    space = load_space(name, root)
    features = read_features(root / layout.FEATURES)
    if features.validation is None:
        raise RecganError(
            "there is no validation window to judge by; give features.split one and run dvc repro features"
        )
    need_optuna()
    refuse(_needs(space, features))
    record = root / layout.TUNING / f"{name}-{_key(space, features, seed)}.json"
    with _alone(record, name):
        done = _recorded(record)
        if done:
            _log.info("%s: going on after %d trials (%s)", name, len(done), record)
        while (most is None or len(done) < most) and (
            minutes is None or sum(trial.seconds for trial in done) < 60 * minutes
        ):
            tried = [trial.settings for trial in done]
            settings = space.present if space.present not in tried else propose(space, done, seed)
            if settings is None:
                _log.info("%s: nothing within search.yaml is left to try", name)
                break
            done.append(_try(space, settings, features))
            _tell(name, done, most)
            content = _content(space, features, seed, done)
            write_json(record, content)
            write_json(root / layout.TUNING_REPORTS / f"{name}.json", content)
    good = [trial for trial in done if trial.ndcg is not None]
    if not good:
        raise RecganError(
            f"none of {len(done)} trials of {name} came to a result; the first: {done[0].failure}. "
            f"Narrow its section of search.yaml, and remove {record}"
        )
    found = Found(space, tuple(done), max(good, key=_ndcg))
    write_json(root / layout.TUNING_REPORTS / f"{name}.json", _content(space, features, seed, done))
    _show(found)
    return found


def measure(params: Params, name: str, features: Features) -> float:
    """Fit a candidate on the train window and return its NDCG at primary_k on validation.

    Raises:
        RecganError: training diverged, or the settings cannot be solved.
    """
    section, k = params.candidates[name], params.evaluate.primary_k
    if isinstance(section, ClassicalGrid):
        return choose(section, features, k)[1]
    from recgan.recommenders.train import fit_and_choose  # imports torch, which a classical one does not need

    score = fit_and_choose(section, features, k).training.validation_ndcg
    assert score is not None
    return score


def write_winner(found: Found, root: Path = Path()) -> Replaced:
    """Put the best settings into params.yaml, keeping its layout and what it held.

    A classical one's become the only values of its grid. What is no candidate yet becomes one: the section
    of search.yaml's base, with the best settings in it.

    Raises:
        RecganError: the file would have faults; it is then untouched.
    """
    space, path = found.space, root / layout.PARAMS
    content, commented = read_yaml(path), read_with_comments(path.read_bytes(), path)
    if space.base is not None:
        text, base = whole(root / space.base)
        content = put_base(content, base, space.name)
        commented = put_base(commented, read_with_comments(text, root / space.base), space.name)
    content, commented = (
        with_settings(form, space.name, found.best.settings) for form in (content, commented)
    )
    check_params(content, path)
    return put_in_place(written(commented, content, path), path, root)


def _try(space: SearchSpace, settings: Settings, features: Features) -> Trial:
    """Make one trial; a RecganError is its result, any other error ends the search."""
    start = time.perf_counter()
    ndcg = failure = None
    try:
        with _quiet():
            ndcg = measure(space.params(settings), space.name, features)
    except RecganError as error:
        failure = str(error)
    return Trial(settings, ndcg, round(time.perf_counter() - start, 3), failure)


def _ndcg(trial: Trial) -> float:
    return 0.0 if trial.ndcg is None else trial.ndcg


def _first_gan(params: Params) -> str:
    """Return the candidate that is searched where none is named."""
    names = [name for name, section in params.candidates.items() if section.recommender in TRAINED]
    if not names:
        raise RecganError(f"params.yaml has no GAN to search; name one of {', '.join(params.candidates)}")
    return names[0]


def _needs(space: SearchSpace, features: Features) -> Iterator[Need]:
    """Yield what a trial needs of memory, as far as what is there now tells."""
    section = space.params(space.present).candidates[space.name]
    if isinstance(section, ClassicalGrid):
        yield from section.needs(features.train.shape[1])
    else:
        from recgan.recommenders.train import needs  # imports torch, which a classical one does not need

        yield from needs(section, features)


def _key(space: SearchSpace, features: Features, seed: int) -> str:
    """Name a search by what its trials have in common: other data or another space begin another search."""
    parts = [
        str(features.summary["md5"]),
        features.summary["repeat_purchases"],
        {name: values.model_dump() for name, values in space.ranges.items()},
        space.fixed,
        seed,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _recorded(record: Path) -> list[Trial]:
    if not record.exists():
        return []
    try:
        return [Trial(**trial) for trial in read_json(record)["trials"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RecganError(f"{record} is no readable search ({error}); remove it to begin anew") from None


def _content(space: SearchSpace, features: Features, seed: int, trials: Sequence[Trial]) -> dict[str, Any]:
    good = [trial for trial in trials if trial.ndcg is not None]
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
        "best": asdict(max(good, key=_ndcg)) if good else None,
        "trials": [asdict(trial) for trial in trials],
    }


def _tell(recommender: str, done: Sequence[Trial], most: int | None) -> None:
    trial, number = done[-1], f"{len(done)} of {most}" if most is not None else str(len(done))
    result = f"failed: {trial.failure}" if trial.ndcg is None else f"{trial.ndcg:.4f}"
    shown = f"best {max(map(_ndcg, done)):.4f}, {trial.seconds:.1f} s, {in_words(trial.settings)}"
    _log.info("%s, trial %s: %s (%s)", recommender, number, result, shown)


def _show(found: Found) -> None:
    space, trials = found.space, found.trials
    failed = sum(trial.ndcg is None for trial in trials)
    _log.info(
        "%s: %d trials in %.0f s%s; the best by validation NDCG@%d:",
        *(
            space.name,
            len(trials),
            found.seconds,
            f", {failed} failed" if failed else "",
            space.metric_k,
        ),
    )
    order = sorted(range(len(trials)), key=lambda place: -_ndcg(trials[place]))
    for place in [place for place in order if trials[place].ndcg is not None][:_SHOWN]:
        present = " (what is there now)" if trials[place].settings == space.present else ""
        _log.info(
            "  %.4f  trial %d%s: %s",
            *(_ndcg(trials[place]), place + 1, present, in_words(trials[place].settings)),
        )
    if space.present not in [trial.settings for trial in trials]:
        _log.warning("%s: what is there now was not among them; more trials begin with it", space.name)
    for name in space.ranges:
        if space.could_go_on(found.best.settings, name):
            _log.warning(
                "%s: the best %s, %g, is near the edge of %s; widen it in search.yaml",
                *(space.name, name, found.best.settings[name], space.ranges[name]),
            )


@contextmanager
def _alone(record: Path, recommender: str) -> Iterator[None]:
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what each training says of its epochs and alarms: a search asks for the NDCG alone."""
    logger = logging.getLogger("recgan.adversarial")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
