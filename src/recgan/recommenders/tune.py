"""Tune the classical baselines on validation, refit them, and rank the test users."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.core.errors import RecganError
from recgan.core.memory import refuse
from recgan.features.matrices import Features
from recgan.recommenders.catalogue import BaselinesParams, Grid, Settings, fitted_of, settings_of
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import window_ndcg

RANKED = 100
"""Length of the rankings written; evaluation cuts them at its own k."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuned:
    """One baseline as validation chose it."""

    settings: Settings
    validation_ndcg: float | None
    """None where there is no validation: the settings are then the middle of the grid."""
    ranking: NDArray[np.int32]
    """(test rows, RANKED or all items) positions, best first."""

    def metrics(self) -> dict[str, Any]:
        """Return what metrics/baselines.json says of it."""
        score = {} if self.validation_ndcg is None else {"validation_ndcg": self.validation_ndcg}
        return {**self.settings, "tuned": self.validation_ndcg is not None, **score}


def tune_all(params: BaselinesParams, features: Features) -> dict[str, Tuned]:
    """Tune each baseline on validation, refit it on train + validation, rank the test users.

    Raises:
        RecganError: a baseline needs more memory than is free.
    """
    n_items = features.train.shape[1]
    refuse(need for grid in params.grids().values() for need in grid.needs(n_items))
    if features.validation is None:
        _log.warning("no validation window: each baseline takes the middle of its grid, untuned")
    return {name: tune(name, grid, features, params) for name, grid in grids(params).items()}


def grids(params: BaselinesParams) -> dict[str, Grid]:
    """Return the settings to try of each baseline that is not left out; popularity has none."""
    return {"popularity": {}} | {name: section.model_dump() for name, section in params.grids().items()}


def tune(name: str, grid: Grid, features: Features, params: BaselinesParams) -> Tuned:
    """Choose a baseline's settings on validation and rank the test users with it.

    Args:
        name: of the baseline.
        grid: setting → values to try.
        features: matrices; nothing of the test window is read before the choice is made.
        params: seed and metric_k.
    """
    exclude_seen = not features.summary["repeat_purchases"]
    best: tuple[Settings, float] | None = None
    if features.validation is None:
        settings = {setting: values[len(values) // 2] for setting, values in grid.items()}
    else:
        for candidate, recommender in fitted_of(name)(grid, features.train, params.seed):
            mean = window_ndcg(recommender, features.validation, params.metric_k, exclude_seen)
            if best is None or mean > best[1]:
                best = (candidate, mean)
        if best is None:
            raise RecganError(f"a setting of baselines.{name} has no value to try; give it at least one")
        settings = best[0]
        _warn_of_edges(name, grid, settings)
    exact: Grid = {setting: (value,) for setting, value in settings.items()}
    _, recommender = next(fitted_of(name)(exact, features.train_validation, params.seed))
    ranking, _ = recommend(recommender, features.test.history, RANKED, exclude_seen, ages=features.test.ages)
    score = "untuned" if best is None else f"validation NDCG@{params.metric_k} {best[1]:.4f}"
    chosen = ", ".join(f"{setting} {value:g}" for setting, value in settings.items())
    _log.info("%s: %s%s", name, score, f" with {chosen}" if chosen else "")
    return Tuned(settings, None if best is None else best[1], ranking)


def _warn_of_edges(name: str, grid: Grid, settings: Settings) -> None:
    """Say where the best setting lies on the edge of its grid: a better one may lie beyond."""
    for setting, value in settings.items():
        values = grid[setting]
        type_of = settings_of(name).model_json_schema()["properties"][setting]["items"]
        bounds = (type_of.get("minimum"), type_of.get("maximum"))
        if len(values) > 2 and value in (min(values), max(values)) and value not in bounds:
            _log.warning(
                "%s: the best %s, %g, is on the edge of its grid; widen baselines.%s.%s",
                *(name, setting, value, name, setting),
            )
