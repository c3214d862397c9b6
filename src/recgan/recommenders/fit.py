"""Fit any candidate: tune it or train it, as its section says."""

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from recgan.adversarial.settings import ONE_DEVICE, TrainerParams
from recgan.core.errors import RecganError
from recgan.core.memory import refuse, tell
from recgan.features.matrices import Features
from recgan.recommenders.averaged.settings import AveragedParams
from recgan.recommenders.catalogue import CandidateParams
from recgan.recommenders.settings import CandidateSection, ClassicalGrid, seed_of

if TYPE_CHECKING:
    from recgan.recommenders.train import Fitted
    from recgan.recommenders.tune import Tuned

_log = logging.getLogger(__name__)

C = TypeVar("C", bound=CandidateSection)

FAULTS = (RecganError, MemoryError, ArithmeticError, RuntimeError, ValueError)
"""What a fit may end with that says something of this candidate alone: the others go on without it."""


def fit(
    section: CandidateParams,
    features: Features,
    k: int,
    checkpoints: Path,
    start: Path | None = None,
    name: str = "it",
) -> tuple["Tuned | Fitted | None", Path | None]:
    """Return what came of a candidate, None in a process that does not write, and its checkpoints.

    Args:
        section: of the candidate.
        features: matrices; nothing of the test window is read.
        k: validation chooses by NDCG at k.
        checkpoints: where unfinished trainings lie.
        start: the folder of what a warm start begins from; None begins anew.
        name: of the candidate.

    Raises:
        RecganError: it does not fit into memory, or training diverged.
    """
    if isinstance(section, ClassicalGrid):
        from recgan.recommenders.tune import tune

        refuse(tell(section.needs(features.train_validation.shape[1])))
        return tune(section, features, k), None
    from recgan.adversarial.processes import by_first, is_first
    from recgan.recommenders.train import check_validation, fingerprint, how_it_begins, needs, train

    check_validation(section, features)
    by_first(lambda: refuse(tell(needs(section, features))))
    plan = how_it_begins(section, features, start, name)
    place = checkpoints / fingerprint(section, features, k, plan)
    trained = train(section, features, k, place, plan)
    return (trained if is_first() else None), place


def fingerprint(section: CandidateParams, features: Features, k: int) -> str:
    """Name a fit by all that decides its result: settings, features, k and code."""
    if isinstance(section, ClassicalGrid):
        from recgan.recommenders import tune

        return tune.fingerprint(section, features, k)
    from recgan.recommenders import train

    return train.fingerprint(section, features, k)


def with_seed(section: C, seed: int) -> C:
    """Return the section of a candidate with another seed."""
    if isinstance(section, AveragedParams):  # as far on as keeps its own seeds apart
        apart = section.seed + (seed - section.seed) * section.seeds
        return section.model_copy(update={"member": with_seed(section.member, apart)})
    update: dict[str, object] = {} if hasattr(section, "teacher") else {"seed": seed}
    for name in ("teacher", "generator"):  # a GAN's generator is a network, no candidate
        inside = getattr(section, name, None)
        if isinstance(inside, CandidateSection) and seed_of(inside) is not None:
            update[name] = with_seed(inside, seed)
    return section.model_copy(update=update)


def on_one_device(section: C) -> C:
    """Return the section of a candidate with one device for it and for every candidate inside it."""
    update: dict[str, object] = {}
    for name in type(section).model_fields:
        inside = getattr(section, name)
        if isinstance(inside, TrainerParams):
            update[name] = inside.model_copy(update=ONE_DEVICE)
        elif isinstance(inside, CandidateSection):
            update[name] = on_one_device(inside)
    return section.model_copy(update=update)


def reason_of(fault: Exception) -> str:
    """Say why a candidate has no result; what is no user's mistake goes into the log with its place."""
    if isinstance(fault, RecganError):
        return str(fault)
    _log.warning("%s", "".join(traceback.format_exception(fault)))
    return f"{type(fault).__name__}: {fault}"
