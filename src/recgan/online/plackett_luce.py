"""Lists drawn by Plackett and Luce's model, and their probabilities.

Each place takes one of the items that are left, with a probability in proportion to its weight (Luce 1959,
Plackett 1975). Weights are kept as logarithms, so that none of them is lost to underflow.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def log_weights(scores: NDArray[np.floating], temperature: float) -> Floats:
    """Return the log weights of items, 0 the largest: scores in standard deviations, over the temperature.

    So the draw is the same whatever the scale and the origin of a recommender's scores are. Equal scores have
    equal weights.

    Args:
        scores: (…, items) finite, of the candidates alone: their standard deviation is the unit.
        temperature: in standard deviations.
    """
    values = np.asarray(scores, dtype=np.float64)
    spread = values.std(axis=-1, keepdims=True)
    below = values - values.max(axis=-1, keepdims=True, initial=-np.inf)
    weights: Floats = below / np.where(spread > 0, temperature * spread, 1.0)
    return weights


def draw(log_weights: Floats, k: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Floats]:
    """Draw lists of k, by Gumbel's noise on the log weights (Yellott 1977; Kool et al. 2019).

    Args:
        log_weights: (…, items), -inf for what cannot be drawn.
        k: length of a list, at most the number of items.
        rng: of the draws.

    Returns:
        Places of the items (…, k) in their order, and the log probability of each at its place, given the
        ones above it.
    """
    order = np.argsort(-(log_weights + rng.gumbel(size=log_weights.shape)), axis=-1)
    return order[..., :k], conditional(log_weights, order)[..., :k]


def conditional(log_weights: Floats, order: NDArray[np.intp]) -> Floats:
    """Return the log probability (…, items) of each item at its place, given the ones above it.

    Args:
        log_weights: (…, items).
        order: (…, items) all items in an order.
    """
    drawn = np.take_along_axis(log_weights, order, axis=-1)
    # What is left at each place is summed from the end: no difference of sums, so no digits are lost.
    left = np.logaddexp.accumulate(drawn[..., ::-1], axis=-1)[..., ::-1]
    impossible = np.full_like(drawn, -np.inf)
    found: Floats = np.subtract(drawn, left, out=impossible, where=drawn > -np.inf)
    return found
