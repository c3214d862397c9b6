"""What is searched for: the ids of people, and where such an id means a person.

Ids may be numbers, which stand everywhere: 7 is a price, a rank and a product. So the cells of a shopper's
column count exactly as they are, and in JSON what stands below a name that speaks of shoppers. Elsewhere an
id counts as a whole word, where it is distinctive.
"""

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from recgan.data.sources.ids import AROUND

_OF_SHOPPERS = re.compile(r"user|shopper|account|owner|customer", re.IGNORECASE)
_ONE_SHOPPER = re.compile(r"(?:user|shopper|account|owner|customer)_?(?:id)?", re.IGNORECASE)
_NUMBER = re.compile(r"[\d.,+-]*")
_SHORTEST = 4
_FRACTION = re.compile(r"\.0+$")


@dataclass(frozen=True)
class Wanted:
    """The people who are searched for."""

    ids: frozenset[str]
    columns: frozenset[str] = frozenset()
    """Columns of the shop's own files that hold ids of shoppers."""
    encoding: str = "utf-8"
    """Of the shop's own files of text."""
    delimiter: str = ","
    """Between their cells."""

    def is_of_shoppers(self, name: str) -> bool:
        """Tell whether a column, an array or a name in JSON speaks of shoppers."""
        return name in self.columns or _OF_SHOPPERS.search(name) is not None

    def is_one_shopper(self, name: str) -> bool:
        """Tell whether a name in JSON is of one shopper's id, so that a number below it is no count."""
        return name in self.columns or _ONE_SHOPPER.fullmatch(name) is not None

    def is_id(self, cell: object) -> bool:
        """Tell whether a cell of a shopper's column is one of the people, as ingest would read it."""
        if cell is None:
            return False
        text = unicodedata.normalize("NFC", str(cell).strip(AROUND))
        return text in self.ids or _FRACTION.sub("", text) in self.ids

    @cached_property
    def distinctive(self) -> tuple[str, ...]:
        """Return the ids that are no numbers and not short: a word that is the same means the person."""
        return tuple(sorted(one for one in self.ids if len(one) >= _SHORTEST and not _NUMBER.fullmatch(one)))

    @cached_property
    def _spelt(self) -> str:
        spellings = {
            form
            for one in self.distinctive
            for form in (
                one,
                html.escape(one),
                json.dumps(one)[1:-1],
                json.dumps(one, ensure_ascii=False)[1:-1],
                quote(one, safe=""),
            )
        }
        return "|".join(re.escape(one) for one in sorted(spellings, key=len, reverse=True))

    @cached_property
    def _words(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![^\W_])(?:{self._spelt})(?![^\W_])")

    @cached_property
    def _bytes(self) -> re.Pattern[bytes]:
        spelt = b"|".join(
            re.escape(form) for one in self.distinctive for form in (one.encode(), one.encode("utf-16-le"))
        )
        return re.compile(rb"(?<![A-Za-z0-9])(?:" + spelt + rb")(?![A-Za-z0-9])")

    def words_in(self, text: str) -> int:
        """Count distinctive ids that stand in a text as words."""
        if not self.distinctive:
            return 0
        return sum(1 for _ in self._words.finditer(unicodedata.normalize("NFC", text)))

    def bytes_in(self, content: bytes) -> int:
        """Count distinctive ids in bytes of no known form."""
        return sum(1 for _ in self._bytes.finditer(content)) if self.distinctive else 0


def wanted(
    ids: Iterable[str], columns: Iterable[str] = (), encoding: str = "utf-8", delimiter: str = ","
) -> Wanted:
    """Return what is searched for, ids as ingest has them; the rest: as in `Wanted`."""
    found = (_FRACTION.sub("", unicodedata.normalize("NFC", one.strip(AROUND))) for one in ids)
    return Wanted(frozenset(filter(None, found)), frozenset(columns), encoding, delimiter)
