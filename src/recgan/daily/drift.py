"""How far two histograms over the same bins are apart."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import entropy

SMOOTHING = 0.5
"""Added to every bin's count for the PSI, which is infinite where a bin is empty on one side only."""


def psi(reference: ArrayLike, counts: ArrayLike) -> float:
    """Return the population stability index of two histograms.

    PSI = Σ (q - p) ln(q / p) over the bins, p of the reference and q of what is compared with it: the sum of
    the two Kullback-Leibler divergences in nats (Siddiqi 2006, Credit Risk Scorecards; there and since, below
    .1 counts as no change, above .25 as a large one). p and q are the shares after `SMOOTHING` was added to
    each count. Two samples of n and m from one distribution have about (bins - 1)(1/n + 1/m) (Yurdakul 2018).

    Args:
        reference: (bins,) counts.
        counts: (bins,)
    """
    p, q = (np.asarray(found, dtype=np.float64) + SMOOTHING for found in (reference, counts))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(reference: ArrayLike, counts: ArrayLike) -> float:
    """Return the Jensen-Shannon distance of two histograms, in 0..1.

    The root of JSD = H(m) - ½ H(p) - ½ H(q) with m = ½ (p + q) and entropies H in bits (Lin 1991); the
    root is a metric (Endres & Schindelin 2003). Empty bins need no smoothing.

    Args:
        reference: (bins,) counts, not all 0.
        counts: (bins,), not all 0.
    """
    p, q = (np.asarray(found, dtype=np.float64) for found in (reference, counts))
    p, q = p / p.sum(), q / q.sum()
    # Not scipy's jensenshannon: where two large histograms hardly differ, what it takes the root of can be
    # below 0, and a distance that is not a number counts as drift.
    divergence = entropy((p + q) / 2, base=2) - (entropy(p, base=2) + entropy(q, base=2)) / 2
    return float(np.sqrt(max(divergence, 0.0)))
