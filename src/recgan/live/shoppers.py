"""What shoppers of the simulated shop do with a list: how far they read, what they open, what they buy.

All of it is by the rules of the shop's own log (recgan.data.sources.shop_choice, shop_visits). Whoever comes
to a list came to browse. A visit with a purpose goes straight to its product and meets no list.

- A shopper reads down from the top, and reaches place j with probability 1 / log2(j + 1). That is the
  discount of NDCG (Järvelin & Kekäläinen 2002), near to how far readers' eyes go (Joachims et al. 2005).
- A product that was read is opened if one of the shopper's next OWN_CHOICES choices in the shop would have
  been that product: 1 - (1 - p)^OWN_CHOICES, where p is the probability of one choice.
- What is opened is put into the cart, and bought from there, as any product that is looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recgan.data.sources.shop_choice import PROPOSALS, World, fit_of
from recgan.data.sources.shop_occasions import INTEREST_SHARE
from recgan.data.sources.shop_visits import bought_share, cart_share, wish_of
from recgan.data.sources.shop_world import DAY, HIT_DAYS, INTEREST_DAYS, POPULARITY_SHARE, TASTES

OWN_CHOICES = 10


@dataclass(frozen=True)
class Wants:
    """What shoppers would do with each product if they read of it; arrays (requests, products)."""

    opens: NDArray[np.float64]
    """The probability that a product is opened, given that it was read."""
    carts: NDArray[np.float64]
    """That it is put into the cart, given that it was opened."""
    buys: NDArray[np.float64]
    """That it is bought, given that it is in the cart."""

    @property
    def worth(self) -> NDArray[np.float64]:
        """The probability that a product is bought, given that it was read, (requests, products)."""
        worth: NDArray[np.float64] = self.opens * self.carts * self.buys
        return worth


@dataclass(frozen=True)
class Came:
    """What came of lists; arrays (requests, places), False where a list has no such place."""

    opened: NDArray[np.bool_]
    carted: NDArray[np.bool_]
    bought: NDArray[np.bool_]


def examined(places: int) -> NDArray[np.float64]:
    """Return the probability that each place of a list is read, (places,)."""
    return 1 / np.log2(np.arange(2, places + 2))


def chosen(world: World, user: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability that one choice of a shopper's own falls on each product.

    It is the law of what shop_choice draws: propose from a cell of the taste that leads, or by popularity
    from anywhere; accept by fit; take the last of PROPOSALS proposals whatever it is.

    Args:
        world: with the products and the shoppers.
        user: (requests,).
        time: (requests,) ms since the log's start.

    Returns:
        (requests, products); each row adds up to 1.
    """
    catalogue = world.catalogue
    arrival = np.maximum(catalogue.arrival, 0)[None, :]
    now = time[:, None]
    is_hit = (arrival <= now) & (arrival > now - HIT_DAYS * DAY)
    mass = np.where(arrival <= now, catalogue.popularity, 0.0) + np.where(is_hit, catalogue.burst, 0.0)

    firsts = np.searchsorted(catalogue.cell, np.arange(catalogue.n_cells))  # products are sorted by cell
    ends = np.searchsorted(catalogue.cell, np.arange(catalogue.n_cells), side="right")
    summed = np.concatenate([np.zeros((len(user), 1)), np.cumsum(mass, axis=1)], axis=1)
    cells = summed[:, ends] - summed[:, firsts]

    fit = fit_of(world, user[:, None], np.arange(mass.shape[1])[None, :], now)
    taken = np.zeros_like(mass)
    # Taste by taste: what is refused is proposed anew from the same taste.
    for share, weights in tastes(world, user, time):
        empty = np.where(cells <= 0, weights, 0.0).sum(axis=1, keepdims=True)
        in_cell = np.divide(weights, cells, out=np.zeros_like(cells), where=cells > 0)[:, catalogue.cell]
        anywhere = POPULARITY_SHARE + (1 - POPULARITY_SHARE) * empty
        proposed = mass * ((1 - POPULARITY_SHARE) * in_cell + anywhere / mass.sum(axis=1, keepdims=True))
        refused = (proposed * (1 - fit)).sum(axis=1, keepdims=True)
        tries = sum(refused**attempt for attempt in range(PROPOSALS - 1))
        taken += share[:, None] * proposed * (fit * tries + refused ** (PROPOSALS - 1))
    return taken


def tastes(
    world: World, user: NDArray[np.int64], time: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the share of the choices that each taste of shoppers leads, (requests,), and its cells' shares.

    The shares of cells are (requests, cells).
    """
    shoppers = world.shoppers
    spell = (time // DAY + shoppers.spell_start[user]) // INTEREST_DAYS
    foremost = shoppers.interest[user, spell]
    leads = np.diff(shoppers.taste[user], axis=1, prepend=0)  # (requests, tastes)
    offset = np.arange(len(world.persona_cells))[:, None]
    weights = np.diff(world.persona_cells - offset, axis=1, prepend=0)  # (personas, cells)
    for slot in range(TASTES):
        share = INTEREST_SHARE * (foremost == slot) + (1 - INTEREST_SHARE) * leads[:, slot]
        yield share, weights[shoppers.personas[user, slot]]


def wants(world: World, user: NDArray[np.int64], time: NDArray[np.int64]) -> Wants:
    """Return what shoppers would do with each product; arguments: `chosen`."""
    product = np.arange(len(world.catalogue.cell))[None, :]
    wish = wish_of(world, user[:, None], product, time[:, None])
    opens = 1 - (1 - chosen(world, user, time)) ** OWN_CHOICES
    return Wants(opens, cart_share(wish), bought_share(wish))


def expected(worth: NDArray[np.float64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the expected purchases of each list, (requests,).

    Args:
        worth: of `Wants`.
        lists: (requests, places) products, -1 where a list has no such place.
    """
    shown = np.take_along_axis(worth, np.maximum(lists, 0), axis=1)
    bought: NDArray[np.float64] = np.where(lists >= 0, shown, 0.0) @ examined(lists.shape[1])
    return bought


def best(worth: NDArray[np.float64], left_out: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """Return the lists that bring the most purchases in expectation: no list does better.

    Args:
        worth: of `Wants`.
        left_out: (requests, products) that may not be shown.
        k: places.
    """
    return np.argsort(np.where(left_out, np.inf, -worth), axis=1, kind="stable")[:, :k]


@dataclass(frozen=True)
class Draws:
    """All chance of requests, drawn before any list is made; so the same shoppers can meet other lists."""

    reads: NDArray[np.float64]
    """(requests, 1); place j is read where it is below `examined`."""
    opens: NDArray[np.float64]
    """(requests, products), as the next two: done where it is below the share of `Wants`."""
    carts: NDArray[np.float64]
    buys: NDArray[np.float64]


def draw(requests: int, products: int, rng: np.random.Generator) -> Draws:
    """Draw the chance of some requests."""
    return Draws(rng.random((requests, 1)), *(rng.random((requests, products)) for _ in range(3)))


def act(wants: Wants, draws: Draws, lists: NDArray[np.int64], rows: slice = slice(None)) -> Came:
    """Let shoppers go through their lists.

    Args:
        wants: of each request.
        draws: of each request.
        lists: (rows, places) products, -1 where a list has no such place.
        rows: the requests that these lists answer.
    """
    reads = draws.reads[rows] < examined(lists.shape[1])

    def done(share: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.take_along_axis(drawn[rows] < share[rows], np.maximum(lists, 0), axis=1)

    opened = reads & (lists >= 0) & done(wants.opens, draws.opens)
    carted = opened & done(wants.carts, draws.carts)
    return Came(opened, carted, carted & done(wants.buys, draws.buys))
