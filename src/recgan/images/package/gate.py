"""The gate for image generators: a pure decision, with every reason."""

import math
from dataclasses import dataclass

import numpy as np

from recgan.images.measures import permutation_p
from recgan.images.settings import ImagesGateParams
from recgan.registry.domain import Decision


@dataclass(frozen=True)
class ImageEvidence:
    """What the gate knows of a challenger; both generators were measured just now, by one classifier."""

    version: str
    champion_version: str | None
    """The champion at the time the evidence was gathered; None when there was none."""
    frechet: tuple[float, ...]
    """Fréchet distance to the test images of each different draw of the challenger; smaller is better."""
    champion_frechet: tuple[float, ...]
    """The same of the champion; empty when there was none."""
    gaussian_frechet: tuple[float, ...]
    """The same of draws from a Gaussian fitted to each class's pixels."""
    coverage: float
    """Share of classes that the challenger writes."""
    copies: float
    """Share of its images that are copies of training images."""
    smoke_error: str | None
    """Why the packaged generator did not answer; None when it did."""
    challenger_unfair: str | None = None
    """Why the challenger may have been trained on today's test images; None where it cannot."""
    champion_unfair: str | None = None
    """The same of the champion."""


def decide(evidence: ImageEvidence, gate: ImagesGateParams) -> Decision:
    """Judge a challenger by every criterion of the gate.

    It is promoted when all of this holds. Its mean Fréchet distance is below that of the class Gaussians and
    the champion's, each by an exact permutation test over the draws (p < alpha). The generator writes enough
    of the classes and copies little enough, and the package answers. A figure that is not a number is never
    a pass.
    """
    criteria = [
        _gaussians(evidence, gate.alpha),
        *([] if evidence.champion_version is None else [_champion(evidence, gate.alpha)]),
        *([] if evidence.challenger_unfair is None else [_unfair(evidence.challenger_unfair)]),
        _coverage(evidence.coverage, gate.min_coverage),
        _copies(evidence.copies, gate.max_copies),
        _smoke(evidence.smoke_error),
    ]
    return Decision.of(criteria)


def _gaussians(evidence: ImageEvidence, alpha: float) -> tuple[bool, str]:
    return _better(evidence.frechet, evidence.gaussian_frechet, "a Gaussian for each class", alpha)


def _champion(evidence: ImageEvidence, alpha: float) -> tuple[bool, str]:
    name = f"the champion (version {evidence.champion_version})"
    if evidence.champion_unfair is not None:
        return False, (
            f"T{name[1:]} may have been trained on today's test images: {evidence.champion_unfair}; "
            f'to replace it by hand: recgan images promote {evidence.version} --reason "…".'
        )
    return _better(evidence.frechet, evidence.champion_frechet, name, alpha)


def _better(
    frechet: tuple[float, ...], others: tuple[float, ...], name: str, alpha: float
) -> tuple[bool, str]:
    mean, other = _mean(frechet), _mean(others)
    if not (math.isfinite(mean) and math.isfinite(other)):
        return False, f"The comparison with {name} is not a number."
    p = permutation_p(np.array(frechet), np.array(others))
    passed = mean < other and p < alpha
    return passed, (
        f"The challenger is {'' if passed else 'not '}better than {name}: Fréchet distance {mean:.2f} "
        f"against {other:.2f} over {len(frechet)} and {len(others)} different draws, p {p:.4f} "
        f"{'<' if p < alpha else '≥'} {alpha:g}."
    )


def _unfair(why: str) -> tuple[bool, str]:
    return False, (
        f"The challenger may have been trained on today's test images: {why}; train and register it anew "
        "(make images)."
    )


def _coverage(coverage: float, floor: float) -> tuple[bool, str]:
    if not math.isfinite(coverage):
        return False, f"The share of classes written is not a number; the floor is {floor:.0%}."
    passed = coverage >= floor
    return (
        passed,
        f"It writes {coverage:.0%} of the classes, {'not ' if passed else ''}below the floor of {floor:.0%}.",
    )


def _copies(copies: float, ceiling: float) -> tuple[bool, str]:
    if not math.isfinite(copies):
        return False, f"The share of copies is not a number; the ceiling is {ceiling:.1%}."
    passed = copies <= ceiling
    return passed, (
        f"{copies:.1%} of its images are copies of training images, {'not ' if passed else ''}above the "
        f"ceiling of {ceiling:.1%}."
    )


def _smoke(error: str | None) -> tuple[bool, str]:
    if error is None:
        return True, "The packaged generator answers."
    return False, f"The packaged generator does not answer: {error}"


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values) if values else math.nan
