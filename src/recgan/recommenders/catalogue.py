"""Every recommender by its name: a new one is a folder beside this file and one line here.

A folder NAME has `settings.py` and `recommender.py`, with the class named here, C:

- of those that train fits: the section `CParams` of params.yaml, and `C`, a `Trained`;
- of the baselines: the grid `CGrid`, none for popularity, and `fitted`, which fits with each of its settings.

Both are imported when they are asked for, so that nothing imports torch but what trains or scores with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Literal, Union, cast

from pydantic import Field, create_model
from scipy.sparse import csr_array

from recgan.core.sections import Count, Section, Seed
from recgan.recommenders.settings import BaselineGrid, TrainingParams

if TYPE_CHECKING:
    from recgan.recommenders.protocol import Recommender
    from recgan.recommenders.trained import Trained

TRAINED: Mapping[str, str] = {
    "rcgan": "RCGAN",
    "cfgan": "CFGAN",
    "irgan": "IRGAN",
    "feature_gan": "FeatureGAN",
    "student": "Student",
}
"""What the train stage fits: name → class."""

BASELINES: Mapping[str, str] = {
    "popularity": "Popularity",
    "itemknn": "ItemKNN",
    "rp3beta": "RP3beta",
    "ease": "EASE",
    "ials": "IALS",
}
"""What the baselines stage tunes: name → class."""

Settings = dict[str, float]
Grid = Mapping[str, Sequence[float]]
Fitted = Callable[[Grid, csr_array, int], "Iterator[tuple[Settings, Recommender]]"]


def settings_of(name: str) -> type[Section]:
    """Return the class of a recommender's section of params.yaml."""
    suffix = "Params" if name in TRAINED else "Grid"
    found = getattr(
        import_module(f"{_FOLDER}.{name}.settings"), f"{TRAINED.get(name) or BASELINES[name]}{suffix}"
    )
    return cast("type[Section]", found)


def class_of(name: str) -> "type[Trained]":
    """Return the class of a recommender that train fits."""
    return cast("type[Trained]", getattr(import_module(module_of(name)), TRAINED[name]))


def fitted_of(name: str) -> Fitted:
    """Return what fits a baseline: (grid, user_items, seed) → its settings, each with what was fitted."""
    return cast("Fitted", import_module(module_of(name)).fitted)


def module_of(name: str) -> str:
    """Return the module of what serves, whose imports are all that decides its scores."""
    return f"{_FOLDER}.{name}.recommender"


_FOLDER = "recgan.recommenders"
_GRIDS = {name: settings_of(name) for name in BASELINES if name != "popularity"}


class _Baselines(Section):
    """Grids of the tuned baselines; the best setting on validation is refitted and ranked on test.

    null leaves a baseline out; popularity is always there.
    """

    seed: Seed
    metric_k: Count
    """Settings are chosen by NDCG at this k on validation."""

    def grids(self) -> dict[str, BaselineGrid]:
        """Return the grid of each baseline that has one and is not left out."""
        sections = {name: getattr(self, name) for name in _GRIDS}
        return {name: section for name, section in sections.items() if section is not None}


if TYPE_CHECKING:
    BaselinesParams = _Baselines
    TrainParams = TrainingParams
    BaselineName = str
else:
    BaselinesParams = create_model(
        "BaselinesParams",
        __base__=_Baselines,
        __doc__=_Baselines.__doc__,
        **{name: (grid | None, ...) for name, grid in _GRIDS.items()},
    )
    TrainParams = Annotated[
        Union[tuple(settings_of(name) for name in TRAINED)],  # noqa: UP007  (made of a tuple)
        Field(discriminator="recommender"),
    ]
    BaselineName = Literal[tuple(BASELINES)]
