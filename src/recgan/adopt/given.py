"""What a person says of an export, by flags or by answers; an open question has one place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from recgan.core.errors import RecganError

Ask: TypeAlias = Callable[[str, str, str], str]
"""(question, answers that are possible, the flag that says it) → the answer."""


@dataclass(frozen=True)
class Given:
    """What the flags say; what they leave open the data decides, or a question does."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Our column → the file's; an empty name leaves ours without one."""
    event: str | None = None
    """The kind of every event."""
    event_names: Mapping[str, str] = field(default_factory=dict)
    """The file's name of a kind → ours."""
    leave_out: Mapping[str, tuple[str, ...]] | None = None
    """In place of what is proposed."""
    not_products: tuple[str, ...] = ()
    """Ids beside those that are recognised."""
    products: tuple[str, ...] = ()
    """Ids that are products, whatever they look like."""
    day_first: bool | None = None
    time_format: str | None = None
    timezone: str | None = None
    delimiter: str | None = None
    encoding: str | None = None


def refuse(question: str, answers: str, flag: str) -> str:
    """Raise the one error of an open question where nobody can be asked."""
    raise RecganError(f"{question} ({answers}); say it with {flag}")
