"""What people read about an experiment: Markdown for the terminal and for Prefect's pages."""

from recgan.online.experiment import Judged
from recgan.online.outcomes import METRICS
from recgan.online.second_gate import Arm, Evidence, Verdict
from recgan.registry.experiments import sentence, told

SAID = {
    "promote": "The challenger is better: it becomes the champion.",
    "keep running": "It goes on.",
    "roll back": "The challenger is withdrawn.",
    "end undecided": "It ends without a decision, and the champion stays.",
}


def as_markdown(evidence: Evidence, verdict: Verdict) -> str:
    """Return a look at a running experiment: both arms, the differences, the decision and its reasons."""
    arms = [evidence.champion, evidence.challenger]
    rows = [
        ("answers", [f"{arm.answers:,}" for arm in arms]),
        ("counted, their time for attribution over", [f"{arm.counted:,}" for arm in arms]),
        ("shoppers", [f"{arm.shoppers:,}" for arm in arms]),
        *((f"{metric}s per answer", [f"{arm.rates[metric]:.4f}" for arm in arms]) for metric in METRICS),
        ("value per answer", [f"{arm.value:.4f}" for arm in arms]),
        ("slowest in a hundred, ms", [_or_dash(arm.slowest, ".1f") for arm in arms]),
        ("another stood in", [_or_dash(arm.failed, ".2%") for arm in arms]),
    ]
    lines = [
        f"It runs: {sentence(evidence.experiment)}.",
        "",
        f"| | {_called(arms[0])} | {_called(arms[1])} |",
        "|---|---:|---:|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
        "",
        "| difference | | confidence sequence |",
        "|---|---:|---:|",
    ]
    for effect in evidence.effects:
        within = (
            "" if effect.interval is None else f"{effect.interval.low:+.4f} to {effect.interval.high:+.4f}"
        )
        lines.append(f"| {effect.metric} | {effect.difference:+.4f} | {within} |")
    return "\n".join([*lines, "", SAID[verdict.outcome], *(f"- {reason}" for reason in verdict.reasons)])


def report(judged: Judged | None, name: str) -> str:
    """Return what a look found and did; Markdown."""
    if judged is None:
        return f"No experiment of {name} runs."
    text = as_markdown(judged.evidence, judged.verdict)
    return text if judged.ended is None else f"{text}\n\n{told(judged.ended)}"


def state_name(judged: Judged | None) -> str:
    """Name the state in which a flow run that judged ends well: a promotion has the same as at the gate."""
    if judged is None:
        return "NoExperiment"
    if judged.ended is None:
        return "GoesOn"
    return {"promoted": "Promoted", "rolled back": "RolledBack"}.get(judged.ended.outcome, "Undecided")


def _called(arm: Arm) -> str:
    return f"{arm.name} arm"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
