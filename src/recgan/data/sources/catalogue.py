"""Every source by its module: a new one is a file beside this one and one line here.

The file has the section `ingest` of params.yaml for it, with a name of its own in `source`. It also has the
function `read`. From that section and the folder of the raw files it makes the three tables, faults of the
data included. A source that may be larger than memory has the function `write` for that.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from recgan.data.events import write_tables
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


def write_source(params: Source, folder: Path, into: Path, earlier: Path) -> None:
    """Read or simulate the source and write its three tables, a row for each raw row.

    Args:
        params: the section `ingest`.
        folder: where the raw files lie.
        into: an existing folder.
        earlier: what an ingest before wrote, or nothing. A source of parts takes from there what has not
            changed.

    Raises:
        RecganError: the source is missing or cannot be read.
    """
    module = import_module(type(params).__module__)
    if hasattr(module, "write"):
        module.write(params, folder, into, earlier)
    else:
        write_tables(module.read(params, folder), into)


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
