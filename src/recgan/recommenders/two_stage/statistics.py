"""What the discriminator knows of items beside the generator: fitted on one matrix and its times alone.

- together: the cosine of two items' columns, the largest of each item.
- follows: how often item j came within three steps after item i, a step back counting by its distance,
  divided by the root of both items' counts.
- factors: vectors of length 1 from the same counts both ways (PPMI and SVD; Levy & Goldberg 2014):

      C_ij = Σ over pairs within three steps of 1/distance,  f_i = Σ_j C_ij,  T = Σ f_i
      P_ij = max(0, log(C_ij T / (f_i f_j^.75 T^.25)) + 2) where C_ij > 0,   P ≈ U S Vᵀ,   E = U √S

- words: the tokens of title, category and brand, weighted by rarity, rows of length 1.
- traits: log popularity, log popularity among the newest tenth of the entries, the logarithm of how much more
  that is than a tenth, and the logarithm of the days since the first entry.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from recgan.recommenders.feature_gan.item_vectors import _tokens as tokens_of
from recgan.recommenders.neighbours import nearest_by_cosine

_NEIGHBOURS = 200  # kept of each item, or a history's product with them would fill the catalogue
_STEPS = 3
_WIDTH = 64
_TOKENS = 20_000
_NEWEST = 0.1

TRAITS, LOG_PRICE, CODES = slice(0, 4), 4, slice(5, 7)
"""Rows of `Statistics.facts`."""


@dataclass(frozen=True)
class Statistics:
    """What is known of the items of a matrix; see above."""

    together: csr_array
    """(items, items) from an item of the history to another one."""
    follows: csr_array
    """(items, items) the same."""
    factors: NDArray[np.float32]
    """(items, width)"""
    words: csr_array
    """(items, tokens)"""
    brands: NDArray[np.int32]
    """(items,) codes; -1 where there is none."""
    categories: NDArray[np.int32]
    """(items,) codes; -1 where there is none."""
    log_prices: NDArray[np.float32]
    """(items,) NaN where there is none."""
    traits: NDArray[np.float32]
    """(items, 4)"""

    @classmethod
    def fit(cls, user_items: csr_array, times: NDArray[np.floating[Any]], items: pd.DataFrame) -> Self:
        """Count.

        Args:
            user_items: (users, items), confidences.
            times: (entries,) days, beside `user_items.data`.
            items: in the order of positions, at least one for each column; title, category, brand and price
                are read where they are there.
        """
        items = items.head(user_items.shape[1])
        steps = _steps(user_items, times)
        return cls(
            together=nearest_by_cosine(user_items, _NEIGHBOURS).weights(_NEIGHBOURS),
            follows=_follows(steps, user_items),
            factors=_factors(csr_array(steps + steps.T)),
            words=_words(items),
            brands=_codes(items, "brand"),
            categories=_codes(items, "category"),
            log_prices=_log_prices(items),
            traits=_traits(user_items, times),
        )

    @cached_property
    def facts(self) -> NDArray[np.float32]:
        """Return what is one number of each item, (7, items): traits, log price, codes of brand and category.

        A gather of some items from one table takes a fraction of one from each array. An item's numbers lie
        side by side, so that they are fetched from memory together.
        """
        columns = [self.traits, *(one[:, None] for one in (self.log_prices, self.brands, self.categories))]
        return np.hstack(columns).astype(np.float32).T

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it by name; a sparse matrix as the three arrays of CSR."""
        found: dict[str, NDArray[Any]] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, csr_array):
                found |= {f"{one.name}.{part}": getattr(value, part) for part in _PARTS}
                found[f"{one.name}.shape"] = np.array(value.shape, dtype=np.int64)
            else:
                found[one.name] = value
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Put together what `arrays` returned.

        Raises:
            KeyError: an array is missing.
            ValueError: their sizes disagree.
        """
        found: dict[str, Any] = {}
        for one in fields(cls):
            if one.name in arrays:
                found[one.name] = arrays[one.name]
                continue
            shape = tuple(arrays[f"{one.name}.shape"].tolist())
            matrix = csr_array(tuple(arrays[f"{one.name}.{part}"] for part in _PARTS), shape=shape)
            matrix.check_format()
            matrix.sort_indices()  # pairs.py searches rows; what `fit` made is in order
            found[one.name] = matrix
        if (
            len({len(value) if isinstance(value, np.ndarray) else value.shape[0] for value in found.values()})
            > 1
        ):
            raise ValueError("the statistics are of different numbers of items")
        return cls(**found)


_PARTS = ("data", "indices", "indptr")


def _steps(user_items: csr_array, times: NDArray[np.floating[Any]]) -> csr_array:
    """Return Σ 1/distance over the pairs (earlier, later) within three steps of a history, (items, items)."""
    n_users, n_items = user_items.shape
    rows = np.repeat(np.arange(n_users), np.diff(user_items.indptr))
    order = np.lexsort((user_items.indices, times, rows))
    rows, items = rows[order], user_items.indices[order]
    parts: list[tuple[NDArray[Any], ...]] = []
    for distance in range(1, _STEPS + 1):
        same = rows[distance:] == rows[:-distance]
        counts = np.full(int(same.sum()), 1 / distance)
        parts.append((counts, items[:-distance][same], items[distance:][same]))
    values, earlier, later = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return csr_array((values, (earlier, later)), shape=(n_items, n_items))


def _follows(steps: csr_array, user_items: csr_array) -> csr_array:
    counts = np.bincount(user_items.indices, minlength=user_items.shape[1])
    scale = 1 / np.sqrt(np.maximum(counts, 1))
    pairs = steps.tocoo()
    row, column = pairs.coords
    values = (pairs.data * scale[row] * scale[column]).astype(np.float32)
    return csr_array((values, (row, column)), shape=steps.shape)


def _factors(counts: csr_array) -> NDArray[np.float32]:
    """Return the rows of U √S of the matrix P above, each of length 1; 0 where an item has no neighbour."""
    n_items = counts.shape[0]
    pairs = counts.tocoo()
    of_item = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    total = of_item.sum()
    width = min(_WIDTH, n_items - 1)
    if not total or width < 1:
        return np.zeros((n_items, 1), dtype=np.float32)
    row, column = pairs.coords
    expected = of_item[row] * of_item[column] ** 0.75 * total**0.25
    values = np.maximum(0, np.log(pairs.data * total / expected) + 2)
    start = np.random.default_rng(0).standard_normal(n_items)
    P = csr_array((values, (row, column)), shape=counts.shape)
    left, sizes, _ = svds(P, k=width, v0=start)
    found = left * np.sqrt(sizes)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, found / np.maximum(lengths, 1e-6), 0).astype(np.float32)


def _words(items: pd.DataFrame) -> csr_array:
    """Return each item's tokens, weighted by rarity, its row of length 1; one of one item says nothing."""
    found = tokens_of(items)
    held = Counter(token for counts in found for token in counts)
    kept = [token for token, count in held.most_common(_TOKENS) if count > 1]
    place = {token: column for column, token in enumerate(kept)}
    rarity = np.log((len(items) + 1) / (np.array([held[token] for token in kept], dtype=np.float64) + 1))
    rows, columns, values = [], [], []
    for row, counts in enumerate(found):
        known = [(place[token], count) for token, count in counts.items() if token in place]
        weights = [count * float(rarity[column]) for column, count in known]
        length = float(np.linalg.norm(weights)) if weights else 0.0
        if length > 0:
            rows += [row] * len(known)
            columns += [column for column, _ in known]
            values += [weight / length for weight in weights]
    entries = (
        np.array(values, dtype=np.float32),
        (np.array(rows, dtype=np.int32), np.array(columns, dtype=np.int32)),
    )
    return csr_array(entries, shape=(len(items), max(1, len(kept))))


def _codes(items: pd.DataFrame, column: str) -> NDArray[np.int32]:
    if column not in items:
        return np.full(len(items), -1, dtype=np.int32)
    texts = [value if isinstance(value, str) else None for value in items[column]]
    return pd.factorize(np.array(texts, dtype=object), sort=True)[0].astype(np.int32)


def _log_prices(items: pd.DataFrame) -> NDArray[np.float32]:
    if "price" not in items:
        return np.full(len(items), np.nan, dtype=np.float32)
    price = items["price"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.log(np.where(price > 0, price, np.nan)).astype(np.float32)


def _traits(user_items: csr_array, times: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    n_items = user_items.shape[1]
    counts = np.bincount(user_items.indices, minlength=n_items)
    newest = np.quantile(times, 1 - _NEWEST) if len(times) else 0.0
    late = times >= newest
    recent = np.bincount(user_items.indices[late], minlength=n_items)
    share = late.mean() if len(times) else 0.0
    first = np.full(n_items, times.max(initial=0))
    np.minimum.at(first, user_items.indices, times)
    age = times.max(initial=0) - first
    columns = [np.log1p(counts), np.log1p(recent), np.log((recent + 1) / (share * counts + 1)), np.log1p(age)]
    return np.stack(columns, axis=1).astype(np.float32)
