"""How an experiment begins and how it ends: what becomes of the two versions."""

import logging
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core.errors import RecganError
from recgan.registry.aliases import WITHDRAWN, crown, mend
from recgan.registry.by_hand import known_version
from recgan.registry.domain import Domain
from recgan.registry.experiments import (
    LAST,
    RUNNING,
    Ended,
    Experiment,
    Outcome,
    as_json,
    changed,
    running,
    running_in,
    sentence,
)
from recgan.registry.outage import outside
from recgan.registry.rollback import this_user, trial_fault, withdrawal
from recgan.registry.tracking import CHALLENGER, connect, critical_section, current

log = logging.getLogger(__name__)

OUTCOME, REASONS = "experiment.outcome", "experiment.reasons"  # tags of the version that was tried


@outside()
def begin(
    domain: Domain, version: str | None, share: float, design: str, by: str | None = None
) -> Experiment:
    """Let a version meet a share of those who ask; the champion answers the others.

    Args:
        domain: of the registered model.
        version: of it; None for the alias `challenger`.
        share: of those who ask.
        design: how the two share the answers.
        by: who does it; None for this user on this machine.

    Raises:
        RecganError: the share is not between 0 and 1, an experiment runs already, there is no champion, or
            the version is unknown, the champion, withdrawn, or does not answer.
        Unavailable: the store does not answer, or the version cannot be asked now.
    """
    if not 0 < share < 1:
        raise RecganError(f"the share is {share:g}; give one between 0 and 1, such as 0.1")
    client, name = connect(domain.root), domain.name
    _, tried = _fit(client, domain, version)
    _check_answers(domain, str(tried.version))  # before the critical section: it takes seconds
    with critical_section(domain.root, name):
        mend(client, name)
        champion, tried = _fit(client, domain, str(tried.version))
        experiment = Experiment(
            id=uuid.uuid4().hex[:12],
            champion=str(champion.version),
            challenger=str(tried.version),
            share=share,
            design=design,
            began=datetime.now(UTC),
            by=by or this_user(),
        )
        client.set_registered_model_tag(name, RUNNING, as_json(experiment))
    log.info("%s: %s", name, sentence(experiment))
    return experiment


def _fit(client: MlflowClient, domain: Domain, version: str | None) -> tuple[ModelVersion, ModelVersion]:
    """Return the champion and a version that can be tried beside it."""
    name, champion = domain.name, current(client, domain.name)
    runs = running_in(client, name)
    if runs is not None:
        raise RecganError(
            f"an experiment of {name} runs already: {sentence(runs)}; end it first: "
            f'{domain.command} experiment stop --reason "…"'
        )
    if champion is None:
        raise RecganError(
            f"{name} has no champion to try a version beside; promote one first: {domain.retrain}"
        )
    if version is None:
        tried = current(client, name, CHALLENGER)
        if tried is None:
            raise RecganError(
                f"{name} has no challenger; name a version: {domain.command} experiment start --version N"
            )
    else:
        tried = known_version(client, domain, version)
    if tried.version == champion.version:
        raise RecganError(
            f"version {tried.version} of {name} is the champion; an experiment needs another version"
        )
    if (withdrawn := withdrawal(tried)) is not None:
        raise RecganError(f"{withdrawn}; try a version that was not: {domain.retrain}")
    return champion, tried


def _check_answers(domain: Domain, version: str) -> None:
    error = trial_fault(domain, version)
    if error is not None:
        raise RecganError(
            f"version {version} of {domain.name} does not answer ({error}), so no experiment has begun; try "
            f"a version that works: {domain.command} experiment start --version N"
        )


@outside()
def stop(domain: Domain, reason: str, by: str | None = None) -> Ended:
    """End the experiment that runs without a decision: the champion stays, and the version may come again.

    Raises:
        RecganError: no reason is given, or no experiment runs.
        Unavailable: the store does not answer.
    """
    if not reason.strip():
        raise RecganError('stopping an experiment needs a reason for the record; give --reason "…"')
    runs = running(domain.root, domain.name)
    if runs is None:
        raise RecganError(f"no experiment of {domain.name} runs, so there is nothing to stop")
    by = by or this_user()
    return end(domain, runs, "stopped", (f"· Stopped by {by}: {reason.strip()}",), by)


@outside()
def end(
    domain: Domain, experiment: Experiment, outcome: Outcome, reasons: tuple[str, ...], by: str | None = None
) -> Ended:
    """End an experiment and do what follows: promote, withdraw, or leave the champion where it is.

    In the critical section of promotion. The tag that says that it runs goes last. So whoever is killed on
    the way is followed by one who finds it still running, and ends it again. Where the champion has changed
    meanwhile, nobody is promoted.

    Args:
        domain: of the registered model.
        experiment: that runs.
        outcome: of it.
        reasons: each begins with ✓, ✗ or ·.
        by: who does it; None for this user on this machine.

    Raises:
        RecganError: it does not run any more.
        Unavailable: the store does not answer, or another process holds the critical section too long.
    """
    client, name = connect(domain.root), domain.name
    done = Ended(experiment, outcome, reasons, datetime.now(UTC), by or this_user())
    with critical_section(domain.root, name):
        champion, runs = mend(client, name), running_in(client, name)
        if runs is None or runs.id != experiment.id:
            raise RecganError(
                f"experiment {experiment.id} of {name} does not run any more; nothing was changed"
            )
        live = None if champion is None else str(champion.version)
        if outcome == "promoted" and live not in (experiment.champion, experiment.challenger):
            told = f"✗ {changed(experiment, live)}"
            done = replace(done, outcome="undecided", reasons=(*reasons, told))
        _record(client, name, done)
        if done.outcome == "promoted" and live != experiment.challenger:
            crown(client, name, experiment.challenger, experiment.champion)
        if done.outcome == "rolled back":
            _withdraw(client, name, done)
        client.set_registered_model_tag(name, LAST, as_json(done))
        client.delete_registered_model_tag(name, RUNNING)
    log.info("%s: the experiment with version %s: %s", name, experiment.challenger, done.outcome)
    return done


def _record(client: MlflowClient, name: str, done: Ended) -> None:
    version, lines = done.experiment.challenger, "\n".join(done.reasons)
    client.set_model_version_tag(name, version, OUTCOME, done.outcome)
    client.set_model_version_tag(name, version, REASONS, lines)
    before = client.get_model_version(name, version).description or ""
    head = f"**Experiment {done.experiment.id} against version {done.experiment.champion}: {done.outcome}.**"
    if head not in before:  # one who was killed on the way has told it
        told = "\n".join(f"- {reason}" for reason in done.reasons)
        client.update_model_version(name, version, f"{before}\n\n{head}\n\n{told}".strip())


def _withdraw(client: MlflowClient, name: str, done: Ended) -> None:
    """Have the gate refuse the version from now on."""
    version = done.experiment.challenger
    against = [reason[2:] for reason in done.reasons if reason.startswith("✗")]
    for key, value in {
        "when": done.ended.isoformat(timespec="seconds"),
        "by": done.by,
        "reason": " ".join(against) or "the experiment",
        "for": done.experiment.champion,
    }.items():
        client.set_model_version_tag(name, version, f"{WITHDRAWN}.{key}", value)
    holder = current(client, name, CHALLENGER)
    if holder is not None and str(holder.version) == version:
        client.delete_registered_model_alias(name, CHALLENGER)
