"""How well each detector ranks the accounts of a labelled set, by the share of labels that it is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recgan.accounts.inputs import Figures, behaviour, figures
from recgan.accounts.learned import held_out
from recgan.accounts.log import Log
from recgan.accounts.propagation import from_positives, graph, signed
from recgan.core.errors import RecganError

NAMES = {
    "lock_max": "lockstep, largest crowd",
    "lock_mean": "lockstep, mean",
    "overlap": "overlap",
    "popularity": "popularity of the items",
    "pca": "PCA-VarSelect",
}
"""Figure without labels → detector."""


_LEAST_ASKED = 2
"""Accounts of each kind that the detectors are measured on."""


@dataclass(frozen=True)
class Measured:
    """Average precision over repetitions."""

    mean: float
    half: float
    """Half the 95 % interval of the mean (Student's t); NaN with one repetition."""


def measure(
    log: Log,
    labels: NDArray[np.int8],
    shares: Sequence[float],
    repetitions: int,
    seed: int,
    thin: float | None,
) -> dict[str, list[Measured]]:
    """Measure every detector on the accounts whose label it is not given.

    Args:
        log: the pairs.
        labels: (users,) 1 fake, 0 genuine, -1 unknown.
        shares: of the labels, each kind alike, that the detectors are given.
        repetitions: draws of these labels.
        seed: of the draws.
        thin: share of fakes among the labelled accounts; as many as are too many, drawn anew for each
            repetition, are left out of the log. None keeps all.

    Returns:
        Detector → one measurement for each share. The first, `chance`, is the share of fakes.

    Raises:
        RecganError: the labels have no such share of fakes, or hardly any are left to measure on.
    """
    found: dict[str, list[list[float]]] = {}
    known: tuple[Figures, NDArray[np.float64]] | None = None
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, repetition])
        thinner, its_labels = (log, labels) if thin is None else thinned(log, labels, thin, rng)
        _check_asked(its_labels, shares)
        if known is None or thin is not None:
            raw = figures(thinner)
            known = raw, behaviour(thinner, raw)
        for place, share in enumerate(shares):
            given = draw(its_labels, share, rng)
            asked = np.flatnonzero((its_labels >= 0) & (given < 0))
            for name, score in _scores(thinner, given, *known, seed=repetition):
                value = _precision(its_labels[asked], score[asked])
                found.setdefault(name, [[] for _ in shares])[place].append(value)
    return {name: [_measured(values) for values in by_share] for name, by_share in found.items()}


def _check_asked(labels: NDArray[np.int8], shares: Sequence[float]) -> None:
    for share in shares:
        for kind, name in ((1, "fake"), (0, "genuine")):
            count = int((labels == kind).sum())
            if (asked := count - _given(count, share)) < _LEAST_ASKED:
                raise RecganError(
                    f"--share {share:g}: of {count:,} {name} accounts {asked} would be left to measure on; "
                    f"at least {_LEAST_ASKED} must stay, so give a smaller share"
                )


def _given(count: int, share: float) -> int:
    return min(max(2, round(share * count)), count - 1)


def draw(labels: NDArray[np.int8], share: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return a share of the labels of each kind, at least two; the others are -1."""
    given = np.full_like(labels, -1)
    for kind in (0, 1):
        rows = np.flatnonzero(labels == kind)
        chosen = rng.choice(rows, _given(len(rows), share), replace=False)
        given[chosen] = kind
    return given


def thinned(
    log: Log, labels: NDArray[np.int8], share: float, rng: np.random.Generator
) -> tuple[Log, NDArray[np.int8]]:
    """Leave so many fakes out that the rest are a share of the labelled accounts.

    Raises:
        RecganError: there are too few fakes already, or fewer than four would stay.
    """
    fakes, n_genuine = np.flatnonzero(labels == 1), int((labels == 0).sum())
    kept = round(share / (1 - share) * n_genuine)
    if not 4 <= kept <= len(fakes):
        raise RecganError(
            f"--thin {share:g}: beside {n_genuine:,} genuine accounts that is {kept:,} fakes, and there are "
            f"{len(fakes):,}; at least four must stay, so give a share between "
            f"{4 / (4 + n_genuine):.3g} and {len(fakes) / (len(fakes) + n_genuine):.3g}"
        )
    out = np.zeros(len(labels), dtype=bool)
    out[rng.choice(fakes, len(fakes) - kept, replace=False)] = True
    stay = ~out[log.user]
    first = None if log.first is None else log.first[stay]
    pairs = {name: getattr(log, name)[stay] for name in ("user", "item", "events", "kinds", "stars")}
    return replace(log, first=first, **pairs), np.where(out, -1, labels).astype(np.int8)


def _scores(
    log: Log, given: NDArray[np.int8], known: Figures, own: NDArray[np.float64], seed: int
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield each detector and (users,) how suspect it finds an account."""
    matrix = graph(log)
    yield "chance", np.zeros(len(given))
    yield "gradient boosting", held_out(log, given, own, graph=False, seed=seed)
    yield "gradient boosting + graph", held_out(log, given, own, graph=True, seed=seed)
    yield "signed propagation", signed(matrix, given)
    yield "FAP (from fakes alone)", from_positives(matrix, given)
    for name, values in known.items():
        yield NAMES[name], np.nan_to_num(values, nan=-np.inf, neginf=-np.inf, posinf=np.inf)


def _precision(labels: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """Return the average precision; any order of equal scores counts as one step."""
    from sklearn.metrics import average_precision_score

    ranks = np.unique(scores, return_inverse=True)[1]  # finite, and in the same order
    return float(average_precision_score(labels, ranks))


def _measured(values: list[float]) -> Measured:
    from scipy.stats import t

    if len(values) < 2:
        return Measured(values[0], float("nan"))
    spread = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Measured(float(np.mean(values)), float(t.ppf(0.975, len(values) - 1)) * spread)
