"""Whether a policy would do better than what was shown: estimates, and a verdict or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recgan.evaluation.exploration_settings import OffPolicyParams
from recgan.evaluation.settings import EvaluateParams
from recgan.online.estimators import Effective, Estimate, Estimator, Sums, effective, judge
from recgan.online.plackett_luce import Floats
from recgan.online.policies import FORMS, Form, Items, Logged, Target
from recgan.online.reward_model import modelled

Kind = Literal["view", "cart", "purchase"]
KINDS: tuple[Kind, ...] = ("view", "cart", "purchase")
Verdict = Literal["better", "worse", "cannot tell", "refused"]

DECIDES: Estimator = "dr"
"""The estimate that the verdict is of (docs/experiments/off-policy.md)."""
GROUPS = 5_000
"""Shoppers are drawn with replacement in so many groups at most: a million of them would take minutes."""


@dataclass(frozen=True)
class Seen:
    """What was shown, and what came of it."""

    logged: Logged
    shopper: Items
    """(answers,) a number from 0; an answer to nobody has its own."""
    events: Mapping[Kind, Floats]
    """Of each kind, (answers, places): 1 where it came, else 0."""
    compared_shopper: Items
    """(answers,) of those to compare with: the best in their order, whose chances are 1."""
    compared: Mapping[Kind, Floats]
    """(answers,) events of each."""
    n_items: int
    """Of the codes of items."""


@dataclass(frozen=True)
class Judged:
    """A policy's value in one kind of event."""

    kind: Kind
    verdict: Verdict
    reason: str
    """Of a refusal; else empty."""
    form: Form
    """The verdict's: cascade, which asks for less, where it has enough effective answers and events."""
    logged: float
    """Mean events of a drawn answer."""
    compared: float
    """Mean events of an answer to compare with; NaN without any."""
    effective: dict[Form, Effective]
    estimates: tuple[Estimate, ...]

    @property
    def deciding(self) -> Estimate:
        """The estimate that the verdict is of."""
        return next(one for one in self.estimates if (one.form, one.estimator) == (self.form, DECIDES))


def judge_all(target: Target, seen: Seen, limits: OffPolicyParams, evaluate: EvaluateParams) -> list[Judged]:
    """Judge a policy in each kind of event.

    Args:
        target: the policy, with lists for the requests of `seen`.
        seen: at least one drawn answer.
        limits: below which nothing is judged.
        evaluate: how many samples of the bootstrap, and the confidence of intervals.
    """
    weights = {form: target.weights(seen.logged, form) for form in FORMS}
    support = target.support(seen.logged)
    places = float(target.wanted.sum(axis=1).mean())
    wanted = np.zeros(seen.logged.shown.shape)
    wanted[:, : target.lists.shape[2]] = target.wanted
    everyone = int(max(seen.shopper.max(), seen.compared_shopper.max(initial=0))) + 1
    n_groups = min(GROUPS, everyone)
    group, other_group = seen.shopper % n_groups, seen.compared_shopper % n_groups
    others = seen.compared
    if target.candidates is not None:  # drawn lists are compared with drawn ones
        other_group, others = group, {kind: one.sum(axis=1) for kind, one in seen.events.items()}
    found = []
    for kind, events in seen.events.items():
        of_shown, of_target = modelled(seen.logged, target, events, seen.shopper, seen.n_items)
        forms = {
            form: Sums.of(one, events, wanted, of_shown, of_target, group, n_groups)
            for form, one in weights.items()
        }
        compared = np.zeros((n_groups, 2))
        compared[:, 0] = np.bincount(other_group, minlength=n_groups)
        compared[:, 1] = np.bincount(other_group, others[kind], n_groups)
        sizes = {form: effective(one, events, places) for form, one in weights.items()}
        estimates = judge(forms, compared, evaluate.bootstrap_samples, evaluate.confidence, evaluate.seed)
        form: Form = "cascade" if enough(sizes["cascade"], limits) else "independent"
        deciding = next(one for one in estimates if (one.form, one.estimator) == (form, DECIDES))
        reason = _refusal(kind, sizes[form], support, len(other_group), limits)
        found.append(
            Judged(
                kind,
                "refused" if reason else _verdict(deciding),
                reason,
                form,
                float(events.sum() / len(events)),
                float(others[kind].mean()) if len(other_group) else float("nan"),
                sizes,
                tuple(estimates),
            )
        )
    return found


def enough(size: Effective, limits: OffPolicyParams) -> bool:
    """Tell whether a form's estimates are of enough answers and events to be looked at."""
    return size.answers >= limits.min_answers and size.events >= limits.min_events


def _verdict(estimate: Estimate) -> Verdict:
    if estimate.difference_low > 0:
        return "better"
    return "worse" if estimate.difference_high < 0 else "cannot tell"


def _refusal(kind: Kind, size: Effective, support: float, compared: int, limits: OffPolicyParams) -> str:
    """Say why nothing is judged; empty where something may be."""
    if support < limits.min_support:
        return (
            f"only {100 * support:.0f} % of its places name an item that could have been drawn "
            f"(off_policy.min_support asks for {100 * limits.min_support:.0f} %); raise "
            "serve.explore.candidates"
        )
    if size.answers < limits.min_answers:
        return (
            f"the drawn answers say as much as {size.answers:.0f} of its own (off_policy.min_answers asks "
            f"for {limits.min_answers}); wait for more, raise serve.explore.share, or judge its drawn lists"
        )
    if size.events < limits.min_events:
        return (
            f"the {kind} events say as much as {size.events:.1f} after its own answers "
            f"(off_policy.min_events asks for {limits.min_events}); wait for more, or raise "
            "serve.explore.share"
        )
    if not compared:
        return (
            "there is no answer of the best in their order to compare with; let serve.explore.share be "
            "below 1"
        )
    return ""
