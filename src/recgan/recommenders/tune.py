"""Tune a classical recommender on validation and fit it anew with what was chosen."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recgan.core import closure
from recgan.core.errors import RecganError
from recgan.features.matrices import Features
from recgan.recommenders.catalogue import Grid, Settings, fitted_of, module_of, settings_of
from recgan.recommenders.classical import Classical, save_classical
from recgan.recommenders.curves import curves_csv
from recgan.recommenders.half_lives import best_half_life
from recgan.recommenders.ranking import window_ndcg
from recgan.recommenders.settings import ClassicalGrid, seed_of

_log = logging.getLogger(__name__)

HALF_LIFE = "half_life_days"


@dataclass(frozen=True)
class Tuned:
    """A classical recommender as validation chose it, fitted on train + validation."""

    name: str
    """Of its kind."""
    recommender: Classical
    settings: Settings
    validation_ndcg: float | None
    """None where there is no validation: the settings are then the middle of the grid."""

    def metrics(self) -> dict[str, Any]:
        """Return what the candidate's metrics say of it."""
        score = {} if self.validation_ndcg is None else {"validation_ndcg": self.validation_ndcg}
        return {**self.settings, "tuned": self.validation_ndcg is not None, **score}

    def curves(self) -> str:
        """Return a file of curves without rows: nothing is trained by epochs."""
        return curves_csv([])

    def save(self, folder: Path) -> None:
        """Write the recommender into an existing folder."""
        save_classical(folder, self.name, self.recommender, self.settings, self.validation_ndcg)


def tune(section: ClassicalGrid, features: Features, k: int) -> Tuned:
    """Choose a classical recommender's settings on validation, and fit it with them on train + validation.

    Args:
        section: of the candidate.
        features: matrices; nothing of the test window is read.
        k: validation chooses by NDCG at k.

    Raises:
        RecganError: a setting has no value to try, or a fit fails.
    """
    name, grid = section.recommender, section.grid()
    if empty := [setting for setting, values in grid.items() if not values]:
        raise RecganError(f"{name}'s {empty[0]} has no value to try; give it at least one")
    if features.validation is None:
        _log.warning("%s: no validation window, so it takes the middle of its grid, untuned", name)
        settings, best = untuned(section), None
    else:
        settings, best = choose(section, features, k)
        _warn_of_edges(name, grid, settings)
    recommender = fit_with(section, settings, features, refit=True)
    score = "untuned" if best is None else f"validation NDCG@{k} {best:.4f}"
    chosen = ", ".join(
        f"{setting} {'none' if value is None else format(value, 'g')}" for setting, value in settings.items()
    )
    _log.info("%s: %s%s", name, score, f" with {chosen}" if chosen else "")
    return Tuned(name, recommender, settings, best)


def choose(section: ClassicalGrid, features: Features, k: int) -> tuple[Settings, float]:
    """Return the settings of a grid that are the best on validation, and their NDCG at k.

    Args:
        section: of the candidate.
        features: with a validation window.
        k: places that count.
    """
    return choose_by(section, features, lambda recommender: measured(recommender, features, k))


def choose_by(
    section: ClassicalGrid, features: Features, validate: Callable[[Classical], float]
) -> tuple[Settings, float]:
    """Return the settings of a grid that score best once fitted on train, and their score.

    The half-life of histories is tried on the best of all others: it changes scoring alone.

    Args:
        section: of the candidate.
        features: with a validation window.
        validate: a score of a recommender, higher is better.
    """
    grid = section.grid()
    rest = _without_ages(section, grid)
    tried = (
        (settings, validate(recommender))
        for settings, recommender in fitted_of(section.recommender)(
            rest, features.train, seed_of(section) or 0, features.train_times
        )
    )
    settings, best = max(tried, key=lambda one: one[1])
    if rest == grid:
        return settings, best
    recommender = fit_with(section, settings, features, refit=False)
    days, best = best_half_life(
        recommender,
        grid[HALF_LIFE] if _has_ages(features) else (None,),
        validate,
    )
    return settings | {HALF_LIFE: days}, best


def untuned(section: ClassicalGrid) -> Settings:
    """Return the middle of a grid, for where nothing can choose."""
    return {
        setting: values[0 if setting == HALF_LIFE else len(values) // 2]
        for setting, values in section.grid().items()
    }


def fingerprint(section: ClassicalGrid, features: Features, k: int) -> str:
    """Name a tuning by all that decides its result: grid, features, k and code."""
    parts = [section.model_dump_json(), str(features.summary["md5"]), str(k)]
    return closure.name_by(parts, (__name__, module_of(section.recommender)))


def fit_with(section: ClassicalGrid, settings: Settings, features: Features, *, refit: bool) -> Classical:
    """Fit with one setting of each, on train + validation (`refit`) or on train alone."""
    matrix = features.train_validation if refit else features.train
    times = features.train_validation_times if refit else features.train_times
    exact = _without_ages(section, {name: (value,) for name, value in settings.items()})
    _, recommender = next(fitted_of(section.recommender)(exact, matrix, seed_of(section) or 0, times))
    if len(exact) < len(settings):
        recommender.half_life_days = settings[HALF_LIFE]
    return recommender


def measured(recommender: Classical, features: Features, k: int) -> float:
    """Return the NDCG at k on validation."""
    assert features.validation is not None
    exclude_seen = not features.summary["repeat_purchases"]
    return window_ndcg(recommender, features.validation, k, exclude_seen)


def _without_ages(section: ClassicalGrid, grid: Grid) -> Grid:
    """Return a grid without the half-life of histories; that of popularity is one of fitting, and stays."""
    if section.recommender in ("popularity", "personal"):
        return grid
    return {name: values for name, values in grid.items() if name != HALF_LIFE}


def _has_ages(features: Features) -> bool:
    return features.validation is not None and features.validation.ages is not None


def _warn_of_edges(name: str, grid: Grid, settings: Settings) -> None:
    """Say where the best setting lies on the edge of its grid: a better one may lie beyond."""
    for setting, value in settings.items():
        values = [one for one in grid[setting] if one is not None]
        if value is None or setting == HALF_LIFE:  # null stands for the largest: no edge
            continue
        type_of = settings_of(name).model_json_schema()["properties"][setting]["items"]
        bounds = (type_of.get("minimum"), type_of.get("maximum"))
        if len(values) > 2 and value in (min(values), max(values)) and value not in bounds:
            _log.warning(
                "%s: the best %s, %g, is on the edge of its grid; widen it in the candidate's section",
                *(name, setting, value),
            )
