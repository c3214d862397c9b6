"""What is asked and what is answered, with every limit."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from recgan.data.settings import EventKind

MAX_HISTORY = 1_000
"""Events of a request."""
MAX_K = 100
MAX_CATEGORIES = 50
MAX_BODY = 512 * 1024
"""Bytes of a request: 1,000 events with long ids fit."""

_YEARS = range(1970, 2200)
_SECONDS = range(int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()))


def _number(value: Any) -> Any:
    # In a query every number is text; Pydantic's own strictness would refuse 5.0 as a whole number too.
    if isinstance(value, bool | str):
        raise ValueError("should be a number, neither text nor true or false")
    return value


def _instant(value: Any) -> Any:
    """Hold numbers to what the document says; Pydantic would take text of digits, and great ones as ms."""
    if isinstance(value, bool) or (isinstance(value, str) and not value[4:5] == "-"):
        raise ValueError("should be ISO 8601, or seconds since 1970 as a number")
    if isinstance(value, int | float) and not 0 <= value < _SECONDS.stop:
        raise ValueError(f"should be from {_YEARS.start} to {_YEARS.stop - 1}")
    return value


def _in_range(instant: datetime) -> datetime:
    if instant.year not in _YEARS:
        raise ValueError(f"should be from {_YEARS.start} to {_YEARS.stop - 1}")
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


Id = Annotated[str, Field(min_length=1, max_length=256)]
AnyK = Annotated[int, Field(ge=1, le=MAX_K)]
AnyPrice = Annotated[float, Field(ge=0, allow_inf_nan=False)]
K = Annotated[AnyK, BeforeValidator(_number)]
Price = Annotated[AnyPrice, BeforeValidator(_number)]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    AfterValidator(_in_range),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "pattern": "^(19[7-9]|20[0-9]|21[0-9])[0-9]-"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": _SECONDS.stop},
            ]
        }
    ),
]


class Event(BaseModel):
    """One event of a history."""

    model_config = ConfigDict(extra="forbid")

    item_id: Id
    event: EventKind = "purchase"
    timestamp: Instant | None = Field(
        None,
        description="ISO 8601, or seconds since 1970; UTC without zone. Without one the event is of now.",
    )
    value: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = Field(
        None, description="A rating's stars; else of no effect."
    )


class Filters(BaseModel):
    """Which items may be answered."""

    model_config = ConfigDict(extra="forbid")

    k: K = 10
    categories: Annotated[list[Id], Field(max_length=MAX_CATEGORIES)] | None = Field(
        None, description="Only items of one of these categories."
    )
    min_price: Price | None = Field(None, description="Only items at this price or above.")
    max_price: Price | None = Field(None, description="Only items at this price or below.")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError(f"min_price {self.min_price:g} is above max_price {self.max_price:g}")
        return self


class RecommendRequest(Filters):
    """A history of events, a known shopper, or a known shopper and what came since.

    Beside a user_id, only those who may see histories may send filters, a history or `exclude_seen: false`.
    They are this machine, a caller with the server's token, and anyone who asks a server with --explorer.
    Others get 403.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [
                {"required": ["history"], "properties": {"history": {"type": "array"}}},
                {"required": ["user_id"], "properties": {"user_id": {"type": "string"}}},
            ],
            "examples": [
                {"history": [{"item_id": "50", "event": "purchase"}, {"item_id": "181", "event": "view"}]},
                {"history": [{"item_id": "50"}], "k": 5, "categories": ["Comedy"], "max_price": 20},
                {"user_id": "7", "k": 5},
            ],
        },
    )

    history: Annotated[list[Event], Field(max_length=MAX_HISTORY)] | None = None
    user_id: Id | None = None
    exclude_seen: bool = Field(
        True,
        strict=True,
        description="Leave out the items of the history.",
    )

    @model_validator(mode="after")
    def _someone(self) -> Self:
        if self.history is None and self.user_id is None:
            raise ValueError('give a history (perhaps an empty one: "history": []), a user_id, or both')
        return self

    def telling(self) -> list[str]:
        """Name the fields that, beside a user_id, would tell what the shopper has seen.

        With each of them a list can be narrowed to a few items, and one that is missing was seen.
        """
        given = {
            "exclude_seen: false": not self.exclude_seen,
            "history": bool(self.history),
            "categories": self.categories is not None,
            "min_price": self.min_price is not None,
            "max_price": self.max_price is not None,
        }
        return [name for name, there in given.items() if there]


class SimilarRequest(Filters):
    """An item."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"item_id": "50", "k": 5}]})

    item_id: Id


class SimilarQuery(SimilarRequest):
    """An item, in a query."""

    k: AnyK = 10
    min_price: AnyPrice | None = Field(None, description="Only items at this price or above.")
    max_price: AnyPrice | None = Field(None, description="Only items at this price or below.")


class Model(BaseModel):
    """Which version answers."""

    name: str
    version: str


class Item(BaseModel):
    """An item of an answer."""

    item_id: str
    score: float
    title: str | None
    category: str | None
    price: float | None
    new: bool = Field(
        description="True for a product that the model was not trained on, such as one added this morning: "
        "it is placed by its content and by who bought it so far."
    )
    rule: str | None = Field(None, description="The rule of the shop that pinned or boosted it.")


class Answer(BaseModel):
    """The best items, best first; fewer than k where fewer are left.

    For a user_id, a caller who may not see histories gets at most one item in ten of the catalogue. Where
    nearly all is listed, what is missing is the history.
    """

    model: Model
    items: list[Item]
    fallback: bool = Field(description="True where the model failed and popularity stood in.")


class RecommendAnswer(Answer):
    """Recommendations, and what of the request had no effect on them.

    Where rules of the shop pinned or moved items, these do not stand in the order of their scores.
    """

    rules: list[str] | None = Field(
        description="The rules of the shop that changed this list; null for none."
    )

    request_id: str | None = Field(
        description="By which POST /feedback names this answer; null where the server logs no answers."
    )
    unknown_items: list[str] = Field(description="Items of the history that the model does not know.")
    events_left_out: int = Field(
        description="Events of known items that say nothing to this model: a kind of weight 0, a low rating."
    )
    user_known: bool | None = Field(description="null where no user_id was given.")
    unknown_categories: list[str] = Field(description="Categories of the filter that no item has.")


class SimilarAnswer(Answer):
    """The items that the model recommends for a history of the one item alone."""

    item_id: str
    unknown_categories: list[str]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class NewProducts(BaseModel):
    """The products that the model was not trained on."""

    products: int
    until: datetime | None = Field(description="The newest event that they know of; null without any.")
    problem: str | None = Field(description="Why the newest file of them is not used.")


class Trying(BaseModel):
    """The experiment that this process runs."""

    experiment: str
    version: str = Field(description="The challenger.")
    loaded: bool = Field(description="False where the champion answers in its place.")
    problem: str | None


class RulesInForce(BaseModel):
    """How many rules of the shop there are, and what is the matter with them."""

    rules: int
    unknown_items: int = Field(description="Ids in them that the champion does not know.")
    problem: str | None = Field(description="Why the newest file of them is not used.")


class Readiness(BaseModel):
    """Whether a champion is loaded, and what is wrong with loading a newer one."""

    ready: bool
    model: Model | None
    problem: str | None
    new: NewProducts
    trying: Trying | None = Field(description="null where no experiment runs.")
    rules: RulesInForce


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str
