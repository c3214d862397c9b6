"""A candidate's section inside another one's."""

from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from recgan.adversarial.settings import TrainerParams
from recgan.core.memory import Need
from recgan.core.sections import Kinds
from recgan.recommenders.settings import CandidateSection, ClassicalGrid, always_anew


def section_within(value: Any) -> CandidateSection:
    """Check a candidate's section inside another one against the settings of its own kind.

    Raises:
        ValueError: the kind is missing, unknown or two_stage, or its settings have a fault.
    """
    catalogue = import_module("recgan.recommenders.catalogue")  # which imports what embeds sections

    if isinstance(value, CandidateSection):
        return value
    kind = value.get("recommender") if isinstance(value, dict) else None
    kinds = [one for one in (*catalogue.CLASSICAL, *catalogue.TRAINED) if one != "two_stage"]
    if kind not in kinds:
        given = "has no recommender: KIND" if kind is None else f"is of recommender {kind!r}"
        hint = "; a list of a difference takes the place of its base's list" if kind is None else ""
        raise ValueError(f"it {given}; choose among {', '.join(kinds)}{hint}")
    try:
        found = catalogue.settings_of(kind).model_validate(value)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ValueError("; ".join(faults)) from None
    assert isinstance(found, CandidateSection)
    always_anew(found)
    grid = found.grid() if isinstance(found, ClassicalGrid) else {}
    if empty := [name for name, values in grid.items() if not values]:
        raise ValueError(f"its {empty[0]} has no value to try; give it at least one")
    return found


def _sections() -> list[type[CandidateSection]]:
    catalogue = import_module("recgan.recommenders.catalogue")
    return [catalogue.settings_of(kind) for kind in (*catalogue.CLASSICAL, *catalogue.TRAINED)]


Embedded = Annotated[Any, BeforeValidator(section_within), Kinds(_sections, "recommender")]
"""A whole candidate, with `recommender: KIND` and its settings."""


def needs_of(section: Any, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
    """Yield what the fit of any candidate takes of the machine's memory at its peak."""
    if isinstance(section, ClassicalGrid):
        yield from section.needs(n_items)
    else:
        yield from section.needs(n_users, n_items, on_gpu)


def trainer_of(section: Any) -> TrainerParams:
    """Return where a candidate is trained; the CPU where it is fitted without a Trainer."""
    own: TrainerParams | None = getattr(section, "trainer", None)
    return own or TrainerParams(
        accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="auto", max_time=None
    )
