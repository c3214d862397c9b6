"""Tune the classical baselines on validation, refit them, and rank the test users."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.core.files import replacing, write_json
from recgan.core.memory import refuse
from recgan.features.matrices import Features, read_features
from recgan.recommenders.baselines import EASE, IALS, ItemKNN, Popularity, RP3beta, item_gram
from recgan.recommenders.footprint import of_baselines
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.ranking import window_ndcg
from recgan.settings import BaselinesParams, load_params

RANKED = 100
"""Length of the rankings written; evaluation cuts them at its own k."""

_log = logging.getLogger(__name__)

Settings = dict[str, float]
Grid = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Tuned:
    """One baseline as validation chose it."""

    settings: Settings
    validation_ndcg: float | None
    """None where there is no validation: the settings are then the middle of the grid."""
    ranking: NDArray[np.int32]
    """(test rows, RANKED or all items) positions, best first."""


def baselines(root: Path = Path()) -> None:
    """Tune each baseline on validation, refit it on train + validation, rank the test users.

    Writes data/baselines/rankings.npz (one array per baseline) and metrics/baselines.json.

    Raises:
        RecganError: the features are missing, or a baseline needs more memory than is free.
    """
    params = load_params(root / "params.yaml").baselines
    features = read_features(root / "data" / "features")
    refuse(of_baselines(params, features))
    if features.validation is None:
        _log.warning("no validation window: each baseline takes the middle of its grid, untuned")
    tuned = {name: tune(name, grid, features, params) for name, grid in grids(params).items()}
    with replacing(root / "data" / "baselines") as folder:
        folder.mkdir()
        rankings: dict[str, Any] = {name: one.ranking for name, one in tuned.items()}
        np.savez_compressed(folder / "rankings.npz", **rankings)
    write_json(root / "metrics" / "baselines.json", {name: _metrics(one) for name, one in tuned.items()})


def grids(params: BaselinesParams) -> dict[str, Grid]:
    """Return the settings to try of each baseline that is not left out; popularity has none."""
    sections = {
        "itemknn": params.itemknn,
        "rp3beta": params.rp3beta,
        "ease": params.ease,
        "ials": params.ials,
    }
    return {"popularity": {}} | {
        name: section.model_dump() for name, section in sections.items() if section is not None
    }


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
        for candidate, recommender in fitted(name, grid, features.train, params.seed):
            mean = window_ndcg(recommender, features.validation, params.metric_k, exclude_seen)
            if best is None or mean > best[1]:
                best = (candidate, mean)
        if best is None:
            raise RecganError(f"a setting of baselines.{name} has no value to try; give it at least one")
        settings = best[0]
        _warn_of_edges(name, grid, settings)
    exact: Grid = {setting: (value,) for setting, value in settings.items()}
    _, recommender = next(fitted(name, exact, features.train_validation, params.seed))
    ranking, _ = recommend(recommender, features.test.history, RANKED, exclude_seen)
    score = "untuned" if best is None else f"validation NDCG@{params.metric_k} {best[1]:.4f}"
    chosen = ", ".join(f"{setting} {value:g}" for setting, value in settings.items())
    _log.info("%s: %s%s", name, score, f" with {chosen}" if chosen else "")
    return Tuned(settings, None if best is None else best[1], ranking)


def fitted(name: str, grid: Grid, user_items: csr_array, seed: int) -> Iterator[tuple[Settings, Recommender]]:
    """Fit a baseline with each setting of a grid, sharing what several settings have in common.

    Args:
        name: of the baseline.
        grid: setting → values to try.
        user_items: (users, items), confidences.
        seed: of iALS's first factors.
    """
    if name == "popularity":
        yield {}, Popularity().fit(user_items)
    elif name == "itemknn":
        most = int(max(grid["neighbours"]))
        for shrink, asymmetry in product(grid["shrink"], grid["asymmetry"]):
            found = ItemKNN(most, shrink, asymmetry).nearest(user_items, most)
            for n in map(int, grid["neighbours"]):
                settings = {"neighbours": n, "shrink": shrink, "asymmetry": asymmetry}
                yield settings, ItemKNN(n, shrink, asymmetry).fit(user_items, found)
    elif name == "rp3beta":
        most = int(max(grid["neighbours"]))
        for alpha in grid["alpha"]:
            found = RP3beta(most, alpha, 0).nearest(user_items, most)
            for n, beta in product(map(int, grid["neighbours"]), grid["beta"]):
                settings = {"neighbours": n, "alpha": alpha, "beta": beta}
                yield settings, RP3beta(n, alpha, beta).fit(user_items, found)
    elif name == "ease":
        gram = item_gram(user_items)
        for l2 in grid["l2"]:
            yield {"l2": l2}, EASE(l2).fit(user_items, gram)
    else:
        names = ("factors", "regularization", "alpha", "iterations")
        for factors, regularization, alpha, iterations in product(*(grid[setting] for setting in names)):
            settings = dict(zip(names, (factors, regularization, alpha, iterations), strict=True))
            yield (
                settings,
                IALS(int(factors), regularization, alpha, int(iterations), seed).fit(user_items),
            )


def _warn_of_edges(name: str, grid: Grid, settings: Settings) -> None:
    """Say where the best setting lies on the edge of its grid: a better one may lie beyond."""
    for setting, value in settings.items():
        values = grid[setting]
        bounds = (0, 1) if setting == "asymmetry" else (0,)
        if len(values) > 2 and value in (min(values), max(values)) and value not in bounds:
            _log.warning(
                "%s: the best %s, %g, is on the edge of its grid; widen baselines.%s.%s",
                *(name, setting, value, name, setting),
            )


def _metrics(tuned: Tuned) -> dict[str, Any]:
    score = {} if tuned.validation_ndcg is None else {"validation_ndcg": tuned.validation_ndcg}
    return {**tuned.settings, "tuned": tuned.validation_ndcg is not None, **score}
