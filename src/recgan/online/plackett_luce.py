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


def at_place(log_weights: Floats, item: NDArray[np.intp], place: int) -> Floats:
    """Return the probability (rows,) that an item stands at a place, whatever stands above it.

    An item comes at an exponential time, at the rate of its weight, and a list has the items in the order in
    which they come. So item i stands at place j where j others came before it:

        ∫ λ_i e^(-λ_i t) P(j others by t) dt

    with a Poisson-binomial law of how many came by then, counted up item by item. The integral is a sum over
    equal steps of log t, whose error falls exponentially with the step (Trefethen & Weideman 2014).

    Args:
        log_weights: (rows, items), -inf for what cannot be drawn.
        item: (rows,) places in those rows.
        place: 0 for the best.
    """
    rows = np.arange(len(item))
    logs = log_weights - np.logaddexp.reduce(log_weights, axis=1, keepdims=True)
    own = logs[rows, item]
    if place == 0:
        return np.exp(own)
    others = logs.copy()
    others[rows, item] = -np.inf
    found = np.empty(len(item))
    step = max(1, _CELLS // (_NODES * (place + 1)))
    for first in range(0, len(item), step):
        part = slice(first, first + step)
        found[part] = _at_place(own[part], others[part], place)
    return found


_FIRST, _STEP = -12.0, 0.5
"""Of log t; with them a probability is right to six digits."""
_NODES = 40  # about as many there are
_CELLS = 20_000  # numbers worked on at a time: few enough for a processor's cache


def _at_place(own: Floats, others: Floats, place: int) -> Floats:
    """Return `at_place` for log shares (rows,) and those of the others (rows, items)."""
    # By the last node all is over: the rate of what is left when the `place` quickest have come.
    slowest = np.logaddexp.reduce(np.sort(others, axis=1)[:, : others.shape[1] - place], axis=1)
    last = np.log(40) - np.minimum(np.maximum(own, slowest), 0)
    nodes = int(np.ceil((last.max() - _FIRST) / _STEP)) + 1
    log_t = np.linspace(np.full(len(own), _FIRST), last, nodes, axis=1)  # (rows, nodes)
    came = np.zeros((place + 1, *log_t.shape))  # the probability that so many others came
    came[0] = 1
    for other in others.T:
        with np.errstate(over="ignore"):  # a time after which it has come for certain
            yet = np.exp(-np.exp(other[:, None] + log_t))
        came[1:] += (came[:-1] - came[1:]) * (1 - yet)
        came[0] *= yet
    with np.errstate(over="ignore"):
        rate = np.exp(own[:, None] + log_t)
    density = rate * np.exp(-rate) * came[place]
    found: Floats = density.sum(axis=1) * (last - _FIRST) / (nodes - 1)
    return found
