"""What becomes of a version that has passed the offline gate: the champion, or first an experiment."""

from dataclasses import replace

from mlflow import MlflowClient

from recgan.evaluation.experiment_settings import ExperimentParams
from recgan.package.evidence import have_same_settings
from recgan.registry.domain import Domain
from recgan.registry.experimenting import OUTCOME, begin
from recgan.registry.experiments import running_in, sentence
from recgan.registry.promotion import Judgement, Promotion, promote

FIRST = "it meets shoppers first"


def promote_or_try(params: ExperimentParams, domain: Domain, version: str, judgement: Judgement) -> Promotion:
    """Promote a version that passed, or begin an experiment with it, or leave it for later.

    While an experiment runs, nobody is promoted: another champion would end the comparison. With
    `before_promotion` a version of another recommender or other settings than the champion's begins one. A
    retraining of the champion's own is promoted as ever, since the gate asks of it only not to be worse. A
    version whose experiment has ended is not tried a second time by itself.

    Args:
        params: the section `experiment`.
        domain: of the registered model.
        version: of it.
        judgement: on that version.

    Raises:
        RecganError: the version does not answer.
        Unavailable: the store does not answer, or another process holds the critical section too long.
    """

    def hold(client: MlflowClient, champion: str) -> str | None:
        runs = running_in(client, domain.name)
        if runs is not None:
            return f"an experiment runs, {sentence(runs)}; nobody is promoted until it has ended"
        if not params.before_promotion or have_same_settings(client, domain.name, version, champion):
            return None
        outcome = client.get_model_version(domain.name, version).tags.get(OUTCOME)
        if outcome is not None:
            return (
                f"its experiment ended: {outcome}; another begins by hand: {domain.command} experiment start "
                f"--version {version}"
            )
        return FIRST

    done = promote(domain, version, judgement, hold)
    if done.held != FIRST:
        return done
    experiment = begin(domain, version, params.share, params.design)
    held = f"an experiment has begun, {sentence(experiment)}"
    reasons = (*done.decision.reasons[:-1], f"✗ It passed, but is not live yet: {held}")
    return replace(done, held=held, decision=replace(done.decision, reasons=reasons))
