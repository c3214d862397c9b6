"""The gate's second half: a pure decision on an experiment, with every reason."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from recgan.evaluation.experiment_settings import ExperimentParams
from recgan.online.sequences import Interval
from recgan.registry.experiments import Experiment, changed

Outcome = Literal["promote", "keep running", "roll back", "end undecided"]


@dataclass(frozen=True)
class Arm:
    """What was answered in an arm, and what came of it."""

    name: str
    answers: int
    """All of them: the guardrails are judged on these."""
    counted: int
    """Those whose time for attribution is over; the rates are over these."""
    shoppers: int
    """Who were given the counted ones."""
    rates: dict[str, float]
    """Share of the counted answers with such an event, by metric."""
    value: float
    """Mean revenue of a counted answer, in the shop's currency; shown alone, since a few large orders decide
    it."""
    slowest: float | None
    """Milliseconds of the slowest answer in a hundred; None without an answer."""
    failed: float | None
    """Share of the answers in which another stood in; None without an answer."""


@dataclass(frozen=True)
class Effect:
    """How the challenger differs from the champion by one metric."""

    metric: str
    difference: float
    """Of the rates; of interleaved lists, the share that its items win less the share that they lose."""
    interval: Interval | None
    """One look at the confidence sequence; None where nothing varied yet."""


@dataclass(frozen=True)
class Evidence:
    """What the second gate knows of an experiment."""

    experiment: Experiment
    now: datetime
    live: str | None
    """The champion at the time of the look."""
    withdrawn: str | None
    """Why the challenger was withdrawn meanwhile; None where it was not."""
    champion: Arm
    challenger: Arm
    """Of interleaved lists, those."""
    own_items: tuple[int, int] | None
    """Distinct items of the champion and of the challenger that are compared; None without any."""
    effects: tuple[Effect, ...]

    def effect(self, metric: str) -> Effect:
        """Return the effect on a metric."""
        return next(effect for effect in self.effects if effect.metric == metric)


@dataclass(frozen=True)
class Verdict:
    """What becomes of an experiment, and every reason: ✓ for the challenger, ✗ against, · neither."""

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(evidence: Evidence, params: ExperimentParams) -> Verdict:
    """Judge a running experiment.

    A challenger is withdrawn where a guardrail is broken or it is credibly worse: the whole confidence
    sequence of the primary metric is below 0. It is promoted where the whole is above 0. Else it goes on,
    until the longest days are over: then the champion stays. Nothing is decided on fewer answers than
    `min_shoppers` in the challenger's arm, and by the metric not on fewer shoppers in either. Where the
    champion is another one by now, the comparison says nothing any more.
    """
    if evidence.live == evidence.experiment.challenger:
        return Verdict("promote", (f"✓ Version {evidence.live} is the champion already.",))
    if evidence.withdrawn is not None:
        return Verdict("roll back", (f"✗ {evidence.withdrawn}",))
    if evidence.live != evidence.experiment.champion:
        return Verdict("end undecided", (f"· {changed(evidence.experiment, evidence.live)}",))
    guards = _guardrails(evidence, params)
    better, metric = _metric(evidence, params)
    over = evidence.now - evidence.experiment.began > timedelta(days=params.longest_days)
    broken = any(guard.startswith("✗") for guard in guards)
    outcome: Outcome = "keep running"
    if broken or better is False:
        outcome = "roll back"
    elif better:
        outcome = "promote"
    elif over:
        outcome = "end undecided"
        guards.append(f"· The longest {params.longest_days:g} days are over without a decision.")
    return Verdict(outcome, (metric, *guards))


def _metric(evidence: Evidence, params: ExperimentParams) -> tuple[bool | None, str]:
    """Tell whether the challenger is credibly better, worse (False), or neither (None), and say why."""
    effect = evidence.effect(params.primary)
    arms = [evidence.challenger] if evidence.experiment.design == "interleave" else _both(evidence)
    few = min(arms, key=lambda arm: arm.shoppers)
    if few.shoppers < params.min_shoppers:
        return None, (
            f"· The {few.name} arm has {few.shoppers:,} shoppers whose answer is {params.attribution_days:g} "
            f"days old, fewer than min_shoppers {params.min_shoppers:,}: too few to judge."
        )
    if effect.interval is None:
        return None, f"· No answer has led to a {effect.metric} yet."
    low, high = effect.interval.low, effect.interval.high
    what = (
        f"{effect.metric}s per answer differ by {effect.difference:+.4f}"
        if evidence.experiment.design == "split"
        else f"lists won less lists lost by {effect.metric}: {effect.difference:+.4f}"
    )
    said = f"{what}, confidence sequence {low:+.4f} to {high:+.4f} at level {1 - params.alpha:g}"
    if low > 0:
        return True, f"✓ The challenger is credibly better: {said}."
    if high < 0:
        return False, f"✗ The challenger is credibly worse: {said}."
    return None, f"· Neither is credibly better: {said}."


def _both(evidence: Evidence) -> list[Arm]:
    return [evidence.champion, evidence.challenger]


def _guardrails(evidence: Evidence, params: ExperimentParams) -> list[str]:
    arm = evidence.challenger
    if arm.answers < params.min_shoppers or arm.slowest is None or arm.failed is None:
        return [f"· The {arm.name} arm has {arm.answers:,} answers: too few for the guardrails."]
    checks = [
        (
            arm.slowest <= params.max_milliseconds,
            f"the slowest answer in a hundred took {arm.slowest:.1f} ms, at most {params.max_milliseconds:g} "
            f"may be{_beside(evidence.champion)}",
        ),
        (
            arm.failed <= params.max_fallback,
            f"another stood in for {arm.failed:.2%} of the answers, at most {params.max_fallback:.2%} may be",
        ),
    ]
    if evidence.own_items is not None and evidence.own_items[0]:
        theirs, own = evidence.own_items
        checks.append(
            (
                own / theirs >= params.min_coverage,
                f"{own:,} distinct items beside the champion's {theirs:,} in as many lists, at least "
                f"{params.min_coverage:.0%} must be",
            )
        )
    return [f"{'✓' if held else '✗'} Guardrail: {said}." for held, said in checks]


def _beside(champion: Arm) -> str:
    return "" if champion.slowest is None else f" (the champion's {champion.slowest:.1f} ms)"
