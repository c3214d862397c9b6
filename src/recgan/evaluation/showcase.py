"""The lists of one candidate as the page shows them: products by title, and what was taken of a list."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recgan.core.redact import shown
from recgan.data.settings import PICTURE, PICTURE_LENGTH
from recgan.evaluation.lists import MISSED

_TITLE = 90
"""Characters of a title that are shown."""


@dataclass(frozen=True)
class Product:
    """A product in words."""

    name: str
    """Its title, its id where there is none."""
    about: str
    """Brand, category and price, as far as they are known and the title does not say them."""
    picture: str | None
    """Address of its picture."""


@dataclass(frozen=True)
class Shopper:
    """One shopper: history, list (offered), and what came afterwards."""

    had: list[Product]
    had_more: int
    """Products of the history that are not named."""
    offered: list[tuple[Product, bool]]
    """Each with whether the shopper took it afterwards."""
    hits: int
    took: int
    missed: list[Product]
    """Some of what was taken and is not in the list."""
    missed_more: int


@dataclass(frozen=True)
class Showcase:
    """What a candidate shows."""

    k: int
    shoppers: Sequence[Shopper]
    most_shown: Sequence[tuple[Product, float, float]]
    """Each with the shares of shoppers whose list has it, and who took it."""
    first_list: Sequence[Product]
    """Of somebody of whom nothing is known."""
    pictured: bool
    """Whether any product has a picture."""


def showcase(lists: Mapping[str, Any], name: str) -> Showcase:
    """Return what one candidate shows, of what `shown_lists` found.

    Args:
        lists: of lists.json.
        name: of the candidate.
    """

    def product(item: str) -> Product:
        return product_of(item, lists["items"].get(item, {}))

    most = [(product(one["item"]), one["shown"], one["took"]) for one in lists["most_shown"][name]]
    return Showcase(
        k=lists["k"],
        shoppers=[_shopper(one, name, product) for one in lists["shoppers"]],
        most_shown=most,
        first_list=[product(item) for item in lists["first_list"][name]],
        pictured=any(_picture(known.get("image_url")) for known in lists["items"].values()),
    )


def product_of(item: str, known: Mapping[str, Any]) -> Product:
    """Put into words what is known of a product."""
    title = " ".join(str(known.get("title", "")).split())
    title = f"{title[: _TITLE - 1]}…" if len(title) > _TITLE else title
    words = [" ".join(str(known[field]).split()) for field in ("brand", "category") if field in known]
    about = [word for word in words if word.casefold() not in title.casefold()]
    if (price := known.get("price")) is not None:
        about.append(f"{price:,.2f}")
    return Product(title or shown(item), " · ".join(about), _picture(known.get("image_url")))


def _shopper(one: Mapping[str, Any], name: str, product: Any) -> Shopper:
    listed, took = one["lists"][name], one["took"]
    missed = [item for item in took if item not in listed]
    return Shopper(
        had=[product(item) for item in one["had"]],
        had_more=one["had_in_all"] - len(one["had"]),
        offered=[(product(item), item in took) for item in listed],
        hits=len(took) - len(missed),
        took=len(took),
        missed=[product(item) for item in missed[:MISSED]],
        missed_more=len(missed[MISSED:]),
    )


def _picture(address: Any) -> str | None:
    """Return a picture's address where a page may show it, as the stage `validate` has it."""
    text = str(address or "")
    return text if re.match(PICTURE, text) and len(text) <= PICTURE_LENGTH else None
