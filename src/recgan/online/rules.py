"""The rules of a shop over what is shown: rules/NAME.json, or what PUT /rules writes there.

Two kinds are hard: out of stock and blacklist. What they name is never shown. All others are wishes: a list
keeps its length, so where a wish leaves too few items, the list is filled with what it set aside.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import replacing
from recgan.core.redact import shown

MAX_RULES = 1_000
MAX_BYTES = 64 * 2**20
"""Of the file: a million ids."""
MAX_DEVIATIONS = 10.0


def _instant(value: Any) -> Any:
    # Pydantic would take digits, as text too, for seconds since 1970.
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError('should be text such as "2026-12-24T18:00:00Z"')
    return value


def _number(value: Any) -> Any:
    # Not strict: in JSON 20.0 is a whole number too.
    if isinstance(value, bool | str):
        raise ValueError("should be a number, neither text nor true or false")
    return value


Id = Annotated[str, Field(min_length=1, max_length=256)]
Ids = list[Id]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[ -~\u00a1-\uffff]*$")]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Whole = Annotated[int, BeforeValidator(_number), Field(ge=1)]


class _Rule(BaseModel):
    """What every rule has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Name = Field(description="By which answers and the explorer name it; each rule has its own.")
    since: Instant | None = Field(None, alias="from", description="Not before; null for always.")
    until: Instant | None = Field(None, description="No longer from here on; null for ever.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(f"it ends at {self.until}, before it begins; put `until` after `from`")
        return self

    def holds(self, now: datetime) -> bool:
        """Tell whether it holds at an instant."""
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)

    def meets(self, other: "_Rule") -> bool:
        """Tell whether there is an instant at which both hold."""
        return (self.since is None or other.until is None or self.since < other.until) and (
            other.since is None or self.until is None or other.since < self.until
        )


class _Chosen(_Rule):
    """A rule over items, whole categories or whole brands."""

    items: Ids = Field(default_factory=list)
    categories: Ids = Field(default_factory=list)
    brands: Ids = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not (self.items or self.categories or self.brands):
            raise ValueError("it names nothing; give items, categories or brands, or remove the rule")
        return self

    def names(self, item_id: str, category: str | None, brand: str | None) -> bool:
        """Tell whether it is about an item."""
        return item_id in self.items or category in self.categories or brand in self.brands


class OutOfStock(_Chosen):
    """Items that cannot be bought now: never shown."""

    kind: Literal["out_of_stock"]


class Blacklist(_Chosen):
    """Items that the shop does not want to be shown: never shown."""

    kind: Literal["blacklist"]


class Pin(_Rule):
    """An item at a place, for everybody, also for a shopper who has it."""

    kind: Literal["pin"]
    item: Id
    place: Annotated[Whole, Field(le=100)] = Field(description="From 1; a shorter list does not show it.")
    categories: Annotated[Ids, Field(min_length=1)] | None = Field(
        None, description="Only where the request filters by one of these; null in every list."
    )


class Boost(_Chosen):
    """Items that are to stand higher, or lower."""

    kind: Literal["boost"]
    deviations: Annotated[
        float, Field(strict=True, ge=-MAX_DEVIATIONS, le=MAX_DEVIATIONS, allow_inf_nan=False)
    ] = Field(description="Added to the score, in standard deviations of the scores of all items.")


class Cap(_Rule):
    """At most so many of one category, or of one brand, in a list."""

    kind: Literal["cap"]
    per: Literal["category", "brand"]
    at_most: Whole = Field(description="Items of a list, however long it is.")
    only: Annotated[Ids, Field(min_length=1)] | None = Field(
        None, description="The categories or brands that it is about; null for each."
    )


class NotAgain(_Rule):
    """An item that was shown often without anything coming of it rests for that shopper."""

    kind: Literal["not_again"]
    impressions: Annotated[Whole, Field(le=1_000)] = Field(description="Answers that showed it.")
    hours: Annotated[float, Field(strict=True, gt=0, le=24 * 365)] = Field(description="Of rest.")


class Variety(_Rule):
    """Maximal marginal relevance: unlike items beside each other (Carbonell & Goldstein 1998)."""

    kind: Literal["variety"]
    relevance: Annotated[float, Field(strict=True, ge=0, le=1)] = Field(
        description="λ: 1 goes by the score alone, 0 by unlikeness alone."
    )


Rule = Annotated[OutOfStock | Blacklist | Pin | Boost | Cap | NotAgain | Variety, Field(discriminator="kind")]
HARD = (OutOfStock, Blacklist)
KINDS = tuple(get_args(one.model_fields["kind"].annotation)[0] for one in get_args(get_args(Rule)[0]))


class Rules(BaseModel):
    """All rules, in the shop's order: of two pins at one place the first has it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "rules": [
                        {"name": "sold out", "kind": "out_of_stock", "items": ["50", "181"]},
                        {"name": "advent", "kind": "pin", "item": "258", "place": 1},
                        {"name": "mixed", "kind": "cap", "per": "category", "at_most": 3},
                    ]
                }
            ]
        },
    )

    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names, single = set(), set()
        for rule in self.rules:
            if rule.name in names:
                raise ValueError(f"the name {rule.name!r} stands twice; give each rule a name of its own")
            names.add(rule.name)
            if isinstance(rule, NotAgain | Variety) and rule.kind in single:
                raise ValueError(f"{rule.name!r} is the second rule of kind {rule.kind}; keep one of them")
            single.add(rule.kind)
        return self


def rules_path(root: Path, name: str) -> Path:
    """Return where the rules of a registered model's server lie."""
    return root / layout.RULES / f"{name}.json"


def read_rules(path: Path) -> Rules:
    """Read and check the file.

    Raises:
        RecganError: it cannot be read, or a rule is none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecganError(f"{path} cannot be read ({error}); see to its permissions") from None
    return parse_rules(content, str(path))


def parse_rules(content: bytes, where: str) -> Rules:
    """Check the content of the file, or the body of PUT /rules.

    Args:
        content: JSON.
        where: it is from, for the error.

    Raises:
        RecganError: of the first fault: which rule, which value, and what to do.
    """
    if len(content) > MAX_BYTES:
        raise RecganError(f"{where} has {len(content):,} bytes; keep it under {MAX_BYTES:,}")
    try:
        return Rules.model_validate_json(content)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    found = None if faults[0]["type"] == "json_invalid" else json.loads(content)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    raise RecganError(f"{where}: {fault_of(found, faults[0])}{more}")


def fault_of(content: Any, fault: Mapping[str, Any]) -> str:
    """Say which rule is at fault, with which value, and what to do.

    Args:
        content: the JSON that is no rules.
        fault: one of pydantic's, its place beginning at the whole.
    """
    place, message = list(fault["loc"]), str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        return f'{message}; write JSON such as {{"rules": []}}'
    if place[:1] != ["rules"] or len(place) < 2:
        said = ".".join(map(str, place))
        return f"{shown(said)}: {message}" if said else message
    number = place[1]
    found = content["rules"][number]
    name = found.get("name") if isinstance(found, dict) else None
    rule = f"rule {shown(name)!r}" if isinstance(name, str) and name else f"rule {number + 1}"
    if fault["type"] == "union_tag_not_found":
        return f"{rule}: kind is missing; give one of {', '.join(KINDS)}"
    if fault["type"] == "union_tag_invalid":
        kind = json.dumps(found["kind"], ensure_ascii=False)
        return f"{rule}: kind is {shown(kind)}; give one of {', '.join(KINDS)}"
    field = ".".join(str(part) for part in place[3:])  # behind the number stands the kind
    if fault["type"] == "extra_forbidden":
        return f"{rule}: {shown(field)!r} is no part of a rule of this kind; remove it"
    if fault["type"] == "missing":
        return f"{rule}: {field} is missing; give it"
    if not field:
        return f"{rule}: {message}"
    given = json.dumps(fault["input"], default=str, ensure_ascii=False)
    return f"{rule}: {field} is {shown(given)}: {message}"


def write_rules(rules: Rules, path: Path) -> None:
    """Replace the file in one step.

    Raises:
        RecganError: it cannot be written.
    """
    content = rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    try:
        with replacing(path) as new:
            new.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RecganError(
            f"{path} cannot be written ({error.strerror}); nothing has changed: let the server write there, "
            "or replace the file yourself"
        ) from None
