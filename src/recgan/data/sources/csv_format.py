"""How a CSV file is written, as params.yaml says it."""

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator

from recgan.core.sections import Section


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("no such encoding; write utf-8, utf-16, cp1252 or another that Python has") from None
    return name


class CsvFormat(Section):
    """How a CSV file is written."""

    delimiter: Literal[",", ";", "\t", "|"]
    """What stands between two values."""
    encoding: Annotated[str, AfterValidator(_known_encoding)]
    """By Python's name: utf-8 (with a BOM or without), utf-16, cp1252."""
    decimal: Literal[".", ","]
    """What stands before the decimals of a number. With a comma, points may stand between the thousands."""


PLAIN = CsvFormat(delimiter=",", encoding="utf-8", decimal=".")
"""As RFC 4180 has it."""

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Each in words."""
