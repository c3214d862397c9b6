"""What the explorer's page asks and what it is answered, with every limit."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recgan.data.settings import EventKind
from recgan.serving.schema import MAX_HISTORY, Id, Model, RecommendRequest

MAX_FOUND = 20
"""Answers to a search."""
MAX_CATEGORIES_SHOWN = 500
MAX_STORED_SHOWN = 1_000
"""Items of a stored history that are listed; all of them count."""
MAX_MEMBERS_SHOWN = 200
"""Accounts of a group that are named."""
MAX_RULES_SHOWN = 100
MAX_TRIED = 50
"""Items of a history that are tried one by one to explain a recommendation."""


class SearchRequest(BaseModel):
    """Part of an id, and of a title or a category where there are some."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(max_length=256)] = ""
    limit: Annotated[int, Field(ge=1, le=MAX_FOUND)] = 10


class ShoppersRequest(SearchRequest):
    """Part of a shopper's id."""

    left_out: Annotated[bool, Field(description="Only accounts that are left out of training.")] = False


class ListsRequest(RecommendRequest):
    """As /recommend, and items that are taken out of the stored history."""

    removed: Annotated[list[Id], Field(max_length=MAX_HISTORY)] = Field(default_factory=list)


class WhyRequest(ListsRequest):
    """One item of a list."""

    item_id: Id
    column: Literal["champion", "challenger"] = "champion"


class KnownItem(BaseModel):
    """What the shop says of an item."""

    item_id: str
    title: str | None
    category: str | None
    price: float | None
    new: bool = Field(False, description="True where the model was not trained on it.")
    image_url: str | None = Field(None, description="Of a picture, https: or data:, where there is one.")
    left_out: str | None = Field(None, description="The rule of the shop that never shows it.")


class Kind(BaseModel):
    """A kind of event that counts."""

    event: EventKind
    weight: float


class State(BaseModel):
    """What the champion's package holds."""

    model: Model
    shoppers: int | None = Field(description="null where the package knows none.")
    items: int
    kinds: list[Kind]
    binary: bool = Field(description="True where every item of a history counts 1.")
    min_rating: float | None
    categories: list[str]
    categories_left_out: int
    prices: bool = Field(description="Whether there are prices to filter by.")
    left_out: int = Field(description="Accounts that the last screening left out of training.")


class Shopper(BaseModel):
    """A shopper that was found."""

    user_id: str
    items: int = Field(description="Of the history that the package stores.")
    left_out: bool = Field(False, description="True where the last screening left it out of training.")


class Group(BaseModel):
    """Accounts that acted together."""

    reason: str
    first: datetime | None
    last: datetime | None
    products: list[KnownItem] = Field(description="What they share, most telling first.")
    accounts: int = Field(description="Those that are left out, this one among them.")
    others: list[str] = Field(description="The others' ids, of very many the first.")


class LeftOut(BaseModel):
    """Why an account is left out of training."""

    reasons: list[str]
    until: datetime | None = Field(description="The last event of the log that was screened.")
    group: Group | None


class Stored(KnownItem):
    """An item of a stored history."""

    confidence: float
    removed: bool


class Added(BaseModel):
    """An event of the request, in its order."""

    item: KnownItem | None = Field(description="null where the model does not know the item.")
    item_id: str
    event: EventKind
    value: float | None
    worth: float = Field(description="The confidence that it adds; 0 where it does not count.")


class Ranked(KnownItem):
    """An item of a list."""

    score: float
    before: int | None = Field(description="Its rank in the list before the edits, if it had one up to 100.")
    rule: str | None = Field(None, description="The rule of the shop that pinned or boosted it.")


class Ruled(KnownItem):
    """An item that rules of the shop took out of a list."""

    before: int = Field(description="Its rank in the list without rules.")
    rule: str | None = Field(description="null where others took its place: pinned, boosted, under a cap.")


class RuleShown(BaseModel):
    """A rule of the shop."""

    name: str
    kind: str
    does: str
    holds: bool
    since: datetime | None
    until: datetime | None
    unknown_items: int


class Gone(KnownItem):
    """An item that the edits drove out of a list."""

    before: int
    seen: bool = Field(description="True where it is left out because it is in the history now.")


class Column(BaseModel):
    """One list, or why there is none."""

    version: str | None
    state: Literal["ready", "loading", "failed", "none"]
    message: str | None = None
    fallback: bool = False
    items: list[Ranked] = Field(default_factory=list)
    gone: list[Gone] = Field(default_factory=list)
    ruled: list[Ruled] = Field(default_factory=list)
    rules: list[str] | None = Field(None, description="The rules that changed the list.")
    unknown_items: list[str] = Field(default_factory=list)
    unknown_categories: list[str] = Field(default_factory=list)
    stored: int = Field(0, description="Items of the shopper's history that this version's package stores.")


class Verdict(BaseModel):
    """What the gate said of the challenger."""

    decision: str | None
    reasons: list[str]


class Lists(BaseModel):
    """A history and the three lists for it."""

    model: Model = Field(description="Whose catalogue, shoppers and popularity these are.")
    user_known: bool | None
    stored: list[Stored] = Field(description="The largest confidences first.")
    stored_left_out: int
    added: list[Added]
    edited: bool
    champion: Column
    challenger: Column
    popularity: Column
    verdict: Verdict | None
    rules: list[RuleShown] = Field(default_factory=list, description="Of the shop.")
    left_out: LeftOut | None = Field(None, description="null where the shopper is not left out of training.")


class Influence(BaseModel):
    """What one item of the history has to do with a recommendation."""

    item: KnownItem
    confidence: float
    alone: int | None = Field(description="Rank of the recommendation for a history of this item alone.")
    without: int | None = Field(description="Rank of the recommendation for the history without this item.")


class Reason(BaseModel):
    """One thing that speaks for a recommendation, in the recommender's own terms."""

    kind: Literal[
        "seen with", "brand", "category", "like", "price", "rising", "popular", "new", "first stage"
    ]
    item: KnownItem | None = Field(description="Of the history; null where the reason is about none of it.")
    earned: float = Field(
        description="What it adds to the score by which the recommender ranks its proposals."
    )


class Why(BaseModel):
    """Why an item stands where it stands."""

    version: str
    item: KnownItem
    rank: int | None = Field(description="null where the item is seen or filtered out.")
    ranked: int = Field(description="Items that could be ranked.")
    influences: list[Influence] = Field(description="The nearest item of the history first.")
    reasons: list[Reason] = Field(
        default_factory=list, description="The strongest first; none of a recommender that gives none."
    )
    history: int = Field(description="Items of the history that count; no more than 50 of them are tried.")
