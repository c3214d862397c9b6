"""The features of a shopper and an item that the discriminator judges by.

A history has three views, each with weights whose sum is 1: *whole*, its confidences; *recent*, each
confidence times .7 for every newer entry; *last*, the newest entries alone. Without ages the three are one.
The weight .7 is the best of those tried for a linear recommender on sequences of purchases
(docs/experiments/two-stages.md).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import beside
from recgan.recommenders.two_stage.statistics import Statistics

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

_DECAY = 0.7


@dataclass(frozen=True)
class Views:
    """Weights of a history's entries, rows of sum 1; see above."""

    whole: csr_array
    recent: csr_array
    last: csr_array


def views(user_items: csr_array, ages: csr_array | None) -> Views:
    """Return the three views of histories, the same entries each.

    Args:
        user_items: (rows, items), confidences.
        ages: (rows, items), days, the same entries in the same order; None where nothing is known of time.
    """
    user_items = beside(user_items, user_items.data.astype(np.float32))
    if ages is None:
        whole = _of_sum_1(user_items)
        return Views(whole, whole, whole)
    newer = _newer(ages)
    recent = user_items.data * np.float32(_DECAY) ** newer
    return Views(
        _of_sum_1(user_items),
        _of_sum_1(beside(user_items, recent.astype(np.float32))),
        _of_sum_1(beside(user_items, np.where(newer == 0, user_items.data, 0).astype(np.float32))),
    )


def _newer(ages: csr_array) -> NDArray[np.float32]:
    """Return how many entries of its row are newer than each entry."""
    starts, lengths = ages.indptr[:-1], np.diff(ages.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((ages.data, rows))
    sorted_ages = ages.data[order]
    first = np.append(True, (np.diff(sorted_ages) != 0) | (np.diff(rows) != 0))[: len(order)]
    at_first = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    found = np.empty(len(order), dtype=np.float32)
    found[order] = at_first - np.repeat(starts, lengths)
    return found


def _of_sum_1(weights: csr_array) -> csr_array:
    n_rows = weights.shape[0]
    rows = np.repeat(np.arange(n_rows), np.diff(weights.indptr))
    sums = np.maximum(np.bincount(rows, weights.data, minlength=n_rows), np.finfo(np.float32).tiny)
    return beside(weights, (weights.data / sums[rows]).astype(np.float32))


def beside_generator(
    known: Statistics, user_items: csr_array, ages: csr_array | None, ids: NDArray[np.int32]
) -> Floats:
    """Return what the statistics say of each history and each item of its list, (rows, N, columns).

    Args:
        known: of the items.
        user_items: (rows, items), confidences.
        ages: of their entries; None where nothing is known of time.
        ids: (rows, N), positions; what stands at a place of -1 means nothing.
    """
    seen = views(user_items, ages)
    found = np.zeros((*ids.shape, len(BESIDE)), dtype=np.float32)
    columns = iter(range(len(BESIDE)))

    def put(values: Floats) -> None:
        found[:, :, next(columns)] = values

    for view in (seen.whole, seen.recent, seen.last):
        put(_at(view @ known.together, ids))
    for view in (seen.recent, seen.last):
        put(_at(view @ known.follows, ids))
    for view in (seen.recent, seen.last):
        put(np.einsum("rd,rnd->rn", _of_length_1(view @ known.factors), known.factors[ids]))
    for view in (seen.recent, seen.last):
        put(_products(csr_array(view @ known.words), known.words, ids))
    put(_share(seen.recent, known.brands, ids))
    put(_share(seen.recent, known.categories, ids))
    put(_price_distance(seen.recent, known.log_prices, ids))
    for trait in range(known.traits.shape[1]):
        put(known.traits[ids, trait])
    put(np.log1p(_at(user_items, ids)))
    since = np.zeros(ids.shape, dtype=np.float32)
    if ages is not None:
        since = np.log1p(np.maximum(_at(ages, ids), 0))
    put(since)
    put(np.broadcast_to(np.log1p(np.diff(user_items.indptr))[:, None], ids.shape).astype(np.float32))
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
    whole = np.log(np.maximum(np.where(there, np.exp(held - top), 0).sum(axis=1, keepdims=True), 1e-30))
    own = np.where(ids >= 0, scores, mean)
    columns = [own - top - whole, (own - mean) / np.maximum(spread, 1e-6), np.log1p(ranks)]
    return np.stack(columns, axis=2).astype(np.float32)


def joined(generated: Floats, rest: Floats) -> Floats:
    """Return all columns: the generator's, its standing times the history's length, the statistics'."""
    by_length = generated[:, :, 1:2] * rest[:, :, -1:]
    return np.concatenate([generated, by_length, rest], axis=2)


def _at(matrix: csr_array, ids: NDArray[np.int32]) -> Floats:
    dense: Floats = csr_array(matrix).toarray()
    return np.take_along_axis(dense, ids, axis=1).astype(np.float32)


def _of_length_1(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)


def _products(profiles: csr_array, words: csr_array, ids: NDArray[np.int32]) -> Floats:
    """Return the cosine of each row's profile and the words of each item of its list."""
    lengths = np.sqrt(np.asarray(profiles.power(2).sum(axis=1)).ravel())
    dense = profiles.toarray() / np.maximum(lengths, 1e-6)[:, None]
    chosen = csr_array(words[ids.ravel()])
    pairs = np.repeat(np.arange(ids.size), np.diff(chosen.indptr))
    terms = chosen.data * dense[pairs // ids.shape[1], chosen.indices]
    return np.bincount(pairs, terms, minlength=ids.size).reshape(ids.shape).astype(np.float32)


def _share(view: csr_array, codes: NDArray[np.int32], ids: NDArray[np.int32]) -> Floats:
    """Return the weight of a history's items that have the same code as each item of its list."""
    kinds = max(1, int(codes.max(initial=-1)) + 1)
    known = np.flatnonzero(codes >= 0)
    one_hot = csr_array(
        (np.ones(len(known), dtype=np.float32), (known, codes[known])), shape=(len(codes), kinds)
    )
    of_list = codes[ids]
    shares = np.take_along_axis((view @ one_hot).toarray(), np.maximum(of_list, 0), axis=1)
    return np.where(of_list >= 0, shares, 0).astype(np.float32)


def _price_distance(view: csr_array, log_prices: Floats, ids: NDArray[np.int32]) -> Floats:
    """Return how far an item's log price is from the history's mean; 0 where either is unknown."""
    priced = np.isfinite(log_prices)
    weight = view @ priced.astype(np.float32)
    mean = (view @ np.where(priced, log_prices, 0)) / np.maximum(weight, 1e-6)
    distance = np.abs(np.where(priced, log_prices, 0)[ids] - mean[:, None])
    return np.where(priced[ids] & (weight > 0)[:, None], distance, 0).astype(np.float32)
