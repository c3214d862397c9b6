"""The features of a shopper and an item that the discriminator judges by.

A history has three views, each with weights whose sum is 1: *whole*, its confidences; *recent*, each
confidence times .7 for every newer entry; *last*, the newest entries alone. Without ages the three are one.
The weight .7 is the best of those tried for a linear recommender on sequences of purchases
(docs/experiments/two-stages.md).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.two_stage.statistics import CODES, LOG_PRICE, TRAITS, Statistics

Floats = NDArray[np.float32]

GENERATOR: Final = ("log p", "standing", "log rank", "standing x length")
"""What the generator says of an item: log p in its list, standard deviations from the list's mean, place."""
BESIDE: Final = (
    "together, whole",
    "together, recent",
    "together, last",
    "follows, recent",
    "follows, last",
    "factors, recent",
    "factors, last",
    "words, recent",
    "words, last",
    "brand",
    "category",
    "price",
    "popularity",
    "popular lately",
    "rising",
    "days known",
    "owned",
    "owned since",
    "length",
)
"""What the statistics say of it."""
FEATURES: Final = GENERATOR + BESIDE
"""The columns, in this order."""

_DECAY = np.float32(0.7)
_TINY = np.finfo(np.float32).tiny


def views(confidences: Floats, ages: NDArray[np.floating[Any]] | None) -> Floats:
    """Return the weights of a history's entries in its views, (3, entries): whole, recent and last.

    Args:
        confidences: (entries,)
        ages: (entries,) days; None where nothing is known of time.
    """
    weights = np.empty((3, len(confidences)), dtype=np.float32)
    weights[:] = confidences
    if ages is not None:
        newer = np.sort(ages).searchsorted(ages)  # entries of the history that are newer than each one
        weights[1] *= _DECAY ** newer.astype(np.float32)
        weights[2] *= newer == 0
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), _TINY)
    return weights


def beside_generator(
    known: Statistics, user_items: csr_array, ages: csr_array | None, ids: NDArray[np.int32]
) -> Floats:
    """Return what the statistics say of each history and each item of its list, (rows, N, columns).

    Row by row, from what is known of the history's and the list's items alone. So the work does not grow with
    the catalogue, as that of a product with a matrix of all items would.

    Args:
        known: of the items.
        user_items: (rows, items), confidences.
        ages: of their entries; None where nothing is known of time.
        ids: (rows, N), positions; what stands at a place of -1 means nothing.
    """
    found = np.empty((*ids.shape, len(BESIDE)), dtype=np.float32)
    listed = np.maximum(ids, 0)
    starts, orders = user_items.indptr.tolist(), np.argsort(listed, axis=1)
    for row, order in enumerate(orders):
        part = slice(starts[row], starts[row + 1])
        days = None if ages is None else ages.data[part]
        columns = _of_row(known, user_items.indices[part], user_items.data[part], days, listed[row, order])
        found[row, order] = columns.T
    return found


def _of_row(
    known: Statistics,
    items: NDArray[np.int32],
    confidences: Floats,
    ages: NDArray[np.floating[Any]] | None,
    listed: NDArray[np.int32],
) -> Floats:
    """Return the columns (columns, N) of one history and its list, which is in the order of positions."""
    found = np.zeros((len(BESIDE), len(listed)), dtype=np.float32)
    theirs = known.facts[:, listed]
    found[12:16] = theirs[TRAITS]
    if not len(items):
        return found
    own = known.facts[:, items]
    weights = views(confidences, ages)
    newer, recent = weights[1:], weights[1]
    found[:3] = weights @ _values_at(known.together, items, listed)
    found[3:5] = newer @ _values_at(known.follows, items, listed)
    found[5:7] = _of_length_1(newer @ known.factors[items]) @ known.factors[listed].T
    found[7:9] = _of_words(known.words, items, newer, listed)
    found[9:11] = _shares(own[CODES], recent, theirs[CODES])
    found[11] = _price_distance(own[LOG_PRICE], recent, theirs[LOG_PRICE])
    owned = items[:, None] == listed
    if owned.any():  # never where no item of the history is proposed
        found[16] = np.log1p(confidences @ owned)
        if ages is not None:
            found[17] = np.log1p(np.maximum(ages, 0) @ owned)
    found[18] = np.log1p(len(items))
    return found


def of_generator(scores: Floats, ids: NDArray[np.int32], listed: Floats, ranks: NDArray[np.int32]) -> Floats:
    """Return what the generator says of items, (rows, N, columns) but the product with the history's length.

    Args:
        scores: (rows, N), the generator's of the items; whatever stands where there is none.
        ids: (rows, N), positions, -1 where there is none.
        listed: (rows, proposals), its scores of what it proposes; -inf where there is none.
        ranks: (rows, N), the items' places in the whole catalogue, from 0.
    """
    there = np.isfinite(listed)
    number = np.maximum(there.sum(axis=1, keepdims=True), 1)
    held = np.where(there, listed, 0).astype(np.float64)
    mean = held.sum(axis=1, keepdims=True) / number
    spread = np.sqrt(np.where(there, (held - mean) ** 2, 0).sum(axis=1, keepdims=True) / number)
    top = np.where(there, listed, -np.inf).max(axis=1, keepdims=True, initial=np.finfo(np.float32).min)
    whole = np.log(np.maximum(np.exp(np.where(there, held - top, -np.inf)).sum(axis=1, keepdims=True), 1e-30))
    own = np.where(ids >= 0, scores, mean)
    columns = [own - top - whole, (own - mean) / np.maximum(spread, 1e-6), np.log1p(ranks)]
    return np.stack(columns, axis=2).astype(np.float32)


def joined(generated: Floats, rest: Floats) -> Floats:
    """Return all columns: the generator's, its standing times the history's length, the statistics'."""
    by_length = generated[:, :, 1:2] * rest[:, :, -1:]
    return np.concatenate([generated, by_length, rest], axis=2)


def _values_at(matrix: csr_array, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> Floats:
    """Return a matrix's values in some rows and columns, (rows, columns).

    The columns, and those of each row of the matrix, are in order. A row is searched, not gone through: that
    of a popular item is long in a large catalogue.
    """
    indices, data = matrix.indices, matrix.data
    if not len(indices):
        return np.zeros((len(rows), len(columns)), dtype=np.float32)
    starts, stops = matrix.indptr[rows], matrix.indptr[rows + 1]
    at = np.empty((len(rows), len(columns)), dtype=np.intp)
    for place, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        at[place] = indices[start:stop].searchsorted(columns)
    at += starts[:, None]
    there = (indices.take(at, mode="clip") == columns) & (at < stops[:, None])
    return np.where(there, data.take(at, mode="clip"), 0)


def _of_length_1(vectors: Floats) -> Floats:
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)


def _of_words(
    words: csr_array, items: NDArray[np.int32], weights: Floats, listed: NDArray[np.int32]
) -> Floats:
    """Return the cosine of each view's tokens and those of each item of the list, (views, N)."""
    places, tokens, values = _entries(words, np.concatenate([items, listed]))
    n_own = int(places.searchsorted(len(items)))
    own, theirs = slice(0, n_own), slice(n_own, None)
    # Only the history's tokens count: each gets a number from 1, all others 0.
    numbers = np.zeros(words.shape[1], dtype=np.intp)
    numbers[tokens[own]] = np.arange(1, n_own + 1)  # of a token that stands twice, one of its numbers
    numbers = numbers.take(tokens)
    shape = len(listed), n_own + 1
    weighed = weights.take(places[own], axis=1) * values[own]
    profiles = np.array([np.bincount(numbers[own], one, shape[1]) for one in weighed], dtype=np.float32)
    table = np.zeros(shape, dtype=np.float32)
    table[places[theirs] - len(items), numbers[theirs]] = values[theirs]
    return _of_length_1(profiles) @ table.T


def _entries(matrix: csr_array, rows: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the entries of some rows, one after the other: place of the row among them, column, value."""
    starts = matrix.indptr.take(rows)
    lengths = matrix.indptr.take(rows + 1) - starts
    places = np.arange(len(rows)).repeat(lengths)
    at = np.arange(len(places)) + (starts - lengths.cumsum() + lengths).repeat(lengths)
    return places, matrix.indices.take(at), matrix.data.take(at)


def _shares(own: Floats, weight: Floats, theirs: Floats) -> Floats:
    """Return the weight of the history's items that have the code of each item of the list, (kinds, N).

    Args:
        own: (kinds, entries), codes of the history's items.
        weight: (entries,)
        theirs: (kinds, N), codes of the list's items; -1 where there is none.
    """
    same = own[:, :, None] == theirs[:, None, :]
    return np.where(theirs >= 0, weight @ same, np.float32(0))


def _price_distance(own: Floats, weight: Floats, theirs: Floats) -> Floats:
    """Return how far an item's log price is from the history's mean, (N,); 0 where either is unknown."""
    priced = np.isfinite(own)
    weight = weight * priced
    total = weight.sum()
    if not total > 0:
        return np.zeros_like(theirs)
    mean = weight @ np.where(priced, own, np.float32(0)) / max(total, 1e-6)
    return np.where(np.isfinite(theirs), np.abs(theirs - mean), 0).astype(np.float32)
