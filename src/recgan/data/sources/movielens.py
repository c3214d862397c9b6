"""MovieLens 100K and 1M as GroupLens ships them (Harper & Konstan, 2015)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from recgan.core.download import fetch_members
from recgan.core.errors import RecganError
from recgan.data.events import Tables
from recgan.data.settings import Source
from recgan.data.sources.columns import make_tables


class MovieLensSource(Source):
    """MovieLens as GroupLens ships it."""

    source: Literal["movielens-100k", "movielens-1m"]


# The order of the flags in u.item; GroupLens lists it in u.genre.
_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """Where a data set is published; `md5` is GroupLens' own."""

    url: str
    md5: str
    folder: str
    ratings: str
    movies: str


ARCHIVES = {
    "movielens-100k": Archive(
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "0e33842e24a9c977be4e0107933c0723",
        "ml-100k",
        "u.data",
        "u.item",
    ),
    "movielens-1m": Archive(
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        "c4d9eecfca2ab87c1945afe126590906",
        "ml-1m",
        "ratings.dat",
        "movies.dat",
    ),
}


def read(params: MovieLensSource, folder: Path, archive: Archive | None = None) -> Tables:
    """Read ratings and movies from `folder`, from its subfolder ml-100k or ml-1m, or from GroupLens.

    An item's category is its first genre.

    Args:
        params: which of the data sets.
        folder: where the unpacked files may lie.
        archive: another place to download from.

    Raises:
        RecganError: neither local files nor a download, or files of another format.
    """
    archive = archive or ARCHIVES[params.source]
    names = (archive.ratings, archive.movies)
    for place in (folder, folder / archive.folder):
        if all((place / name).is_file() for name in names):
            ratings, movies = ((place / name).read_bytes() for name in names)
            break
    else:
        members = tuple(f"{archive.folder}/{name}" for name in names)
        put = (
            f"put {archive.ratings} and {archive.movies} in a folder and set ingest.path to it (now {folder})"
        )
        ratings, movies = fetch_members(archive.url, members, put, archive.md5).values()
        place = Path(archive.url)
    try:
        return make_tables(_events(ratings), _items(movies, params))
    except pa.ArrowInvalid as error:
        raise RecganError(
            f"{names[0]} or {names[1]} in {place} is not as GroupLens ships it ({error}); unpack it anew"
        ) from None


def _events(content: bytes) -> dict[str, pa.ChunkedArray | pa.Scalar]:
    table = pacsv.read_csv(
        pa.BufferReader(content.replace(b"::", b"\t")),
        pacsv.ReadOptions(column_names=["user_id", "item_id", "value", "timestamp"]),
        pacsv.ParseOptions(delimiter="\t", quote_char=False),  # a line is a row, whatever is in it
        pacsv.ConvertOptions(
            column_types={
                "user_id": pa.string(),
                "item_id": pa.string(),
                "value": pa.float64(),
                "timestamp": pa.int64(),
            }
        ),
    )
    seconds = table["timestamp"].cast(pa.timestamp("s", tz="UTC"))
    return {
        "user_id": table["user_id"],
        "item_id": table["item_id"],
        "event": pa.scalar("rating"),
        "timestamp": seconds.cast(pa.timestamp("us", tz="UTC")),
        "value": table["value"],
    }


def _items(content: bytes, params: MovieLensSource) -> dict[str, pa.ChunkedArray]:
    flags: tuple[str, ...] = ()
    if params.source == "movielens-100k":
        flags = _GENRES
        names = ["item_id", "title", "released", "video_released", "address", *flags]
        delimiter = "|"
    else:
        names = ["item_id", "title", "genres"]
        content, delimiter = content.replace(b"::", b"\t"), "\t"
    table = pacsv.read_csv(
        pa.BufferReader(content),
        pacsv.ReadOptions(column_names=names, encoding="latin-1"),
        pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
        pacsv.ConvertOptions(
            column_types={name: pa.string() for name in names} | {name: pa.int8() for name in flags},
            include_columns=["item_id", "title", *(flags or ["genres"])],
        ),
    )
    if flags:
        has_genre = [pc.equal(table[flag], 1) for flag in flags]
        category = pc.case_when(pc.make_struct(*has_genre, field_names=flags), *flags)
    else:
        category = pc.list_element(pc.split_pattern(table["genres"], "|"), 0)
    return {"item_id": table["item_id"], "title": table["title"], "category": category}
