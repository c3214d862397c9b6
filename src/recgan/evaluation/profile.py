"""What events and recommendations look like: histograms over bins that a reference fixes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recgan.data.settings import EVENT_KINDS

OTHER, NONE = "(other)", "(none)"
MAX_CATEGORIES = 50
DECILES = 10

Histogram = dict[str, int]
"""Label of a bin → count."""


@dataclass(frozen=True)
class Bins:
    """The bins that depend on the data they were made for."""

    categories: tuple[str, ...]
    """Those with the most events, at most 50; any other category is `(other)`."""
    price_edges: tuple[float, ...]
    """Deciles of the prices, ascending; a price at an edge is below it."""


@dataclass(frozen=True)
class Catalogue:
    """What is known of each item."""

    items: pd.DataFrame
    """Indexed by item_id: category and price, NaN where not known."""
    deciles: pd.Series
    """item_id → 1 for the most popular tenth of a vocabulary … 10; only the items that it has."""


def catalogue(items: pd.DataFrame, item_ids: list[str], popularity: list[float]) -> Catalogue:
    """Put together the items table of today and a vocabulary with its popularity.

    Args:
        items: item_id, category, price.
        item_ids: the vocabulary.
        popularity: of each item of the vocabulary; ties go by place.
    """
    rank = np.empty(len(item_ids), dtype=np.int64)
    rank[np.argsort(-np.asarray(popularity), kind="stable")] = np.arange(len(item_ids))
    deciles = pd.Series(1 + DECILES * rank // len(item_ids), index=item_ids)
    return Catalogue(items.set_index("item_id")[["category", "price"]], deciles)


def fix_bins(events: pd.DataFrame, known: Catalogue) -> Bins:
    """Choose the bins for a reference.

    Args:
        events: item_id and price.
        known: of the items.
    """
    counts = events["item_id"].value_counts()
    category = known.items["category"].reindex(counts.index).to_numpy()
    categories = counts.groupby(category).sum().sort_values(ascending=False, kind="stable")
    prices = _prices(events, known)
    prices = prices[~np.isnan(prices)]
    edges = np.unique(np.quantile(prices, np.arange(1, DECILES) / DECILES)) if len(prices) else prices
    return Bins(tuple(str(name) for name in categories.index[:MAX_CATEGORIES]), tuple(edges.tolist()))


def event_histograms(events: pd.DataFrame, known: Catalogue, bins: Bins) -> dict[str, Histogram]:
    """Count events by kind, hour (UTC), category, decile of popularity and price.

    Not by weekday: a window of some days has too few of each, and would drift by the calendar alone.

    Args:
        events: item_id, event, timestamp, price (NaN takes the item's).
        known: of the items.
        bins: of the reference.
    """
    return {
        "kind": _count(events["event"], list(EVENT_KINDS)),
        "hour": _count(events["timestamp"].dt.hour.astype(str), [str(hour) for hour in range(24)]),
        **_by_item(events["item_id"].value_counts(), known, bins),
        "price": _by_price(_prices(events, known), np.ones(len(events), int), bins),
    }


def item_histograms(item_ids: pd.Series, known: Catalogue, bins: Bins) -> dict[str, Histogram]:
    """Count recommended items by category, decile of popularity and price.

    Args:
        item_ids: one entry for each place in a list.
        known: of the items.
        bins: of the reference.
    """
    counts = item_ids.value_counts()
    prices = known.items["price"].reindex(counts.index).to_numpy(dtype=np.float64)
    places: NDArray[np.int64] = np.asarray(counts, dtype=np.int64)
    return {**_by_item(counts, known, bins), "price": _by_price(prices, places, bins)}


def _prices(events: pd.DataFrame, known: Catalogue) -> NDArray[np.float64]:
    own = events["price"].to_numpy(dtype=np.float64)
    listed = known.items["price"].reindex(events["item_id"]).to_numpy(dtype=np.float64)
    return np.where(np.isnan(own), listed, own)


def _by_item(counts: "pd.Series[int]", known: Catalogue, bins: Bins) -> dict[str, Histogram]:
    category = known.items["category"].reindex(counts.index)
    label = category.where(category.isin(bins.categories), OTHER).mask(category.isna(), NONE)
    # Without the items that the vocabulary does not have: their share is a figure of its own, and would
    # drown all else here.
    inside = counts[counts.index.isin(known.deciles.index)]
    tenth = known.deciles.reindex(inside.index).astype(str)
    tenths = [str(place) for place in range(1, DECILES + 1)]
    return {
        "category": _count(label, [*bins.categories, OTHER, NONE], counts),
        "popularity": _count(tenth, tenths, inside),
    }


def _by_price(prices: NDArray[np.float64], counts: NDArray[np.int64], bins: Bins) -> Histogram:
    labels = [*(f"≤ {edge:.10g}" for edge in bins.price_edges), "above", NONE]
    place = np.searchsorted(bins.price_edges, prices, side="left")
    place[np.isnan(prices)] = len(labels) - 1
    found = np.bincount(place, weights=counts, minlength=len(labels))
    return dict(zip(labels, found.astype(int).tolist(), strict=True))


def _count(values: pd.Series, labels: list[str], weights: "pd.Series[int] | None" = None) -> Histogram:
    counts = values.value_counts() if weights is None else weights.groupby(values.to_numpy()).sum()
    return {label: int(counts.get(label, 0)) for label in labels}
