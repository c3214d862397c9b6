"""The kinds of events, and the section `validate` of params.yaml."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from recgan.core.sections import Count, Instant, Positive, Section, Share

EventKind = Literal["view", "cart", "purchase", "rating"]


EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)


PICTURE = r"^(https://|data:image/(avif|gif|jpeg|png|svg\+xml|webp)[;,])\S"
"""How the address of a picture begins that a page may show."""
PICTURE_LENGTH = 8192
"""Characters of it at most: it is kept with each item, wherever items go."""


# --- validate -------------------------------------------------------------------------------------------

Reason = Literal[
    "null_user",
    "null_item",
    "unknown_event",
    "null_timestamp",
    "future_timestamp",
    "outside_period",
    "cancellation",
    "value_out_of_range",
    "price_out_of_range",
    "not_a_product",
    "unknown_item",
    "fake_account",
    "duplicate",
]


class ValueRange(Section):
    """Closed range of `value` for one kind of event."""

    low: float
    """The least value that is no fault."""
    high: float
    """The largest value that is no fault."""


class ValidateParams(Section):
    """What is expected of the events, and what cleaning may drop."""

    period_start: Instant | None
    """The declared period of the log; null leaves that side open."""
    period_end: Instant | None
    """Its other end."""
    values: dict[EventKind, ValueRange]
    """Range of `value` by event kind; a kind not named here is not checked."""
    price: ValueRange | None
    """Range of `price` where an event has one; null leaves it unchecked."""
    not_products: tuple[str, ...]
    """Ids in the events that no shopper shall be recommended: postage, fees, corrections, vouchers. Their
    rows are left out, whatever `drop` says, and no other rule judges them."""
    expected: tuple[Reason, ...]
    """Reasons for which rows are left out as a matter of course, such as null_user where guests may buy. Such
    a row has no fault: no other rule judges it, and `max_quarantined_share` does not count it."""
    drop: tuple[Reason, ...]
    """Faults for which cleaning may drop a row into quarantine; any other broken rule stops the pipeline."""
    max_quarantined_share: Share
    """The largest share of faulty rows among those that are judged, which leaves out the expected ones."""
    min_events: Count
    """Fewer kept events stop the pipeline, as of an export that was cut off."""
    max_age_days: Positive | None
    """Freshness: how old the source's newest event may be, in days before now; null for a historical log.
    Feedback does not count."""
    max_user_share: Share
    """The largest share of all events that one shopper may have."""


# --- ingest ---------------------------------------------------------------------------------------------


class FeedbackParams(Section):
    """What came of the answers of the server, which was told by POST /feedback."""

    late_days: Positive
    """How long after an answer what came of it may be told, in days; later feedback is left out."""
    same_seconds: Annotated[float, Field(ge=0)]
    """Of two events of the same shopper, item and kind that are at most so far apart, one is left out: the
    shop's log has it as well, or two answers led to it."""


class Source(Section):
    """What every source has."""

    source: str
    path: Path
    """The raw file or folder, tracked by DVC; `raw` for a source that is simulated or downloaded."""
    feedback: FeedbackParams | None
    """What came of the server's answers becomes events too; null takes the source's own alone."""
