"""The rules of a shop over what is shown: rules/NAME.json, or what PUT /rules writes there.

Two kinds are hard: out of stock and blacklist. What they name is never shown. All others are wishes: a list
keeps its length, so where a wish leaves too few items, the list is filled with what it set aside.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

MAX_RULES = 1_000
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

    def spans(self, other: "_Rule") -> bool:
        """Tell whether it holds at every instant at which another does."""
        return (self.since is None or (other.since is not None and self.since <= other.since)) and (
            self.until is None or (other.until is not None and other.until <= self.until)
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
