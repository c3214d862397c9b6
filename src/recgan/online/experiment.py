"""An experiment on shoppers from its beginning to the second gate's decision."""

from pathlib import Path
from typing import get_args

from recgan.core.errors import RecganError
from recgan.evaluation.experiment_settings import Design
from recgan.package.store import Recommenders
from recgan.registry.experimenting import begin
from recgan.registry.experiments import Experiment
from recgan.settings import Params


def start(
    root: Path,
    params: Params,
    version: str | None = None,
    share: float | None = None,
    design: str | None = None,
    by: str | None = None,
) -> Experiment:
    """Begin an experiment; what is not given is as the section `experiment` has it.

    Args:
        root: the project.
        params: of it.
        version: None for the alias `challenger`.
        share: of the shoppers.
        design: split or interleave.
        by: who does it; None for this user on this machine.

    Raises:
        RecganError: there is no such design, or as `registry.experimenting.begin`.
        Unavailable: the store does not answer, or the version cannot be asked now.
    """
    section = params.experiment
    design = section.design if design is None else design
    if design not in get_args(Design):
        raise RecganError(f"there is no design {design!a}; choose {' or '.join(get_args(Design))}")
    share = section.share if share is None else share
    return begin(Recommenders(root, params), version, share, design, by)
