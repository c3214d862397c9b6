"""The rules of the shop that the published lists obey: all but those that need to know a request."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from recgan.online.rules import NotAgain, Pin, Rule
from recgan.online.rules_file import is_there, read_rules, rules_path

_NAMED = 5
"""Rules that a sentence names."""


def rules_for(root: Path, name: str, now: datetime) -> tuple[Rule, ...]:
    """Return the rules of a registered model that hold now for lists of nobody's request.

    What rests for a shopper follows from what a server has shown, and a pin with categories from the filter
    of a request.

    Raises:
        RecganError: the file cannot be read: lists without its rules would show what it forbids.
    """
    path = rules_path(root, name)
    if not is_there(path):
        return ()
    return tuple(
        rule
        for rule in read_rules(path).rules
        if rule.holds(now)
        and not isinstance(rule, NotAgain)
        and not (isinstance(rule, Pin) and rule.categories)
    )


def told(rules: Sequence[Rule]) -> dict[str, Any] | None:
    """Return what a published file says of its rules: their names, and an md5 of all that they say."""
    if not rules:
        return None
    content = json.dumps([rule.model_dump(mode="json") for rule in rules]).encode()
    return {
        "names": [rule.name for rule in rules],
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }


def said(rules: dict[str, Any] | None) -> str:
    """Say in words which rules a published file obeys."""
    if rules is None:
        return "no rules of the shop"
    names = rules["names"]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"the rules {', '.join(map(repr, names[:_NAMED]))}{more}"
