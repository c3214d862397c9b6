"""The candidates as training left them, and which one challenges the champion."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.recommenders.catalogue import CLASSICAL, settings_of


@dataclass(frozen=True)
class Candidate:
    """What is known of a candidate before the test window is read."""

    name: str
    kind: str
    """The recommender that it is."""
    validation_ndcg: float | None
    """NDCG at primary_k; None where nothing is held out for validation."""
    skipped: str | None = None
    """Why there is no result of it; None where there is one."""

    @property
    def adversarial(self) -> bool:
        """Whether an adversary takes part in its training."""
        return settings_of(self.kind).has_adversary

    @property
    def classical(self) -> bool:
        """Whether it is tuned over a grid, not trained."""
        return self.kind in CLASSICAL


def read_candidates(root: Path, kinds: Mapping[str, str]) -> list[Candidate]:
    """Read what training left of each candidate.

    Args:
        root: the project.
        kinds: name → recommender, in the order of params.yaml.

    Raises:
        RecganError: a candidate's figures are missing or not readable.
    """
    return [
        _read(root / layout.CANDIDATE_METRICS / f"{name}.json", name, kind) for name, kind in kinds.items()
    ]


def challenger(candidates: Sequence[Candidate]) -> str:
    """Return the name of the best candidate on validation, of equal ones the first.

    Popularity challenges only where there is nothing else: it is the gate's floor, and the same list for
    everybody could not pass. Where nothing is held out for validation it is the first that was trained: the
    test window decides nothing but the gate.

    Raises:
        RecganError: every candidate was skipped.
    """
    left = [one for one in candidates if one.skipped is None]
    if not left:
        lines = [f"{one.name}: {one.skipped}" for one in candidates]
        raise RecganError("no candidate has a result; mend one of these:\n  " + "\n  ".join(lines))
    personal = [one for one in left if one.kind != "popularity"] or left
    return max(personal, key=lambda one: -1.0 if one.validation_ndcg is None else one.validation_ndcg).name


def best_of(candidates: Sequence[Candidate]) -> str | None:
    """Return the best of some candidates on validation; None where none has a result."""
    some = [one for one in candidates if one.skipped is None]
    return challenger(some) if some else None


def candidate_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Return a line for each candidate: its name, recommender, NDCG on validation, what became of it."""
    return [
        [
            one["name"],
            one["kind"],
            "–" if one["validation_ndcg"] is None else f"{one['validation_ndcg']:.4f}",
            " ".join(f"left out: {one['skipped']}".split())  # one line of a table
            if one["skipped"]
            else "the challenger"
            if one["name"] == summary["challenger"]
            else "",
        ]
        for one in summary["candidates"]
    ]


def adversarial_words(summary: Mapping[str, Any]) -> str | None:
    """Say how the best GAN does beside the best classical candidate; None where one of the two is missing."""
    found = summary["adversarial"]
    if found is None:
        return None
    one = next(other for other in found["comparisons"] if other["name"] == found["classical"])
    k, others = summary["primary_k"], len(found["comparisons"])
    return (
        f"The best GAN on validation, {found['gan']}, against the best classical candidate there, "
        f"{found['classical']}: NDCG@{k} {one['mean_challenger']:.4f} against {one['mean_other']:.4f} on "
        f"test, difference {one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}], "
        f"p {one['p_holm']:.4f} after Holm over its comparisons with {others} classical candidates."
    )


def _read(path: Path, name: str, kind: str) -> Candidate:
    try:
        about = read_json(path)
        ndcg = about.get("validation_ndcg")
        found = Candidate(name, kind, None if ndcg is None else float(ndcg), about.get("skipped"))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RecganError(
            f"no readable figures of candidate {name} in {path} ({error}); run dvc repro train@{name}"
        ) from None
    if found.validation_ndcg is not None and not math.isfinite(found.validation_ndcg):
        return replace(
            found, validation_ndcg=None, skipped=f"its NDCG on validation is {found.validation_ndcg}"
        )
    return found
