"""What a column of ids says of itself, part by part, so that a whole log is cleaned by one decision."""

import pyarrow as pa
from pydantic import BaseModel

from recgan.core.errors import RecganError

EXACT = {pa.float64(): 2**53, pa.float32(): 2**24, pa.float16(): 2**11}
"""Type → the least whole number that has lost digits in it."""


class IdsSeen(BaseModel):
    """What a column of ids says beside its distinct ids; a log says it part by part."""

    rows: int = 0
    stripped: tuple[int, str] | None = None
    """Rows that had something around the id, and the first of them."""
    composed: tuple[int, str] | None = None
    """Rows in another form than NFC, and the first of them."""
    whole: int = 0
    """Rows with whole numbers that have a fraction."""
    broken: bool = False
    """Some fraction is not of a whole number."""
    zeros: tuple[int, ...] = ()
    """How many digits the fractions have."""

    def followed_by(self, other: "IdsSeen") -> "IdsSeen":
        """Return what both parts say."""
        return IdsSeen(
            rows=self.rows + other.rows,
            stripped=_both(self.stripped, other.stripped),
            composed=_both(self.composed, other.composed),
            whole=self.whole + other.whole,
            broken=self.broken or other.broken,
            zeros=tuple(sorted({*self.zeros, *other.zeros})),
        )

    @property
    def without_fraction(self) -> bool:
        """Whether all that have a fraction are whole numbers written in one way."""
        return not self.broken and len(self.zeros) == 1


class NumbersSeen(BaseModel):
    """What a column of ids says that are numbers."""

    largest: float = 0.0
    """Of floating numbers; 0 for others."""
    whole: bool = True
    """All are whole numbers."""

    def followed_by(self, other: "NumbersSeen") -> "NumbersSeen":
        """Return what both parts say."""
        return NumbersSeen(largest=max(self.largest, other.largest), whole=self.whole and other.whole)

    def check(self, kind: pa.DataType, where: str) -> None:
        """Refuse numbers that are not exact.

        Raises:
            RecganError: a floating number is too large to be exact.
        """
        if pa.types.is_floating(kind) and self.largest >= (exact := EXACT[kind]):
            raise RecganError(
                f"{where}: {self.largest:.0f} is a floating number, and those from {exact} on have lost "
                "their last digits; export the ids as text or whole numbers"
            )


def _both(first: tuple[int, str] | None, second: tuple[int, str] | None) -> tuple[int, str] | None:
    return (first[0] + second[0], first[1]) if first and second else first or second
