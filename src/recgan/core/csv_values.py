"""How long a value of CSV may be for the standard library's parser, which has one limit for a process."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def values_up_to(characters: int) -> Iterator[None]:
    """Let values be as long inside the block, and as before after it; a longer one is csv.Error."""
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)
