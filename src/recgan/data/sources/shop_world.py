"""The shop that is simulated: its products, its shoppers and what they like."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY = 86_400_000  # milliseconds, the unit of all times in here


TASTES = 3


INTEREST_DAYS = 30
"""How long one taste of a shopper is foremost."""


POPULARITY_SHARE = 0.15


CATEGORIES = (
    "shoes", "bags", "beauty", "shirts", "grocery", "dresses", "jewellery", "coffee", "trousers", "kitchen",
    "jackets", "pets", "sports", "lighting", "furniture", "bedding", "garden", "tools", "toys", "books",
    "music", "games", "phones", "audio", "cameras", "computers", "health", "baby", "wine", "stationery",
    "art", "watches", "fragrance", "outdoor", "travel", "cycling", "swimming", "running", "fishing",
    "camping",
)  # fmt: skip
"""A small shop has the first ones."""


ACCESSORIES = {
    "shoes": "bags", "shirts": "trousers", "dresses": "jewellery", "trousers": "shoes", "kitchen": "coffee",
    "jackets": "bags", "furniture": "lighting", "bedding": "lighting", "garden": "tools", "books": "music",
    "phones": "audio", "cameras": "bags", "computers": "games", "baby": "toys", "art": "stationery",
    "travel": "bags", "cycling": "sports", "swimming": "sports", "running": "shoes", "fishing": "outdoor",
    "camping": "outdoor",
}  # fmt: skip
"""The category of what goes with a product."""


HIT_DAYS = 18


REFILL_DAYS = {
    "beauty": 28, "grocery": 8, "coffee": 14, "pets": 18, "health": 25, "baby": 11, "wine": 21,
    "stationery": 35, "fragrance": 45,
}  # fmt: skip
"""After how many days a product is used up, for those that are."""


N_ACCESSORIES = 3


N_RELATED = 3


@dataclass(frozen=True)
class Catalogue:
    """Products, sorted by cell and then by arrival; arrays (items,)."""

    category: NDArray[np.int64]
    brand: NDArray[np.int64]  # unique over categories
    price: NDArray[np.float64]
    price_level: NDArray[np.float64]  # log price in standard deviations within its category
    quality: NDArray[np.float64]
    popularity: NDArray[np.float64]
    burst: NDArray[np.float64]  # popularity on top in the first HIT_DAYS of a hit; nothing else tells which
    arrival: NDArray[np.int64]  # ms since the log's start, negative before it
    number: NDArray[np.int64]  # of the outside id: no trace of cell or arrival
    cell: NDArray[np.int64]
    related: NDArray[np.int64]  # (items, N_RELATED): on its page, the next dearer ones of its cell
    accessories: NDArray[np.int64]  # (items, N_ACCESSORIES), of the same style; -1 for none
    refill_days: NDArray[np.float64]  # after which it is used up, NaN for never
    n_cells: int
    n_styles: int
    brands_per_category: int


@dataclass(frozen=True)
class Shoppers:
    """Shoppers; arrays (users,) unless said otherwise."""

    activity: NDArray[np.float64]
    first_day: NDArray[np.int64]
    last_day: NDArray[np.int64]  # exclusive
    personas: NDArray[np.int64]  # (users, tastes)
    taste: NDArray[np.float64]  # (users, tastes), cumulated, the last is 1
    interest: NDArray[np.int64]  # (users, spells): the taste that is foremost in each spell of INTEREST_DAYS
    spell_start: NDArray[np.int64]  # how many days of a spell had passed when the log began
    price_level: NDArray[np.float64]
    price_sensitivity: NDArray[np.float64]
    generosity: NDArray[np.float64]


def number_of_personas(n_users: int) -> int:
    """Return how many kinds of shoppers there are."""
    return int(np.clip(round(n_users**0.5 / 1.5), 8, 200))


def make_catalogue(n_items: int, days: int, rng: np.random.Generator) -> Catalogue:
    """Draw the products: category, style, price, popularity and the day each is first sold."""
    n_categories = int(np.clip(round(n_items**0.5 / 2.5), 4, len(CATEGORIES)))
    n_styles = int(np.clip(round(n_items**0.5 / 5), 3, 16))
    brands_per_category = int(np.clip(n_items // n_categories // 8, 2, 30))

    category = rng.choice(n_categories, n_items, p=_shares(n_categories, 0.7))
    # A brand leans towards one style, as brands do.
    brand = category * brands_per_category + rng.choice(
        brands_per_category, n_items, p=_shares(brands_per_category, 0.9)
    )
    brand_style = rng.integers(n_styles, size=n_categories * brands_per_category)
    leans = rng.random(n_items) < 0.6
    style = np.where(leans, brand_style[brand], rng.integers(n_styles, size=n_items))

    brand_level = rng.normal(0, 0.7, n_categories * brands_per_category)
    price_level = 0.7 * brand_level[brand] + rng.normal(0, 0.85, n_items)
    typical = np.exp(rng.normal(3.4, 0.8, n_categories))
    price = with_shop_endings(np.maximum(typical[category] * np.exp(0.5 * price_level), 0.5))

    # Most products were there before the log; a quarter arrives during it, and some more in its last weeks.
    arrival = -rng.integers(1, 730 * DAY, size=n_items)
    n_during, n_late = round(0.25 * n_items), max(1, round(0.04 * n_items))
    last_weeks = min(28, days // 3)
    order = rng.permutation(n_items)
    arrival[order[:n_during]] = rng.integers(0, days * DAY, size=n_during)
    arrival[order[n_during : n_during + n_late]] = rng.integers(
        (days - last_weeks) * DAY, int((days - last_weeks / 8) * DAY), size=n_late
    )
    # Some launches are hits that fade, and more are flops that stay ones; the rest sells like any product.
    popularity = rng.lognormal(0, 1.2, n_items)
    fate = rng.random(n_items)
    launched = arrival >= 0
    popularity *= np.where(launched & (fate > 0.6), 0.2, 1.0)
    burst = popularity * np.where(launched & (fate < 0.25), rng.uniform(4, 10, n_items), 0.0)

    cell = category * n_styles + style
    by_cell = np.lexsort((arrival, cell))
    cell, category, price_level = cell[by_cell], category[by_cell], price_level[by_cell]
    refill_days = np.array([REFILL_DAYS.get(name, np.nan) for name in CATEGORIES])
    return Catalogue(
        category=category,
        brand=brand[by_cell],
        price=price[by_cell],
        price_level=price_level,
        quality=rng.normal(0, 1, n_items),
        popularity=popularity[by_cell],
        burst=burst[by_cell],
        arrival=arrival[by_cell],
        number=rng.permutation(n_items),
        cell=cell,
        related=_related(cell, price_level),
        accessories=_accessories(category, cell, n_categories, n_styles, rng),
        refill_days=refill_days[category],
        n_cells=n_categories * n_styles,
        n_styles=n_styles,
        brands_per_category=brands_per_category,
    )


def with_shop_endings(price: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest prices that a shop writes: 9.79, 84.49, 229.99; from 10 up within half a percent."""
    step = np.select([price < 50, price < 200], [0.1, 0.5], 1.0)
    ended: NDArray[np.float64] = np.maximum(np.round((price + 0.01) / step), 1) * step - 0.01
    return ended.round(2)


def _related(cell: NDArray[np.int64], price_level: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the next dearer products of each one's cell, after the dearest the cheapest."""
    by_price = np.lexsort((price_level, cell))
    position = np.arange(len(cell))
    starts = np.searchsorted(cell, cell)  # cell is sorted, and so is cell[by_price]
    sizes = np.searchsorted(cell, cell, side="right") - starts
    related = np.empty((len(cell), N_RELATED), dtype=np.int64)
    for step in range(N_RELATED):
        related[by_price, step] = by_price[starts + (position - starts + step + 1) % sizes]
    return related


def _accessories(
    category: NDArray[np.int64],
    cell: NDArray[np.int64],
    n_categories: int,
    n_styles: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw what goes with each product from one cell: its style in the category that goes with its own."""
    goes_with = np.full(n_categories, -1)
    for main, other in ACCESSORIES.items():
        if CATEGORIES.index(main) < n_categories and CATEGORIES.index(other) < n_categories:
            goes_with[CATEGORIES.index(main)] = CATEGORIES.index(other)
    other_cell = goes_with[category] * n_styles + cell % n_styles
    first, end = np.searchsorted(cell, other_cell), np.searchsorted(cell, other_cell, side="right")
    drawn = first[:, None] + np.floor(rng.random((len(cell), N_ACCESSORIES)) * (end - first)[:, None]).astype(
        np.int64
    )
    none = (goes_with[category] < 0) | (end == first)
    return np.where(none[:, None], -1, drawn)


def make_shoppers(n_users: int, days: int, rng: np.random.Generator) -> Shoppers:
    """Draw the shoppers: how active each is, when, and what each likes."""
    # Four in ten shoppers arrive during the log, one in four stays away from some day on.
    first_day = np.where(rng.random(n_users) < 0.6, 0, rng.integers(0, days, n_users))
    leaves = first_day + 1 + np.floor(rng.random(n_users) * (days - first_day)).astype(np.int64)
    last_day = np.where(rng.random(n_users) < 0.25, leaves, days)
    weights = rng.gamma(0.7, 1.0, (n_users, TASTES)) + 1e-9
    taste = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    n_personas = number_of_personas(n_users)
    return Shoppers(
        activity=rng.lognormal(0, 0.9, n_users),
        first_day=first_day,
        last_day=last_day,
        personas=rng.choice(n_personas, (n_users, TASTES), p=_shares(n_personas, 0.5)),
        taste=taste,
        interest=draw_taste(np.repeat(taste[:, None], days // INTEREST_DAYS + 2, axis=1), rng),
        spell_start=rng.integers(0, INTEREST_DAYS, n_users),
        price_level=rng.normal(0, 0.9, n_users),
        price_sensitivity=rng.gamma(2.0, 0.4, n_users),
        generosity=rng.normal(0, 0.35, n_users),
    )


def make_personas(n_personas: int, catalogue: Catalogue, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return cumulated cell weights (personas, cells), offset by the row: row p ends at p + 1."""
    weights = rng.gamma(0.12, 1.0, (n_personas, catalogue.n_cells)) + 1e-9
    home = rng.integers(catalogue.n_styles, size=(n_personas, 1))
    weights *= np.where(np.arange(catalogue.n_cells) % catalogue.n_styles == home, 6.0, 1.0)
    cumulated = np.cumsum(weights, axis=1)
    return cumulated / cumulated[:, -1:] + np.arange(n_personas)[:, None]


def rank_within(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many earlier rows have the same group."""
    order = np.argsort(group, kind="stable")
    position = np.arange(len(group))
    starts = np.maximum.accumulate(np.where(np.diff(group[order], prepend=-1) != 0, position, 0))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = position - starts
    return rank


def draw_from(cumulated: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw positions in proportion to weights given as their cumulated sum."""
    drawn = np.searchsorted(cumulated, rng.random(size) * cumulated[-1], side="right")
    positions: NDArray[np.int64] = np.minimum(drawn, len(cumulated) - 1)
    return positions


def draw_taste(taste: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a taste for each row of cumulated shares, (…, tastes)."""
    above = rng.random(taste.shape[:-1])[..., None] > taste
    drawn: NDArray[np.int64] = above.sum(axis=-1).clip(max=TASTES - 1)
    return drawn


def _shares(n: int, exponent: float) -> NDArray[np.float64]:
    """Return Zipf shares of n ranks."""
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares
