"""Every source by its module: a new one is a file beside this one and one line here.

The file has the section `ingest` of params.yaml for it, with a name of its own in `source`. It also has the
function `read`. From that section and the folder of the raw files it makes the three tables, faults of the
data included.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, cast

from pydantic import Field

from recgan.data.events import Tables
from recgan.data.settings import Source

SOURCES: Mapping[str, str] = {
    "shop": "ShopSource",
    "movielens": "MovieLensSource",
    "online_retail": "OnlineRetailSource",
    "complete_journey": "CompleteJourneySource",
    "published_split": "PublishedSplitSource",
    "sequences": "SequencesSource",
    "own_files": "OwnFilesSource",
}
"""Module → class of its section."""


def module_of(name: str) -> str:
    """Return the full name of a source's module."""
    return f"recgan.data.sources.{name}"


def read_source(params: Source, folder: Path) -> Tables:
    """Read or simulate the source, a row for each raw row.

    Args:
        params: the section `ingest`.
        folder: where the raw files lie.

    Raises:
        RecganError: the source is missing or cannot be read.
    """
    read = cast("Callable[[Any, Path], Tables]", import_module(type(params).__module__).read)
    return read(params, folder)


def check_source(params: Source, folder: Path) -> None:
    """Refuse a source whose files are not there; nothing is read.

    Args:
        params: the section `ingest`.
        folder: where the raw files lie.

    Raises:
        RecganError: a file is missing. A source that can fetch or make its files misses none.
    """
    check = getattr(import_module(type(params).__module__), "check_files", None)
    if check is not None:
        check(params, folder)


if TYPE_CHECKING:
    IngestParams = Source
else:
    IngestParams = Annotated[
        Union[tuple(getattr(import_module(module_of(name)), SOURCES[name]) for name in SOURCES)],  # noqa: UP007  (made of a tuple)
        Field(discriminator="source"),
    ]
