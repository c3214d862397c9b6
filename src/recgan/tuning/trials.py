"""The trials of a search, and which setting the next one is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recgan.core.errors import RecganError
from recgan.tuning.ranges import Choices, Range
from recgan.tuning.search_space import SearchSpace, Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler


_RANDOM = 10  # trials at random before there is enough to learn from


_DIGITS = 3  # of a number that is tried: what is written is what was measured


_ATTEMPTS = 50


@dataclass(frozen=True)
class Trial:
    """One setting and what came of it."""

    settings: Settings
    ndcg: float | None
    """On validation with the candidate's own seed; None where it failed."""
    seconds: float
    failure: str | None
    """Why there is no NDCG."""
    further: tuple[float | None, ...] = ()
    """The same setting's NDCG with the next seeds, None where one failed: only leading trials have them."""

    @property
    def mean(self) -> float | None:
        """The mean over all its seeds; None where one failed."""
        scores = [score for score in (self.ndcg, *self.further) if score is not None]
        return float(np.mean(scores)) if len(scores) == 1 + len(self.further) else None


def propose(space: SearchSpace, trials: Sequence[Trial], seed: int) -> Settings | None:
    """Return what to try after these trials; None where nothing new comes up.

    A function of its arguments alone: there is no state that a killed search could lose. A trial that failed
    counts like the worst of the others, so that the search moves away from it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = _distributions(space)
    worst = min((trial.ndcg for trial in trials if trial.ndcg is not None), default=0.0)
    finished = [
        optuna.trial.create_trial(
            params={name: _inside(space, name, value) for name, value in trial.settings.items()},
            distributions=distributions,
            value=worst if trial.ndcg is None else trial.ndcg,
        )
        for trial in trials
        if all(_is_told(values, trial.settings[name]) for name, values in space.ranges.items())
    ]
    tried = [trial.settings for trial in trials]
    for attempt in range(_ATTEMPTS):
        state = int(np.random.SeedSequence([seed, len(trials), attempt]).generate_state(1)[0])
        sampler = _sampler(len(trials), attempt, state)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(finished)
        asked = study.ask(distributions).params
        settings = {name: _outside(space, name, asked[name]) for name in space.ranges}
        if settings not in tried:
            return settings
    return None


def _sampler(trials: int, attempt: int, seed: int) -> "BaseSampler":
    """Return what proposes: where the surer way comes up with a setting that was tried, another one."""
    from optuna.samplers import GPSampler, RandomSampler, TPESampler

    if trials < _RANDOM or attempt > _ATTEMPTS // 2:
        return RandomSampler(seed=seed)
    return GPSampler(seed=seed) if attempt == 0 else TPESampler(seed=seed, multivariate=True)


def _distributions(space: SearchSpace) -> "dict[str, BaseDistribution]":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, BaseDistribution] = {}
    for name, values in space.ranges.items():
        if isinstance(values, Choices):
            made[name] = CategoricalDistribution([json.dumps(choice) for choice in values.choices])
        elif name in space.whole:
            made[name] = IntDistribution(int(values.low), int(values.high), log=values.log)
        else:
            made[name] = FloatDistribution(values.low, values.high, log=values.log)
    return made


def _is_told(values: Range | Choices, value: Any) -> bool:
    """Tell whether Optuna can know of a value: of a choice it has, or a number."""
    return value in values if isinstance(values, Choices) else value is not None


def _inside(space: SearchSpace, name: str, value: Any) -> Any:
    """Return a value as Optuna keeps it: a choice as text, for it may be a list.

    What params.yaml holds may lie outside; Optuna gets the nearest end instead.
    """
    values = space.ranges[name]
    return json.dumps(value) if isinstance(values, Choices) else min(max(value, values.low), values.high)


def _outside(space: SearchSpace, name: str, value: Any) -> Any:
    """Return a value as params.yaml holds it, a number with few digits."""
    values = space.ranges[name]
    if isinstance(values, Choices):
        return json.loads(value)
    if name in space.whole:
        return int(value)
    short = min(max(float(f"{value:.{_DIGITS}g}"), values.low), values.high)
    return int(short) if short.is_integer() else short


def in_words(settings: Settings) -> str:
    """Say which settings they are."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in settings.items()
    )


def need_optuna() -> None:
    """Refuse a search without Optuna, which is an extra.

    Raises:
        RecganError: it is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise RecganError("a search needs Optuna; pip install -c requirements.lock -e '.[hpo]'") from None
