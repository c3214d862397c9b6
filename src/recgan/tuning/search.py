"""Search any recommender's settings on validation, with the same budget, going on where it stopped.

Every trial fits on the train window and is judged by NDCG on the validation window; the test window is not
read. What is tried next follows from the seed and the finished trials alone (a Gaussian process and its
expected improvement, Jones et al. 1998, as Optuna computes them), so a search that was killed and asked for
again makes the trials of one that never stopped.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recgan.core import layout
from recgan.core.comments import read_with_comments, written
from recgan.core.errors import RecganError
from recgan.core.files import write_json
from recgan.core.memory import Need, refuse
from recgan.core.quiet import at_level
from recgan.core.yaml12 import read_yaml
from recgan.features.matrices import Features, read_features
from recgan.recommenders.fit import on_one_device, with_seed
from recgan.recommenders.settings import ClassicalGrid, seed_of
from recgan.recommenders.tune import choose
from recgan.settings import Params, check_params, load_params
from recgan.tuning.record import alone, best_of, content_of, key, ndcg_of, recorded
from recgan.tuning.search_space import GANS, SearchSpace, Settings, load_space, put_base, with_settings
from recgan.tuning.told import show, tell
from recgan.tuning.trials import Trial, in_words, need_optuna, propose
from recgan.use import Replaced, put_in_place, whole

TRIALS = 30
"""Trials of a search that names no budget."""


_LEADING = 3


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
    seeds: int = 1,
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
        seeds: with how many of its own a leading setting is trained; the best mean wins. The leading ones are
            the first three, and what params.yaml holds. 1, or a candidate that draws nothing: the best wins.
        root: the project.

    Raises:
        RecganError: nothing to search or to judge by, the candidate needs more memory than is free, the
            same search is running, or every trial failed.
    """
    for what, budget in (("trials", trials), ("minutes", minutes), ("seeds", seeds)):
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
    record = root / layout.TUNING / f"{name}-{key(space, features, seed)}.json"
    with alone(record, name):
        done = recorded(record)

        def keep() -> None:
            content = content_of(space, features, seed, done)
            write_json(record, content)
            write_json(root / layout.TUNING_REPORTS / f"{name}.json", content)

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
            tell(name, done, most)
            keep()
        for place in _leading(space, done, seeds):
            while len(done[place].further) < seeds - 1:
                done[place] = _with_next_seed(space, done[place], features)
                keep()
    best = best_of(done)
    if best is None:
        raise RecganError(
            f"none of {len(done)} trials of {name} came to a result; the first: {done[0].failure}. "
            f"Narrow its section of search.yaml, and remove {record}"
        )
    found = Found(space, tuple(done), best)
    write_json(root / layout.TUNING_REPORTS / f"{name}.json", content_of(space, features, seed, done))
    show(space, done, best)
    return found


def measure(params: Params, name: str, features: Features, seed: int | None = None) -> float:
    """Fit a candidate on the train window and return its NDCG at primary_k on validation.

    Args:
        params: with the candidate in it.
        name: of the candidate.
        features: with a validation window.
        seed: another than the candidate's own.

    Raises:
        RecganError: training diverged, or the settings cannot be solved.
    """
    section, k = params.candidates[name], params.evaluate.primary_k
    if seed is not None:
        section = with_seed(section, seed)
    if isinstance(section, ClassicalGrid):
        return choose(section, features, k)[1]
    from recgan.recommenders.train import fit_and_choose  # imports torch, which a classical one does not need

    # Several processes would have to search together.
    score = fit_and_choose(on_one_device(section), features, k).training.validation_ndcg
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
        with at_level(logging.ERROR, "recgan.adversarial"):  # what each training says of its epochs
            ndcg = measure(space.params(settings), space.name, features)
    except RecganError as error:
        failure = str(error)
    return Trial(settings, ndcg, round(time.perf_counter() - start, 3), failure)


def _leading(space: SearchSpace, done: Sequence[Trial], seeds: int) -> list[int]:
    """Return the places of the trials that are worth more seeds: of many, the best of one is partly luck."""
    if seeds == 1 or _seed(space, space.present) is None:
        return []
    there = [place for place, trial in enumerate(done) if trial.ndcg is not None]
    first = sorted(there, key=lambda place: -ndcg_of(done[place]))[:_LEADING]
    present = [place for place in there if done[place].settings == space.present and place not in first]
    return first + present


def _seed(space: SearchSpace, settings: Settings) -> int | None:
    return seed_of(space.params(settings).candidates[space.name])


def _with_next_seed(space: SearchSpace, trial: Trial, features: Features) -> Trial:
    """Train a setting with its next seed."""
    own, start = _seed(space, trial.settings), time.perf_counter()
    assert own is not None
    score = None
    number = 1 + len(trial.further)
    try:
        with at_level(logging.ERROR, "recgan.adversarial"):  # what each training says of its epochs
            score = measure(space.params(trial.settings), space.name, features, own + number)
    except RecganError as error:
        _log.warning("%s with seed %d failed: %s", in_words(trial.settings), own + number, error)
    else:
        _log.info("%s, seed %d: %.4f (%s)", space.name, own + number, score, in_words(trial.settings))
    seconds = round(trial.seconds + time.perf_counter() - start, 3)
    return replace(trial, further=(*trial.further, score), seconds=seconds)


def _first_gan(params: Params) -> str:
    """Return the candidate that is searched where none is named."""
    names = [name for name, section in params.candidates.items() if section.recommender in GANS]
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
