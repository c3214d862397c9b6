"""Vectors of products: collaborative factors of those that were sold, and content that any product has.

With X the train matrix and A the products' content, one row a product,

    collaborative   V √items, the right singular vectors of X          (nothing for a new product)
    content         A Q (Λ + l2 I)^-½, with AᵀA / items = Q Λ Qᵀ       (its leading dimensions)

Each block is whitened: over the products, its dimensions are uncorrelated and have mean square 1 (less where
l2 counts). Then an inner product is a projection. Let p hold how likely each product is to be the next one,
and let v̂ = Σ pᵢ vᵢ be the expected vector. Then v̂ · vᵢ / items is the block's least-squares picture of pᵢ.
For a new product it is the mean of pⱼ over the products that are like it. (V alone is PureSVD, Cremonesi et
al. 2010.)

A's columns are the category (each of several that `|` joins), the brand, five overlapping ranges of the log
price, and the title's words weighted by rarity (TF-IDF, a title of length 1).
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import svds

Vectors = NDArray[np.float32]

_PRICE_CENTRES = np.linspace(-2, 2, 5)  # standard deviations of the log price
_WORD = re.compile(r"\w\w+")


@dataclass(frozen=True)
class Content:
    """How content becomes vectors, as fitted on the products of train."""

    tokens: tuple[str, ...]
    """Columns of A: `category=…`, `brand=…` and `title=…` of several products."""
    rarity: NDArray[np.float32]
    """(tokens,) log((items + 1) / (items with the token + 1)); 1 where the token is no word."""
    log_price: tuple[float, float]
    """Mean and standard deviation."""
    projection: NDArray[np.float32]
    """(tokens + price ranges, width)"""

    def vectors(self, items: pd.DataFrame) -> Vectors:
        """Return the vectors (items, width) of any products; 0 for one of which nothing is known."""
        found: NDArray[np.float32] = (self._columns(items) @ self.projection).astype(np.float32)
        return found

    def _columns(self, items: pd.DataFrame) -> csr_array:
        """Return A (items, tokens + price ranges)."""
        place = {token: position for position, token in enumerate(self.tokens)}
        n_items, n_tokens = len(items), len(self.tokens)
        rows, columns, values = [], [], []
        for row, counts in enumerate(_tokens(items)):
            known = [(place[token], count) for token, count in counts.items() if token in place]
            weights = {position: count * float(self.rarity[position]) for position, count in known}
            words = {position for position in weights if self.tokens[position].startswith("title=")}
            # A word of every title weighs nothing; a title of such words alone has no length.
            length = np.sqrt(sum(weights[position] ** 2 for position in words)) or 1.0
            for position, weight in weights.items():
                rows.append(row)
                columns.append(position)
                values.append(weight / length if position in words else weight)
        written = csr_array((values, (rows, columns)), shape=(n_items, n_tokens), dtype=np.float64)
        mean, spread = self.log_price
        standing = (_log_price(items) - mean) / spread
        near = np.nan_to_num(np.exp(-((standing[:, None] - _PRICE_CENTRES) ** 2)))  # (items, ranges)
        return csr_array(hstack([written, csr_array(near)], format="csr"))


def fit_content(items: pd.DataFrame, most_tokens: int, min_items: int, width: int, l2: float) -> Content:
    """Learn columns and whitening from the products of train.

    Args:
        items: in the order of positions; title, category, brand and price are read where they are there.
        most_tokens: only the tokens of the most products are kept.
        min_items: products that a token must have.
        width: most dimensions to keep, those along which products differ most.
        l2: ridge of the whitening.
    """
    counted = Counter(token for counts in _tokens(items) for token in counts)
    kept = sorted(token for token, count in counted.most_common() if count >= min_items)
    kept = sorted(sorted(kept, key=lambda token: -counted[token])[:most_tokens])
    held = np.array([counted[token] for token in kept], dtype=np.float64)
    is_word = np.array([token.startswith("title=") for token in kept], dtype=bool)
    rarity = np.where(is_word, np.log((len(items) + 1) / (held + 1)), 1.0)
    log_price = _log_price(items)
    known = log_price[~np.isnan(log_price)]
    spread = float(known.std()) if len(known) else 0.0
    unprojected = Content(
        tokens=tuple(kept),
        rarity=rarity.astype(np.float32),
        log_price=(float(known.mean()) if len(known) else 0.0, spread or 1.0),
        projection=np.eye(len(kept) + len(_PRICE_CENTRES), dtype=np.float32),
    )
    A = unprojected._columns(items)
    values, directions = np.linalg.eigh((A.T @ A).toarray() / len(items))
    leading = np.flatnonzero(values > 1e-9)[::-1][:width]  # eigh returns them ascending
    projection = directions[:, leading] / np.sqrt(values[leading] + l2)
    return Content(
        tokens=unprojected.tokens,
        rarity=unprojected.rarity,
        log_price=unprojected.log_price,
        projection=_signed(projection).astype(np.float32),
    )


def collaborative_factors(user_items: csr_array, factors: int, seed: int) -> Vectors:
    """Return V √items (items, factors): the leading right singular vectors, as many as there are.

    Args:
        user_items: (users, items).
        factors: most of them.
        seed: of where the iteration starts.
    """
    n_items = user_items.shape[1]
    factors = min(factors, min(user_items.shape) - 1)
    start = np.random.default_rng(seed).standard_normal(min(user_items.shape))
    _, values, directions = svds(user_items.astype(np.float64), k=factors, v0=start)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > 1e-6 * values.max(initial=0)]
    scaled: Vectors = (_signed(directions[order].T) * np.sqrt(n_items)).astype(np.float32)
    return scaled


def _tokens(items: pd.DataFrame) -> list[Counter[str]]:
    """Return each product's tokens and how often it has each."""
    found: list[Counter[str]] = [Counter() for _ in range(len(items))]
    for column in ("category", "brand", "title"):
        if column not in items:
            continue
        for counts, value in zip(found, items[column], strict=True):
            if not isinstance(value, str):
                continue
            # A category of several, as the attributes of the source `sequences`, is written with bars.
            parts = value.split("|") if column == "category" else [value]
            words = _WORD.findall(value.lower()) if column == "title" else parts
            counts.update(f"{column}={word}" for word in words)
    return found


def _log_price(items: pd.DataFrame) -> NDArray[np.float64]:
    if "price" not in items:
        return np.full(len(items), np.nan)
    price = items["price"].to_numpy(dtype=np.float64)
    return np.log(np.where(price > 0, price, np.nan))


def _signed(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Choose each column's sign, which no decomposition defines: its largest entry is positive."""
    largest = np.abs(directions).argmax(axis=0) if len(directions) else np.zeros(0, dtype=np.int64)
    signs = np.sign(directions[largest, np.arange(directions.shape[1])])
    turned: NDArray[np.float64] = directions * np.where(signs == 0, 1.0, signs)
    return turned
