"""What tells of accounts beside lockstep: who is listed, and whom labels are reason to leave out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.accounts.inputs import Figures, figures
from recgan.accounts.learned import learned
from recgan.accounts.log import Log
from recgan.accounts.overlap import overlap
from recgan.accounts.profiles import UNUSUAL, mean_popularity, pca_varselect, sizes_of, unusual
from recgan.accounts.settings import ScreenParams

MOST_PAIRS = 30_000_000
"""Of a longer log these detectors are left out: they are no reason to stop a night."""
OVERLAPPING = 8.0
"""Overlap above which an account is listed. By taste alone the nearest share more, the more shoppers there
are: the clean shop has nobody above 6 of 1,766 accounts, and 3 above 8 of 14,167."""


@dataclass
class Listed:
    """What the detectors say; arrays (users,)."""

    score: NDArray[np.float64]
    """How suspect an account is, in [0, 1]."""
    suspect: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    """By what labels taught."""
    reasons: list[list[str]]
    figures: Figures = field(default_factory=dict)
    """Those of tables.DETECTORS that were measured."""
    summary: dict[str, Any] = field(default_factory=dict)
    """Detector → how many accounts it lists, or why it did not run."""

    def add(self, detector: str, found: NDArray[np.bool_], words: Callable[[int], str]) -> None:
        """List accounts, each for its reason in words."""
        self.suspect |= found
        self.summary[detector] = {"suspects": int(found.sum())}
        for one in np.flatnonzero(found).tolist():
            self.reasons[one].append(words(one))


def listed(
    log: Log, labels: NDArray[np.int8], taught: tuple[Log, NDArray[np.int8]] | None, params: ScreenParams
) -> Listed:
    """Find accounts that share their products with others, have odd profiles, or are like labelled fakes.

    Profiles are judged in logs without times alone: where there are times, lockstep tells more.

    Args:
        log: the pairs.
        labels: (users,) 1 fake, 0 genuine, -1 unknown.
        taught: another log with its labels to learn from, which has all accounts of this one; None for this.
        params: the screen section.
    """
    n_users = len(log.user_ids)
    found = Listed(
        score=np.zeros(n_users),
        suspect=np.zeros(n_users, dtype=bool),
        left_out=np.zeros(n_users, dtype=bool),
        reasons=[[] for _ in range(n_users)],
    )
    if len(log.user) > MOST_PAIRS:
        why = f"the log has {len(log.user):,} pairs of account and product, more than {MOST_PAIRS:,}"
        found.summary = {name: {"not_run": why} for name in ("overlap", "popularity", "pca", "labelled")}
        return found
    _by_overlap(log, found)
    if log.first is None:
        _by_profile(log, found)
    _by_labels(log, taught or (log, labels), params, found)
    return found


def _by_overlap(log: Log, found: Listed) -> None:
    near, sizes = overlap(log), sizes_of(log)
    found.figures["overlap"] = near.figure
    found.score = np.maximum(found.score, 0.5 * near.figure / (near.figure + OVERLAPPING))
    found.add(
        "overlap",
        near.figure > OVERLAPPING,
        lambda one: (
            f"{near.shared[one]:,} of its {sizes[one]:,} products are those of "
            f"{log.user_ids[near.partner[one]]} too, and others share about as much"
        ),
    )


def _by_profile(log: Log, found: Listed) -> None:
    sizes = sizes_of(log)
    values = {"popularity": mean_popularity(log), "pca": np.maximum(pca_varselect(log), 1e-12)}
    for name, value in values.items():
        apart = unusual(-np.log(value), sizes)
        found.figures[name] = apart
        above = np.nan_to_num(np.maximum(apart, 0))
        found.score = np.maximum(found.score, 0.5 * above / (above + UNUSUAL))
        found.add(name, above > UNUSUAL, partial(_profile_in_words, name, value))


def _profile_in_words(name: str, value: NDArray[np.float64], one: int) -> str:
    if name == "popularity":
        return f"its products are held by {value[one]:.3g} accounts each, far fewer than is usual"
    return f"its choice follows no taste that others share (PCA-VarSelect {value[one]:.2g})"


def _by_labels(log: Log, taught: tuple[Log, NDArray[np.int8]], params: ScreenParams, found: Listed) -> None:
    """Judge accounts by what labels taught; a labelled one is listed at most, since its label stands."""
    whole, labels = taught
    fake, genuine = (int((labels == kind).sum()) for kind in (1, 0))
    counts = {"fake": fake, "genuine": genuine}
    if min(fake, genuine) < max(params.labels.min_each, 2):
        why = f"it takes {params.labels.min_each:,} labelled accounts of each kind"
        found.summary["labelled"] = {**counts, "not_run": why}
        return
    own = np.searchsorted(whole.user_ids, log.user_ids)
    known = figures(whole, params.windows_days, params.least_accounts)
    told = learned(whole, labels, known, params.labels.precision)
    probability, labelled = told.probability[own], labels[own] >= 0
    found.figures["labelled"] = probability
    found.score = np.maximum(found.score, probability)
    alike = probability >= told.threshold
    found.add(
        "labelled",
        alike,
        lambda one: (
            f"like labelled fakes: probability {probability[one]:.2f}; of the labelled accounts from "
            f"{told.threshold:.2f} on {100 * told.precision:.3g} % are fake"
        ),
    )
    found.left_out |= alike & ~labelled
    found.summary["labelled"] = {
        **counts,
        "threshold": None if np.isinf(told.threshold) else round(told.threshold, 6),
        "precision": None if np.isnan(told.precision) else round(told.precision, 6),
        "left_out": int(found.left_out.sum()),
        "suspects": int((alike & labelled).sum()),
    }
