"""Parts of the published lists, made by any process that sees their folder."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recgan.core import memory
from recgan.core.errors import RecganError
from recgan.core.files import replacing
from recgan.daily.lists import answers
from recgan.daily.publish import Parts
from recgan.newcomers.assortment import Assortment
from recgan.newcomers.weights import Newcomers, unfit
from recgan.online.binding import bind
from recgan.online.ordering import Applied
from recgan.online.rules import Rule
from recgan.package.asking import asking, catalogue_size
from recgan.package.packaged import PackagedRecommender
from recgan.registry.asking import NoAnswerError
from recgan.registry.manifest import DamagedPackageError

log = logging.getLogger(__name__)

SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "rank": pa.int32(),  # from 1, the best
        "item_id": pa.string(),
        "score": pa.float32(),  # comparable within one shopper's list only
        "version": pa.string(),  # of the registered model
        "new": pa.bool_(),  # True for a product that the version was not trained on (recgan newcomers)
    }
)
"""One row a shopper and item, sorted by user_id and rank; one row group for some thousand shoppers.

Where `recgan behaviour` has read the same events, its columns stand behind these."""

WORKERS = "RECGAN_WORKERS"
"""The variable that says how many make parts at once."""

_BLOCK_SCORES = 2**25  # scored at a time: 128 MiB; a package of before takes six times as much to rank them
_BLOCK_SHOPPERS = 2**12
_PROGRAM = 700 * 2**20
"""Bytes of a package's process, with torch and all that one block of shoppers takes."""
_COPIES = 4
"""How often the weights of a package lie in memory at most, while they are read."""

_Answer = Callable[[NDArray[np.object_], pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Job:
    """The lists of one version for all shoppers; small enough to be sent to other machines."""

    parts: Parts
    model: Path
    """The folder of the package."""
    name: str
    version: str
    k: int
    exclude_seen: bool
    newcomers: Newcomers | None
    rules: tuple[Rule, ...] = ()
    """Of the shop, those that hold."""
    approximate: bool = False
    """Rank by an index, which misses a few of the best."""

    @property
    def worker_bytes(self) -> int:
        """What one process that makes parts takes of memory at most, about."""
        artifacts = self.model / "artifacts"
        files = [artifacts / "items.json", *(artifacts / "recommender").rglob("*")]
        return _PROGRAM + _COPIES * sum(file.stat().st_size for file in files if file.is_file())

    def ask(self, number: int, user_ids: NDArray[np.object_], asked: pa.RecordBatch) -> None:
        """Keep the questions of a part for whoever makes it.

        Args:
            number: of the part.
            user_ids: (rows,)
            asked: (rows,) of QUESTIONS.
        """
        table = pa.Table.from_batches([asked]).add_column(0, "user_id", [pa.array(user_ids, pa.string())])
        with replacing(self._questions(number)) as new:
            pq.write_table(table, new, compression="zstd")

    def asked(self, number: int) -> pa.Table:
        """Return user_id and the columns of QUESTIONS of a part."""
        return pq.read_table(self._questions(number)).combine_chunks()

    def answered(self, number: int, lists: pa.Table) -> None:
        """Keep a finished part, and its questions no longer."""
        self.parts.write(number, lists)
        self._questions(number).unlink(missing_ok=True)

    def _questions(self, number: int) -> Path:
        return self.parts.folder / f"asked-{number:05}.parquet"


Run = Callable[[Job, Sequence[int]], None]
"""Has parts made by their numbers, here or elsewhere, and returns when all of them are there."""


def make(job: Job, numbers: Sequence[int]) -> None:
    """Make some parts, one after another, with a package loaded once; those that are there stay.

    The same part has the same rows, whoever makes it and beside how many others.

    What fails asks all others to begin no further part.

    Raises:
        RecganError: the package does not answer.
        Unavailable: its process was hindered.
    """
    try:
        _make(job, numbers)
    except (NoAnswerError, DamagedPackageError) as fault:
        job.parts.stop()
        raise RecganError(no_answer(job.name, job.version, fault)) from None
    except BaseException:
        job.parts.stop()
        raise


def _make(job: Job, numbers: Sequence[int]) -> None:
    with _answering(job) as (answer, n_items):
        block = max(1, min(_BLOCK_SHOPPERS, _BLOCK_SCORES // max(1, n_items)))
        new = pa.array([] if job.newcomers is None else job.newcomers.item_ids, pa.string())
        for number in numbers:
            if job.parts.stopped:
                return
            if job.parts.is_there(number):
                continue
            lists = []
            for asked in job.asked(number).to_batches(max_chunksize=block):
                user_ids = asked["user_id"].to_numpy(zero_copy_only=False)
                lists.append(
                    _long(user_ids, answer(user_ids, asked.drop_columns("user_id")), job.version, new)
                )
            job.answered(number, pa.Table.from_batches(lists, SCHEMA))


def workers_asked() -> int | None:
    """Return RECGAN_WORKERS; None where it is not set.

    Raises:
        RecganError: it is no number from 1 up.
    """
    given = os.environ.get(WORKERS, "")
    if given and not (given.isdecimal() and int(given) > 0):
        raise RecganError(f"{WORKERS} is {given!r}; set it to a number from 1 up, or leave it out")
    return int(given) if given else None


def workers_for(job: Job) -> int:
    """Return how many makers there are at once: RECGAN_WORKERS, or as many as cores and memory allow.

    Raises:
        RecganError: RECGAN_WORKERS is no number from 1 up.
    """
    if (asked := workers_asked()) is not None:
        return asked
    cores, room = len(os.sched_getaffinity(0)), memory.free() // job.worker_bytes
    if room < cores:
        log.info("memory has room for %s of %s makers, of %s MiB each", room, cores, job.worker_bytes >> 20)
    return max(1, min(cores, room))


def no_answer(name: str, version: str, fault: Exception) -> str:
    """Say that a package is at fault, and the remedy."""
    return (
        f"the champion (version {version} of {name}) does not answer: {fault}; "
        "recgan rollback puts the version before it back"
    )


@contextmanager
def _answering(job: Job) -> Iterator[tuple[_Answer, int]]:
    """Yield what answers shoppers, and how many products the package knows.

    The package answers in a process of its own, with its own code. Where there are new products, or rules of
    the shop, it is loaded into this one as the server loads it, since both need all scores of a shopper.
    """
    newcomers = job.newcomers
    if newcomers is None and not job.rules:
        threads = 1  # others have the other cores
        with asking(job.model, job.k, job.exclude_seen, threads, job.approximate) as ask:
            yield lambda _, asked: ask(asked), catalogue_size(job.model)
        return
    artifacts = job.model / "artifacts"
    packaged = PackagedRecommender.load(artifacts / "recommender", artifacts / "items.json", shoppers=False)
    if newcomers is not None and not newcomers.fits(packaged):
        raise RecganError(unfit(newcomers, packaged, job.version))
    assortment = Assortment(packaged, newcomers)
    rules = Applied(bind(job.rules, assortment)) if job.rules else None
    yield (
        lambda user_ids, asked: answers(assortment, rules, user_ids, asked, job.k, job.exclude_seen),
        len(packaged.item_ids),
    )


def _long(
    user_ids: NDArray[np.object_], answers: pa.RecordBatch, version: str, new: pa.Array
) -> pa.RecordBatch:
    """Turn lists into one row a shopper and item; an item that a list repeats stays at its first place.

    Args:
        user_ids: (rows,)
        answers: (rows,) of ANSWERS.
        version: of the registered model.
        new: ids of the new products.
    """
    shoppers = np.repeat(np.arange(len(user_ids)), np.diff(answers["item_ids"].offsets))
    items = answers["item_ids"].flatten().dictionary_encode()
    _, kept = np.unique(shoppers * len(items.dictionary) + items.indices.to_numpy(), return_index=True)
    if len(kept) < len(shoppers):
        left_out = f"{len(shoppers) - len(kept):,}"
        log.warning("version %s repeats items in its lists: %s left out", version, left_out)
    kept.sort()
    shoppers = shoppers[kept]
    item_ids = answers["item_ids"].flatten().take(pa.array(kept))
    return pa.record_batch(
        [
            pa.array(user_ids[shoppers], pa.string()),
            pa.array((np.arange(len(kept)) - np.searchsorted(shoppers, shoppers) + 1).astype(np.int32)),
            item_ids,
            answers["scores"].flatten().take(pa.array(kept)).cast(pa.float32()),
            pa.repeat(version, len(kept)),
            pa.compute.is_in(item_ids, value_set=new),
        ],
        schema=SCHEMA,
    )
