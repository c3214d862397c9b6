"""Every recommender by its name: a new one is a folder beside this file and one line here.

A folder NAME has `settings.py` and `recommender.py`, with the class named here, C:

- of those that are trained: `CParams`, the section of a candidate, and `C`, a `Trained`;
- of the classical ones: `CGrid`, whose lists are the values to try, `C`, a `Classical`, and `fitted`, which
  fits with each of the grid's settings.

Both are imported when they are asked for, so that nothing imports torch but what trains or scores with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Union, cast

from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from recgan.recommenders.averaged.settings import AveragedParams
    from recgan.recommenders.classical import Classical
    from recgan.recommenders.settings import CandidateSection, ClassicalGrid, TrainingParams
    from recgan.recommenders.student.settings import StudentParams
    from recgan.recommenders.trained import Trained
    from recgan.recommenders.two_stage.settings import TwoStageParams

TRAINED: Mapping[str, str] = {
    "rcgan": "RCGAN",
    "cfgan": "CFGAN",
    "irgan": "IRGAN",
    "feature_gan": "FeatureGAN",
    "sequence": "Sequence",
    "student": "Student",
    "two_stage": "TwoStage",
    "averaged": "Averaged",
}
"""What is trained by epochs: name → class. Whether an adversary takes part, its section says."""

CLASSICAL: Mapping[str, str] = {
    "popularity": "Popularity",
    "personal": "Personal",
    "itemknn": "ItemKNN",
    "rp3beta": "RP3beta",
    "ease": "EASE",
    "sparse_ease": "SparseEASE",
    "ials": "IALS",
}
"""What is tuned over a grid: name → class."""

Settings = dict[str, Any]
Grid = Mapping[str, Sequence[Any]]
Fitted = Callable[[Grid, csr_array, int, "NDArray[Any] | None"], "Iterator[tuple[Settings, Classical]]"]


def settings_of(name: str) -> "type[CandidateSection]":
    """Return the class of a recommender's section of params.yaml."""
    class_name = f"{TRAINED[name]}Params" if name in TRAINED else f"{CLASSICAL[name]}Grid"
    found = getattr(import_module(f"{_FOLDER}.{name}.settings"), class_name)
    return cast("type[CandidateSection]", found)


def trained_class(name: str) -> "type[Trained]":
    """Return the class of a recommender that is trained."""
    return cast("type[Trained]", getattr(import_module(module_of(name)), TRAINED[name]))


def classical_class(name: str) -> "type[Classical]":
    """Return the class of a classical recommender."""
    return cast("type[Classical]", getattr(import_module(module_of(name)), CLASSICAL[name]))


def fitted_of(name: str) -> Fitted:
    """Return what fits a classical one: (grid, user_items, seed, times) → settings and fitted, one by one."""
    return cast("Fitted", import_module(module_of(name)).fitted)


def module_of(name: str) -> str:
    """Return the module of what serves, whose imports are all that decides its scores."""
    return f"{_FOLDER}.{name}.recommender"


_FOLDER = "recgan.recommenders"

if TYPE_CHECKING:
    CandidateParams = ClassicalGrid | TrainingParams | StudentParams | TwoStageParams | AveragedParams
else:
    CandidateParams = Annotated[
        Union[tuple(settings_of(name) for name in [*CLASSICAL, *TRAINED])],  # noqa: UP007  (made of a tuple)
        Field(discriminator="recommender"),
    ]
