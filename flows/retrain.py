"""Retrain: every stage, then register, the gate, promotion, and what people read about it."""

import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from flows.preflight import prepare
from recgan.core import layout

prepare(__name__ == "__main__")  # before Prefect and MLflow read their settings

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.states import Completed, State  # noqa: E402
from pydantic import Field  # noqa: E402

from flows import summary, workplace  # noqa: E402
from flows.here import run_here  # noqa: E402
from flows.names import named  # noqa: E402
from flows.outside import OUTSIDE, told_cleanly  # noqa: E402
from flows.promotion import through_the_gate  # noqa: E402
from flows.runners import check_runner  # noqa: E402
from flows.stages import push_cache, run_in_order, run_stage, stage_order  # noqa: E402
from recgan.accounts.published import publish_accounts  # noqa: E402
from recgan.core.alone import alone  # noqa: E402
from recgan.core.errors import RecganError, Unavailable  # noqa: E402
from recgan.core.files import read_json  # noqa: E402
from recgan.data.freshness import check_freshness  # noqa: E402
from recgan.data.sources.catalogue import check_source  # noqa: E402
from recgan.evaluation.settings import period_of  # noqa: E402
from recgan.online.after_the_gate import promote_or_try  # noqa: E402
from recgan.online.collect import collect  # noqa: E402
from recgan.online.collect import sentence as collected  # noqa: E402
from recgan.online.off_policy import NOTE, noted  # noqa: E402
from recgan.package.start import asks, bring_start  # noqa: E402
from recgan.package.store import Recommenders, retraining  # noqa: E402
from recgan.package.verdict import write_verdict  # noqa: E402
from recgan.recommenders.catalogue import TRAINED  # noqa: E402
from recgan.recommenders.skipped import skip, skipped  # noqa: E402
from recgan.registry.live import followed  # noqa: E402
from recgan.registry.promotion import Promotion  # noqa: E402
from recgan.settings import Params, load_params  # noqa: E402


@task(cache_policy=NO_CACHE)  # DVC's is the only cache
def bring_up_to_date(stage: str, root: Path, params: Params) -> State[str]:
    """Run one DVC stage, or find it unchanged; an unchanged log may be too old by now, or too short."""
    try:
        outcome = run_stage(stage, root, get_run_logger().info)
        if stage == "validate":
            check_freshness(root, params.validate_)
        if stage == "features":  # each training would say it for itself, and be left out
            built = read_json(root / layout.FEATURES_METRICS)
            params.evaluate.check_windows(params.features.split, *period_of(built))
    finally:
        # Wanted most where the events broke an expectation, after which no later task runs.
        if stage == "validate" and (root / layout.VALIDATION_METRICS).exists():
            create_markdown_artifact(
                summary.data_quality(root), key="data-quality", description="Data quality"
            )
    if stage == "screen":
        create_markdown_artifact(
            summary.screening(root), key="fake-accounts", description="Accounts that are left out as fake"
        )
    return Completed(name=outcome.title(), message=f"{stage}: {outcome}", data=str(outcome))


@task(cache_policy=NO_CACHE)
def train_candidate(stage: str, root: Path, params: Params) -> State[str]:
    """Train a candidate, or find it unchanged; one that fails is left out, and the others go on."""
    name = stage.partition("@")[2]
    failed_before = skipped(root, name) is not None  # perhaps of a smaller machine
    # Only a training is followed in MLflow, and by hand, without this flow, not even that.
    adversarial = params.candidates[name].recommender in TRAINED
    with followed(root, params.register_.name) if adversarial else nullcontext({}) as variables:
        try:
            outcome = str(run_stage(stage, root, get_run_logger().info, variables, force=failed_before))
        except Unavailable:
            raise
        except RecganError as fault:  # killed, as where memory runs out: the stage itself could not say so
            skip(name, str(fault), root)
    reason = skipped(root, name)
    if reason is not None:
        return Completed(name="Skipped", message=f"{stage}: {reason}", data="skipped")
    return Completed(name=outcome.title(), message=f"{stage}: {outcome}", data=outcome)


@task(task_run_name="collect feedback", **OUTSIDE)
@told_cleanly
def collect_feedback(root: Path, params: Params) -> None:
    """Bring what servers were told since the last night to where the ingest reads it."""
    get_run_logger().info(collected(collect(root, params)))


@task(task_run_name="bring start", **OUTSIDE)
@told_cleanly
def bring_what_the_champion_left(root: Path, params: Params) -> None:
    """Fetch what a training may begin from; it waits for the features, as the champion may be of these."""
    bring_start(root, params)


@task(task_run_name="judge from the log", **OUTSIDE)
@told_cleanly
def judge_from_the_log(root: Path, params: Params, promotion: Promotion) -> Promotion:
    """Add what the log says that the version would be worth to shoppers; it decides nothing."""
    decision = promotion.decision
    kept = [reason for reason in decision.reasons if not reason.startswith(NOTE)]
    reasons = (*kept, *noted(root, params, promotion.version))
    return replace(promotion, decision=replace(decision, reasons=reasons))


@task(task_run_name="push", **OUTSIDE)
@told_cleanly
def push(root: Path) -> State[str]:
    """Send what was computed to the DVC remote, where one is configured."""
    pushed = push_cache(root, get_run_logger().info)
    return Completed(name="Pushed" if pushed else "NoRemote", data=str(pushed))


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(root: Path, params: Params, promotion: Promotion) -> None:
    """Show the metrics and the decision, as artifacts and as one page; tell servers of fake accounts."""
    report = (root / layout.EVALUATION_TEXT).read_text(encoding="utf-8")
    create_markdown_artifact(report, key="metrics", description="The candidates on the test window")
    create_markdown_artifact(
        summary.decision(params, promotion), key="gate", description="The gate's decision"
    )
    write_verdict(root, params, promotion)
    try:
        publish_accounts(root, params.register_.name)
    except RecganError as fault:  # the decision stands, and servers go on showing the screening before
        get_run_logger().warning("servers are not told of fake accounts: %s", fault)


@task(task_run_name="worktree", cache_policy=NO_CACHE)
def worktree(root: Path, ref: str) -> Path:
    """Bring the worktree of scheduled runs to a commit."""
    return workplace.prepare(root, "retrain", ref)


def run_stages(place: Path, params: Params, timeout: float) -> list[State[str]]:
    """Bring every stage up to date, one after the other; Prefect's graph shows which waits for which.

    Args:
        place: the project, or the worktree of scheduled runs.
        params: of it.
        timeout: of a stage, in seconds.
    """

    def run(stage: str, after: list[Any]) -> State[str]:
        task = (train_candidate if stage.startswith("train@") else bring_up_to_date).with_options(
            name=stage, task_run_name=stage, timeout_seconds=timeout
        )
        if stage == "feedback" and params.ingest.feedback is not None:
            after = [*after, collect_feedback(place, params, return_state=True, wait_for=after)]
            after[-1].result()
        if stage == "start" and asks(params):
            after = [*after, bring_what_the_champion_left(place, params, return_state=True, wait_for=after)]
            after[-1].result()
        return task(stage, place, params, return_state=True, wait_for=after)

    return run_in_order(stage_order(place), run)


def both(refreshed: Promotion | None, challenged: Promotion) -> Promotion:
    """Return what became of the champion's own retraining and of the challenger after it, as one.

    Args:
        refreshed: None where there was no retraining beside the challenger.
        challenged: of the challenger.
    """
    if refreshed is None:
        return challenged
    if challenged.promoted or not refreshed.promoted:
        other, what = refreshed, "The champion's own retraining"
        told = challenged
    else:
        other, what = challenged, "The best candidate on validation"
        told = refreshed
    if other.promoted:
        became = "became the champion before that."
    elif other.already_champion:
        became = "is the champion already."
    else:
        became = f"was not promoted: {' '.join(other.decision.failures)}"
    outcome = "✓" if other.promoted or other.already_champion else "✗"
    reasons = (*told.decision.reasons, f"{outcome} {what} (version {other.version}) {became}")
    return replace(told, champion=challenged.champion, decision=replace(told.decision, reasons=reasons))


@flow(name="retrain", flow_run_name=named("retrain"))
def retrain(
    root: Path = Path(),
    isolated: bool = False,
    ref: Annotated[str, Field(min_length=1, pattern=r"^[^-\s][^\s]*$")] = "HEAD",
    stage_timeout_minutes: Annotated[float, Field(gt=0)] = 480,
) -> State[Promotion]:
    """Bring every stage up to date, register the challenger, and promote it if the gate lets it pass.

    Args:
        root: the project, a folder with params.yaml and dvc.yaml.
        isolated: work in a git worktree that is kept for scheduled runs, not in the project itself.
        ref: the commit, branch or tag that an isolated run takes code and parameters from.
        stage_timeout_minutes: a stage that takes longer is stopped with all its processes.
    """
    workplace.end_with_worker()
    workplace.keep_the_registry(root)
    place = workplace.place_of(root, "retrain") if isolated else root
    with alone(workplace.lock_of(place), "retrain", get_run_logger().info):
        if isolated:
            worktree(root, ref)
        params = load_params(place / "params.yaml")
        done = run_stages(place, params, 60 * stage_timeout_minutes)[-1:]  # it waited for all the others
        # Refreshed first, so that the challenger has to be better than what the champion is tonight.
        own = retraining(place, params)
        move = partial(promote_or_try, params.experiment)
        refreshed = None if own is None else through_the_gate(own, done, move)
        challenged = through_the_gate(Recommenders(place, params), [*done, *filter(None, [refreshed])], move)
        promotion = both(refreshed, judge_from_the_log(place, params, challenged))
        pushed = push(place, return_state=True, wait_for=[challenged])
        pushed.result()
        publish(place, params, promotion, wait_for=[challenged, pushed])
    return Completed(
        name=summary.state_name(promotion), message=summary.sentence(params, promotion), data=promotion
    )


def main() -> int:
    """Run the flow here and print what came of it."""
    root = Path()
    return run_here(
        lambda: retrain(root, return_state=True),
        lambda promotion: summary.closing(root, load_params(root / layout.PARAMS), promotion),
        check=lambda: check(root),
    )


def check(root: Path) -> None:
    """Refuse what is known to fail before a server is started for it.

    Raises:
        RecganError: the parameters have a fault, a file that they name is missing, or the environment names
            no makers of the lists.
    """
    check_runner()
    ingest = load_params(root / layout.PARAMS).ingest
    check_source(ingest, root / ingest.path)


if __name__ == "__main__":
    sys.exit(main())
