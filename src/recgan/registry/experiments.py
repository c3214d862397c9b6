"""Which experiment between the champion and another version runs, and what came of the last one.

It stands in one tag of the registered model, so that every server on every machine sees the same. One tag is
written at once, whole. MLflow calls something else an experiment: a group of runs.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from recgan.registry.outage import outside
from recgan.registry.tracking import connect

RUNNING, LAST = "experiment.running", "experiment.last"  # tags of the registered model, JSON each

Outcome = Literal["promoted", "rolled back", "undecided", "stopped"]


@dataclass(frozen=True)
class Experiment:
    """Two versions of a registered model, and who meets which."""

    id: str
    champion: str
    challenger: str
    share: float
    """Of those who ask, that meet the challenger."""
    design: str
    began: datetime
    by: str


@dataclass(frozen=True)
class Ended:
    """What came of an experiment."""

    experiment: Experiment
    outcome: Outcome
    reasons: tuple[str, ...]
    """Each begins with ✓, ✗ or ·."""
    ended: datetime
    by: str


@outside()
def running(root: Path, name: str) -> Experiment | None:
    """Return the experiment that runs, or None.

    Raises:
        Unavailable: the store does not answer.
    """
    return running_in(connect(root), name)


@outside()
def last(root: Path, name: str) -> Ended | None:
    """Return what came of the experiment that ended last; None where none did.

    Raises:
        Unavailable: the store does not answer.
    """
    found = _tags(connect(root), name).get(LAST)
    if found is None:
        return None
    content = json.loads(found)
    return Ended(
        _experiment(content["experiment"]),
        content["outcome"],
        tuple(content["reasons"]),
        datetime.fromisoformat(content["ended"]),
        content["by"],
    )


def running_in(client: MlflowClient, name: str) -> Experiment | None:
    """Return the experiment that runs as a client sees it, or None."""
    found = _tags(client, name).get(RUNNING)
    return None if found is None else _experiment(json.loads(found))


def _tags(client: MlflowClient, name: str) -> dict[str, str]:
    try:
        return dict(client.get_registered_model(name).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


def _experiment(content: dict[str, Any]) -> Experiment:
    return Experiment(**content | {"began": datetime.fromisoformat(content["began"])})


def as_json(content: Experiment | Ended) -> str:
    """Return what a tag holds."""
    return json.dumps(asdict(content), default=datetime.isoformat, ensure_ascii=False)


def changed(experiment: Experiment, live: str | None) -> str:
    """Say that the champion is another one than at the beginning."""
    return (
        f"The champion is {'no version' if live is None else f'version {live}'} now, not version "
        f"{experiment.champion}, which version {experiment.challenger} was compared with."
    )


def sentence(experiment: Experiment) -> str:
    """Say which versions meet whom since when."""
    how = "in lists of its own" if experiment.design == "split" else "in lists drawn from both"
    return (
        f"version {experiment.challenger} against champion {experiment.champion}, {how} for "
        f"{experiment.share:.3g} of those who ask, since {experiment.began:%Y-%m-%d %H:%M} UTC by "
        f"{experiment.by} (experiment {experiment.id})"
    )


def told(done: Ended) -> str:
    """Say how an experiment ended, with every reason."""
    return "\n".join(
        [
            f"Ended {done.ended:%Y-%m-%d %H:%M} UTC by {done.by}: {done.outcome}.",
            f"It was {sentence(done.experiment)}.",
            *done.reasons,
        ]
    )
