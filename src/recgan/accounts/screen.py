"""The screen: what the detectors say of each account, put together with what a person said."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.accounts.groups import groups_of
from recgan.accounts.listed import listed
from recgan.accounts.lockstep import Lockstep, lockstep
from recgan.accounts.log import Log
from recgan.accounts.settings import ScreenParams
from recgan.accounts.tables import ACCOUNTS, DETECTORS, Screened
from recgan.core.redact import shown

logger = logging.getLogger(__name__)

_REASONS = 3
"""Crowds that are told of an account."""
NEAR = 0.75
"""Of `min_crowd`: an account that was in a crowd of this size is listed, and such crowds are told."""
_STAYS = "data/screened stays as it was; reports/screening.html shows the accounts"
_SUREST = 0.5
"""Of the largest crowd: who was in one of this size is taken before the others are measured anew."""


@dataclass(frozen=True)
class Screening:
    """What is known of all accounts of a log."""

    tables: Screened
    summary: dict[str, Any]
    """The figures of metrics/screening.json."""
    refused: str | None = None
    """Why nothing may be built on this: detectors would leave out more accounts than the section allows."""


def screen(
    log: Log,
    labels: NDArray[np.int8],
    params: ScreenParams,
    taught: tuple[Log, NDArray[np.int8]] | None = None,
) -> Screening:
    """Judge every account of a log.

    Without times nobody is left out but by a person's word or by what labels taught: no other detector is
    sure enough without them.

    Args:
        log: the pairs of the kept events.
        labels: (users,) 1 for a labelled fake, 0 for one labelled genuine, -1 for the others.
        params: the screen section.
        taught: a log with its labels to learn from, which has all accounts of this one, and labelled fakes
            besides; None for this log.
    """
    n_users = len(log.user_ids)
    figures: dict[str, NDArray[np.float64]] = {}
    by_detector = np.zeros(n_users, dtype=bool)
    found: Lockstep | None = None
    score, near = np.zeros(n_users), np.zeros(n_users, dtype=bool)
    if params.enabled and log.first is not None and n_users:
        found, by_detector = in_lockstep(log, params)
        figures |= {"lock_max": found.lock_max, "lock_mean": found.lock_mean}
        score = _margin(found, params)
        near = found.lock_max > params.min_crowd * NEAR
    in_crowds = by_detector
    others = listed(log, labels, taught, params) if params.enabled and n_users else None
    if others is not None:
        figures |= others.figures
        by_detector = by_detector | others.left_out
        score = np.maximum(score, others.score)
    cleared, condemned = (_named(log, getattr(params, verdict)) for verdict in ("cleared", "condemned"))
    by_detector = by_detector & ~cleared & (labels != 0)  # who is labelled genuine is listed at most
    groups, group_id = groups_of(log, found, by_detector, params.min_crowd)
    quarantined = by_detector | condemned
    told = {"in lockstep": in_crowds & by_detector}
    if others is not None:
        told["like labelled fakes"] = others.left_out & by_detector & ~told["in lockstep"]
    refused = _refused({why: out & ~condemned for why, out in told.items()}, quarantined, groups, params)
    score = np.where(condemned, 1.0, np.where(cleared, 0.0, score))
    suspect = (near if others is None else near | others.suspect) & ~quarantined & ~cleared
    reasons = _reasons(log, found, quarantined | suspect, params.min_crowd * NEAR)
    if others is not None:
        for own, more in zip(reasons, others.reasons, strict=True):
            own += more
    for one in np.flatnonzero(condemned):
        reasons[one].insert(0, "condemned by a person")
    order = np.lexsort((np.arange(n_users), -score, ~quarantined))
    absent = pa.nulls(n_users, pa.float64())
    accounts = pa.table(
        {
            "user_id": pa.array(log.user_ids[order], pa.string()),
            "score": score[order],
            **{
                name: pa.array(figures[name][order], from_pandas=True) if name in figures else absent
                for name in DETECTORS
            },
            "quarantined": quarantined[order],
            "suspect": suspect[order],
            "reasons": pa.array([reasons[one] for one in order], pa.list_(pa.string())),
            "group_id": pa.array(group_id[order], pa.int32(), mask=group_id[order] < 0),
            "verdict": pa.array(
                np.where(cleared, "cleared", np.where(condemned, "condemned", ""))[order],
                pa.string(),
                mask=~(cleared | condemned)[order],
            ),
        },
        schema=ACCOUNTS,
    )
    summary = {
        "accounts": n_users,
        "times": log.first is not None,
        "days": round(log.end, 3),
        "quarantined": int(quarantined.sum()),
        "quarantined_share": round(float(quarantined.mean()), 6) if n_users else 0.0,
        "quarantined_by": {
            "lockstep": int((in_crowds & by_detector).sum()),
            "labels": 0 if others is None else int((others.left_out & by_detector).sum()),
            "condemned": int(condemned.sum()),
        },
        "detectors": {} if others is None else others.summary,
        "quarantined_events": int(log.events[quarantined[log.user]].sum()),
        "suspects": int(suspect.sum()),
        "groups": groups.num_rows,
    }
    return Screening(Screened(accounts, groups), summary, refused)


def in_lockstep(log: Log, params: ScreenParams) -> tuple[Lockstep, NDArray[np.bool_]]:
    """Find the accounts that act in lockstep.

    Who meets a campaign's products in its days is in its crowds without being of it. So the accounts of the
    largest crowds are taken first, and the others are measured anew without them, until nobody is beyond
    both limits.

    Args:
        log: with times.
        params: the screen section.

    Returns:
        The crowds, of each account as they were when it was taken or as they are without all that were; and
        (users,) who acts in lockstep.

    Raises:
        ValueError: the log has no times.
    """
    found = lockstep(log, params.windows_days, params.least_accounts)
    taken = np.zeros(len(log.user_ids), dtype=bool)
    while True:
        beyond = (found.lock_max > params.min_crowd) & (found.lock_mean > params.min_mean_crowd) & ~taken
        if not beyond.any():
            return found, taken
        taken |= beyond & (found.lock_max >= _SUREST * found.lock_max[beyond].max())
        left = lockstep(log.without(taken), params.windows_days, params.least_accounts)
        found = found.renewed(left, ~taken[log.user], ~taken)


def _margin(found: Lockstep, params: ScreenParams) -> NDArray[np.float64]:
    """Return how far accounts are from both limits, in [0, 1): above .5 beyond both."""
    limits = np.maximum([params.min_crowd, params.min_mean_crowd], 1e-9)
    margin = np.minimum(found.lock_max / limits[0], found.lock_mean / limits[1])
    return np.asarray(margin / (1 + margin))


def _named(log: Log, ids: tuple[str, ...]) -> NDArray[np.bool_]:
    return np.isin(log.user_ids, np.array(ids, dtype=object))


def too_short(times: bool, days: float, params: ScreenParams) -> bool:
    """Say whether a log with times is too short for every window."""
    return times and days < 2 * min(params.windows_days)


def tell(screening: Screening, log: Log, params: ScreenParams) -> None:
    """Log what became of the accounts; warn of ids that a person judged and no event has."""
    summary = screening.summary
    logger.info(
        "%s of %s accounts are left out of what is learned from, %s more are suspect",
        f"{summary['quarantined']:,}", f"{summary['accounts']:,}", f"{summary['suspects']:,}",
    )  # fmt: skip
    if params.enabled and log.first is None:
        logger.info("an event has no time: nothing but labels and a person's word leaves an account out")
    if params.enabled and too_short(log.first is not None, log.end, params):
        logger.warning(
            "the log spans %.2g days, less than twice the shortest of screen.windows_days: no other day is "
            "left to compare with, so nothing but labels and a person's word leaves an account out",
            log.end,
        )
    for verdict in ("cleared", "condemned"):
        if unknown := set(getattr(params, verdict)) - set(log.user_ids):
            logger.warning(
                "screen.%s names %s account(s) that no event has, such as %s; see to their spelling",
                verdict, f"{len(unknown):,}", shown(min(unknown)),
            )  # fmt: skip


def _refused(
    told: dict[str, NDArray[np.bool_]], quarantined: NDArray[np.bool_], groups: pa.Table, params: ScreenParams
) -> str | None:
    """Say why nothing may be built on a screening, what makes it up, and what to do; None where it may.

    Args:
        told: why → (users,) whom detectors leave out for it, each account once.
        quarantined: (users,) whom they or a person leave out.
        groups: of them.
        params: the screen section.
    """
    out, n_users = sum(int(each.sum()) for each in told.values()), len(quarantined)
    if out <= params.max_quarantined_share * n_users:
        if not n_users or not quarantined.all():
            return None
        return (
            f"all {n_users:,} accounts are left out, so nothing is left to learn from; shorten "
            f"screen.condemned (params.yaml)\n{_STAYS}"
        )
    causes = ", ".join(f"{each.sum():,} {why}" for why, each in told.items() if each.any())
    worst = [f"  group {row['group_id']}: {row['reason']}" for row in groups.slice(0, 3).to_pylist()]
    remedies = {
        "in lockstep": "raise screen.min_crowd where many came to a sale",
        "like labelled fakes": "raise screen.labels.precision, or see to the labels",
    }
    genuine = "; ".join(remedy for why, remedy in remedies.items() if why in told and told[why].any())
    return "\n".join(
        [
            f"{out:,} of {n_users:,} accounts ({100 * out / n_users:.3g} %) look fake ({causes}), more than "
            f"screen.max_quarantined_share ({100 * params.max_quarantined_share:g} %) lets be left out:",
            *worst,
            "if they are fake, raise screen.max_quarantined_share; if they are genuine, name them in "
            f"screen.cleared; {genuine}; or set screen.enabled to false (params.yaml)",
            _STAYS,
        ]
    )


def _reasons(log: Log, found: Lockstep | None, told: NDArray[np.bool_], least: float) -> list[list[str]]:
    """Tell the crowds of some accounts in words, the largest first."""
    reasons: list[list[str]] = [[] for _ in log.user_ids]
    if found is None:
        return reasons
    pairs = np.flatnonzero(told[log.user] & (found.crowds > least))
    for pair in pairs[np.argsort(-found.crowds[pairs], kind="stable")]:
        own = reasons[log.user[pair]]
        if len(own) < _REASONS:
            own.append(
                f"with {found.accounts[pair] - 1:,} others on {log.item_ids[log.item[pair]]} within "
                f"{found.days[pair]:g} days, {found.ratio[pair]:.3g} times its rate"
            )
    return reasons
