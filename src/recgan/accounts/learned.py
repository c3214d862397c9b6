"""The learned detector: gradient boosting on behaviour and on the labels of accounts nearby, out of fold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.accounts.inputs import Figures, behaviour, near_labels
from recgan.accounts.log import Log

_FOLDS = 5
_WORTH_THREADS = 100_000
"""Rows below which threads wait for one another longer than they compute."""


@dataclass(frozen=True)
class Learned:
    """How probably each account is fake, as told by labels that are not its own."""

    probability: NDArray[np.float64]
    """(users,) of a labelled account by the model that was fitted without its fold; of another the mean."""
    threshold: float
    """From which on the labelled accounts are fake with the precision asked for; infinite where none is."""
    precision: float
    """Out of fold, of the labelled accounts above the threshold; NaN without one."""


def learned(log: Log, labels: NDArray[np.int8], known: Figures, precision: float) -> Learned:
    """Learn what labelled fakes have in common, and judge every account.

    The labelled accounts are parted into five folds, each with its share of fakes. A fold is judged by a
    model that never saw its labels, neither as what is learned nor inside what is known of others: the inputs
    of an account that is learned from hold no label of its own fold, nor of the fold that is judged.

    Args:
        log: the pairs, those of labelled fakes included.
        labels: (users,) 1 fake, 0 genuine, -1 unknown; at least two of each.
        known: what `figures` returns for the log.
        precision: of the labelled accounts above the threshold.

    Raises:
        ValueError: there are fewer than two labels of a kind.
    """
    fold = _folds(labels, np.random.default_rng(0))
    own = behaviour(log, known)
    # Trial (j, k) hides the labels of both folds; (k, k) those of one.
    n_folds = int(fold.max()) + 1
    trials = [(one, other) for one in range(n_folds) for other in range(one, n_folds)]
    hidden = np.stack([np.where(np.isin(fold, pair), -1, labels) for pair in trials], axis=1)
    near = near_labels(log, hidden)
    probability = np.zeros(len(labels))
    for judged in range(n_folds):
        place = [trials.index((min(judged, one), max(judged, one))) for one in range(n_folds)]
        rows = np.flatnonzero((fold >= 0) & (fold != judged))
        inputs = np.hstack([own[rows], near[rows, np.array(place)[fold[rows]]]])
        asked = np.flatnonzero((fold < 0) | (fold == judged))
        model = boosting(inputs, labels[rows])
        told = model.predict_proba(np.hstack([own[asked], near[asked, place[judged]]]))[:, 1]
        probability[asked] += told / np.where(fold[asked] < 0, n_folds, 1)
    return Learned(probability, *_threshold(probability, labels, precision))


def held_out(
    log: Log, labels: NDArray[np.int8], own: NDArray[np.float64], graph: bool, seed: int
) -> NDArray[np.float64]:
    """Judge the accounts without a label by those that have one: for measuring the detector.

    Args:
        log: the pairs.
        labels: (users,) 1 fake, 0 genuine, -1 is judged.
        own: what `behaviour` returns.
        graph: whether the labels of accounts nearby are inputs.
        seed: of the folds.

    Returns:
        (users,) a probability; that of a labelled account means nothing.
    """
    known = np.flatnonzero(labels >= 0)
    if not graph:
        return np.asarray(boosting(own[known], labels[known]).predict_proba(own)[:, 1])
    fold = _folds(labels, np.random.default_rng(seed))
    hidden = np.stack([*(np.where(fold == one, -1, labels) for one in range(fold.max() + 1)), labels], axis=1)
    near = near_labels(log, hidden)
    model = boosting(np.hstack([own[known], near[known, fold[known]]]), labels[known])
    return np.asarray(model.predict_proba(np.hstack([own, near[:, -1]]))[:, 1])


def boosting(inputs: NDArray[np.float64], labels: NDArray[np.int8]) -> Any:
    """Fit scikit-learn's histogram gradient boosting; both kinds of label weigh alike."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if len(labels) < _WORTH_THREADS else None):
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=200,
            max_leaf_nodes=15,
            min_samples_leaf=2,
            max_features=0.3,
            l2_regularization=1.0,
            class_weight="balanced",
            early_stopping=False,
            random_state=0,
        ).fit(inputs, labels)


def _folds(labels: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each labelled account, -1 for the others; each fold has its share of each kind.

    There are five, or as many as the rarer kind has accounts. A fold without any would give itself away: what
    is known of labels nearby differs with how many are hidden, and that would tell the label of the others.
    """
    least = min(int((labels == kind).sum()) for kind in (0, 1))
    if least < 2:
        raise ValueError(f"{least} accounts have one of the labels; learning takes two of each kind")
    fold = np.full(len(labels), -1)
    for kind in (0, 1):
        rows = np.flatnonzero(labels == kind)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % min(_FOLDS, least)
    return fold


def _threshold(
    probability: NDArray[np.float64], labels: NDArray[np.int8], precision: float
) -> tuple[float, float]:
    """Return the lowest probability above which labels are as precise as asked, and how precise."""
    known = np.flatnonzero(labels >= 0)
    known = known[np.argsort(-probability[known], kind="stable")]
    true = np.cumsum(labels[known]) / np.arange(1, len(known) + 1)
    last = np.append(np.diff(probability[known]) < 0, True)  # equal probabilities are judged alike
    enough = np.flatnonzero(last & (true >= precision))
    if not len(enough):
        return np.inf, np.nan
    return float(probability[known[enough[-1]]]), float(true[enough[-1]])
