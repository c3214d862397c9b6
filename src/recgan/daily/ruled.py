"""The rules of the shop that the published lists obey: all but those that need to know a request."""

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.daily.publish import Parts
from recgan.newcomers.weights import Newcomers
from recgan.online.contradictions import contradictions, some
from recgan.online.rules import HARD, Blacklist, Boost, Cap, NotAgain, OutOfStock, Pin, Rule, Rules
from recgan.online.rules_file import is_there, read_rules, rules_path
from recgan.registry.asking import NoAnswerError

log = logging.getLogger(__name__)

_Items = dict[str, tuple[str | None, str | None]]
"""Item → its category and brand."""


def rules_for(root: Path, name: str, now: datetime) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Return the rules of a registered model that hold now for lists of nobody's request.

    What rests for a shopper follows from what a server has shown, and a pin with categories from the filter
    of a request.

    Returns:
        The rules, and the names of those that hold now in the server's answers alone.

    Raises:
        RecganError: the file cannot be read: lists without its rules would show what it forbids.
    """
    path = rules_path(root, name)
    if not is_there(path):
        return (), ()
    now_there = [rule for rule in read_rules(path).rules if rule.holds(now)]
    asked = [
        rule
        for rule in now_there
        if isinstance(rule, NotAgain) or (isinstance(rule, Pin) and rule.categories is not None)
    ]
    return tuple(rule for rule in now_there if rule not in asked), tuple(rule.name for rule in asked)


def told(rules: Sequence[Rule]) -> dict[str, Any] | None:
    """Return what a published file says of its rules: their names, and an md5 of all that they say."""
    if not rules:
        return None
    content = json.dumps([rule.model_dump(mode="json") for rule in rules]).encode()
    return {
        "names": [rule.name for rule in rules],
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }


def heeded(rules: Sequence[Rule], model: Path, newcomers: Newcomers | None, k: int) -> list[str]:
    """Return the names of the rules that can change a list of k, and warn of what the others lack.

    Args:
        rules: that hold now.
        model: the folder of the package.
        newcomers: the new products beside it; None for none.
        k: length of a list.

    Raises:
        NoAnswerError: the package is damaged.
    """
    items = _items(model, newcomers)
    for rule in rules:
        named = _named(rule)
        missing = sum(one not in items for one in named)
        if missing:
            log.warning(
                "rule %r: the champion does not know %s of its %s ids", rule.name, f"{missing:,}", len(named)
            )
        if isinstance(rule, Pin) and rule.place > k:
            log.warning("rule %r pins to place %s, and a list ends at %s", rule.name, rule.place, k)
    for said_of_them in contradictions(Rules(rules=list(rules)), lambda one: items.get(one, (None, None))):
        log.warning("%s", said_of_them)
    hard = [rule for rule in rules if isinstance(rule, HARD)]
    categories, brands = (set(values) for values in zip(*items.values(), strict=True))
    return [rule.name for rule in rules if _can_hold(rule, k, items, categories, brands, hard)]


def _named(rule: Rule) -> list[str]:
    if isinstance(rule, Pin):
        return [rule.item]
    return list(dict.fromkeys(rule.items)) if isinstance(rule, OutOfStock | Blacklist | Boost) else []


def _items(model: Path, newcomers: Newcomers | None) -> _Items:
    try:
        content = read_json(model / "artifacts" / "items.json")
        item_ids, catalogue = content["item_ids"], content.get("catalogue") or {}
    except (OSError, ValueError, KeyError) as error:
        raise NoAnswerError(f"the package has no readable items.json: {error}") from None
    nothing = [None] * len(item_ids)
    traits = zip(catalogue.get("categories") or nothing, catalogue.get("brands") or nothing, strict=True)
    found: _Items = dict(zip(item_ids, traits, strict=True))
    if newcomers is not None:
        new = newcomers.catalogue
        brands = new.brands or [None] * len(newcomers.item_ids)
        found |= zip(newcomers.item_ids, zip(new.categories, brands, strict=True), strict=True)
    return found


def _can_hold(
    rule: Rule,
    k: int,
    items: _Items,
    categories: set[str | None],
    brands: set[str | None],
    hard: Sequence[OutOfStock | Blacklist],
) -> bool:
    if isinstance(rule, Pin):
        known = rule.item in items and rule.place <= k
        return known and not any(one.names(rule.item, *items[rule.item]) for one in hard)
    if isinstance(rule, OutOfStock | Blacklist | Boost):
        return (
            any(one in items for one in rule.items)
            or not categories.isdisjoint(rule.categories)
            or not brands.isdisjoint(rule.brands)
        )
    if isinstance(rule, Cap) and rule.only is not None:
        return not (categories if rule.per == "category" else brands).isdisjoint(rule.only)
    return True


def lengths(parts: Parts, shoppers: int, by: str, path: Path) -> dict[str, int]:
    """Return how many rows finished parts have, and how long the shortest list is.

    Args:
        parts: all of them there; no shopper is in two.
        shoppers: how many ask.
        by: which rules they obey, in words.
        path: of the rules.

    Raises:
        RecganError: there is no row.
    """
    counts = [
        pc.value_counts(pq.read_table(parts.path(number), columns=["user_id"])["user_id"]).field("counts")
        for number in range(parts.number)
    ]
    rows, lists = sum(pc.sum(one).as_py() or 0 for one in counts), sum(map(len, counts))
    if not rows:
        raise RecganError(
            f"{by} leave no item to any shopper, so nothing is published and the lists of before stay; "
            f"change {path}, then run this again"
        )
    shortest = min(pc.min(one).as_py() for one in counts if len(one))
    return {"rows": rows, "shortest": shortest if lists == shoppers else 0}


def said(content: dict[str, Any]) -> str:
    """Say in words which rules a published file obeys."""
    if content.get("rules") is None:
        return "no rules of the shop"
    names = content.get("heeded", content["rules"]["names"])
    return f"the rules {some(names)}" if names else "no rules of the shop, since none of them can hold"


def said_of_lists(content: dict[str, Any]) -> str:
    """Say in words how long the lists of a published file are."""
    if content.get("shortest", content["k"]) == content["k"]:
        return f"the {content['k']} best items"
    return (
        f"lists of up to {content['k']} items, {content['rows']:,} in all and the shortest of "
        f"{content['shortest']},"
    )
