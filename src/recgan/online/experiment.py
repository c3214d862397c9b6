"""An experiment on shoppers from its beginning to the second gate's decision."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np

from recgan.core.errors import RecganError
from recgan.data.impressions import logged
from recgan.evaluation.experiment_settings import Design, ExperimentParams
from recgan.evaluation.plain_words import Change
from recgan.online.arms import BOTH, CHALLENGER, CHAMPION
from recgan.online.last_look import keep
from recgan.online.outcomes import METRICS, Outcomes, read_outcomes
from recgan.online.second_gate import Arm, Effect, Evidence, Verdict, decide
from recgan.online.sequences import difference, interval, preference
from recgan.package.store import Recommenders
from recgan.package.verdict import tell_of_change
from recgan.registry.experimenting import begin, end
from recgan.registry.experiments import Ended, Experiment, running, told
from recgan.registry.experiments import Outcome as Became
from recgan.registry.outage import outside
from recgan.registry.rollback import withdrawal
from recgan.registry.tracking import connect, current
from recgan.settings import Params

log = logging.getLogger(__name__)

ENDS: dict[str, Became] = {
    "promote": "promoted",
    "roll back": "rolled back",
    "end undecided": "undecided",
}


@dataclass(frozen=True)
class Judged:
    """A look at the running experiment, and what followed."""

    evidence: Evidence
    verdict: Verdict
    ended: Ended | None
    """None where it goes on."""


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


def look(root: Path, params: Params, now: datetime | None = None) -> tuple[Evidence, Verdict] | None:
    """Return what the second gate would decide now; None where no experiment runs. Nothing is changed.

    Args:
        root: the project, which holds the log of answers.
        params: of it.
        now: the time of the look; None for the clock's.

    Raises:
        RecganError: a finished file of the log is damaged.
        Unavailable: the store does not answer.
    """
    name, now = params.register_.name, now or datetime.now(UTC)
    experiment = running(root, name)
    if experiment is None:
        return None
    found = read_outcomes(logged(root, name), experiment, now, params.experiment.attribution_days)
    evidence = gathered(found, experiment, now, params.experiment, *_versions(root, name, experiment))
    return evidence, decide(evidence, params.experiment)


@outside()
def _versions(root: Path, name: str, experiment: Experiment) -> tuple[str | None, str | None]:
    """Return the champion now, and why the challenger was withdrawn."""
    client = connect(root)
    champion = current(client, name)
    tried = client.get_model_version(name, experiment.challenger)
    return None if champion is None else str(champion.version), withdrawal(tried)


def judge(root: Path, params: Params, by: str | None = None, now: datetime | None = None) -> Judged | None:
    """Let the second gate decide, and do what it decides; None where no experiment runs.

    Args:
        root: the project, which holds the log of answers.
        params: of it.
        by: for the record; None for this user on this machine.
        now: the time of the look; None for the clock's.

    Raises:
        RecganError: a finished file of the log is damaged, or another has ended the experiment meanwhile.
        Unavailable: the store does not answer.
    """
    found = look(root, params, now)
    if found is None:
        return None
    evidence, verdict = found
    keep(root, evidence, verdict)
    if verdict.outcome == "keep running":
        return Judged(evidence, verdict, None)
    domain = Recommenders(root, params)
    done = end(domain, evidence.experiment, ENDS[verdict.outcome], verdict.reasons, by)
    if done.outcome == "promoted":
        tell_of_change(root, domain.name, Change(done.experiment.challenger, told(done)))
    return Judged(evidence, verdict, done)


def gathered(
    found: Outcomes,
    experiment: Experiment,
    now: datetime,
    params: ExperimentParams,
    live: str | None,
    withdrawn: str | None,
) -> Evidence:
    """Turn what came of an experiment into the second gate's evidence.

    Args:
        found: of the experiment.
        experiment: that runs.
        now: the time of the look.
        params: the section `experiment`.
        live: the champion now.
        withdrawn: why the challenger was withdrawn; None where it was not.
    """
    tried = CHALLENGER if experiment.design == "split" else BOTH
    names = (CHAMPION, CHALLENGER)
    items = (found.items.get(CHAMPION, 0), found.items.get(CHALLENGER, 0))
    return Evidence(
        experiment=experiment,
        now=now,
        live=live,
        withdrawn=withdrawn,
        champion=_arm(found, CHAMPION),
        challenger=_arm(found, tried),
        own_items=items if set(names) <= set(found.items) and any(items) else None,
        effects=tuple(_effect(found, experiment, params, metric) for metric in METRICS),
    )


def _arm(found: Outcomes, name: str) -> Arm:
    shoppers = found.shoppers[found.shoppers["arm"] == name]
    arms = found.arms[found.arms["arm"] == name]
    answers = int(arms["answers"].sum())
    counted = int(shoppers["answers"].sum())
    return Arm(
        name=name,
        answers=answers,
        counted=counted,
        shoppers=len(shoppers),
        rates={metric: float(shoppers[metric].sum()) / counted if counted else 0.0 for metric in METRICS},
        value=float(shoppers["value"].sum()) / counted if counted else 0.0,
        slowest=float(arms["slowest"].sum()) if answers else None,
        failed=int(arms["failed"].sum()) / answers if answers else None,
    )


def _effect(found: Outcomes, experiment: Experiment, params: ExperimentParams, metric: str) -> Effect:
    shoppers = found.shoppers
    if experiment.design == "split":
        n, y = (shoppers[column].to_numpy(dtype=np.float64) for column in ("answers", metric))
        estimate = difference(n, y, (shoppers["arm"] == CHALLENGER).to_numpy(dtype=np.bool_))
    else:
        met = shoppers[shoppers["arm"] == BOTH]
        columns = ("answers", f"{metric}_wins", f"{metric}_decided")
        estimate = preference(*(met[column].to_numpy(dtype=np.float64) for column in columns))
    return Effect(metric, estimate.value, interval(estimate, params.alpha, params.narrowest_at))
