"""Recommend: the champion's k best items for every shopper, published as one Parquet file."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.daily.foretold import Foretold, foretold_for
from recgan.daily.lists import answers
from recgan.daily.newcomers import newcomers_for
from recgan.daily.publish import METADATA, about, build, drop_parts, publishing, put_in_place
from recgan.features.matrices import read_features
from recgan.features.newest import NewestHistories, newest_histories
from recgan.newcomers.weights import Newcomers, unfit
from recgan.package.asking import asking, catalogue_size, questions
from recgan.package.store import load_version
from recgan.registry import by_hand, rollback
from recgan.registry.asking import NoAnswerError, fetched
from recgan.registry.manifest import DamagedPackageError
from recgan.registry.outage import outside
from recgan.registry.tracking import connect, critical_section, current
from recgan.registry.versions import identify, the_champion
from recgan.settings import Params

log = logging.getLogger(__name__)

_Answer = Callable[[NDArray[np.object_], pa.RecordBatch], pa.RecordBatch]

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

_PART_SHOPPERS = 2**14
_BLOCK_SCORES = 2**25  # scored at a time: 128 MiB, and ranking them takes six times as much
_BLOCK_SHOPPERS = 2**12


@dataclass(frozen=True)
class Published:
    """A file of recommendations and where it comes from."""

    path: Path
    about: dict[str, Any]
    """What it says of itself: name, version, run_id, created, k, exclude_seen, features_md5, shoppers."""
    unchanged: bool
    """True where the file was there already."""


def target_path(root: Path, name: str) -> Path:
    """Return where the recommendations of a registered model are published."""
    return root / layout.RECOMMENDATIONS / f"{name}.parquet"


@outside()
def recommend(
    root: Path,
    params: Params,
    k: int | None = None,
    exclude_seen: bool | None = None,
    part_shoppers: int = _PART_SHOPPERS,
) -> Published:
    """Publish the champion's recommendations for every shopper that the features know.

    Readers of recommendations/NAME.parquet see the old or the new file, never half of one. A run that was
    killed goes on after its last finished part. One that finds the same recommendations published does
    nothing. A second one at the same time waits for the first.

    Args:
        root: the project.
        params: of the project.
        k: items for each shopper; None takes recommend.k.
        exclude_seen: leave out the items of the history; None leaves them out unless
            features.repeat_purchases.
        part_shoppers: shoppers in one part.

    Raises:
        RecganError: there is no champion, it does not answer, the features are missing, or k is below 1.
        Unavailable: the registry does not answer, or the champion's process was hindered.
    """
    name = params.register_.name
    k = params.recommend.k if k is None else k
    if k < 1:
        raise RecganError(f"k is {k}; ask for at least 1 item")
    client, target = connect(root), target_path(root, name)
    with publishing(target):
        features = read_features(root / layout.FEATURES)
        md5 = str(features.summary["md5"])
        if exclude_seen is None:
            exclude_seen = not features.summary["repeat_purchases"]
        item_ids = pa.array(features.items["item_id"].astype(str), pa.string())
        newest = newest_histories(features)
        del features  # half of the memory
        shoppers, foretold = _Shoppers(newest, item_ids, part_shoppers), foretold_for(root)
        while True:
            champion = the_champion(client, name)
            newcomers = newcomers_for(root, name, identify(champion))
            content = {
                "name": name,
                "version": str(champion.version),
                "run_id": str(champion.run_id),
                "k": k,
                "exclude_seen": exclude_seen,
                "features_md5": md5,
                "shoppers": len(newest.user_ids),
                "newcomers": None if newcomers is None else newcomers.md5,
                "behaviour": None if foretold is None else foretold.md5,
            }
            before = about(target)
            if before is not None and before | content == before:
                drop_parts(target)
                log.info("%s is up to date: version %s", target, champion.version)
                return Published(target, before, True)
            content["created"] = datetime.now(UTC).isoformat(timespec="seconds")
            whole = _build(target, content, shoppers, newcomers, foretold)
            with critical_section(root, name):  # a promotion or a rollback comes before this, or after
                holder = current(client, name)
                if holder is not None and identify(holder) == identify(champion):
                    put_in_place(whole, target)
                    log.info("%s: version %s", target, champion.version)
                    return Published(target, content, False)
            log.info("the champion is no longer version %s: starting again", champion.version)


@dataclass(frozen=True)
class _Shoppers:
    """Every shopper with the history, in parts."""

    newest: NewestHistories
    item_ids: pa.Array
    part_shoppers: int

    @property
    def parts(self) -> int:
        return -(-len(self.newest.user_ids) // self.part_shoppers)

    def rows(self, part: int) -> range:
        start = part * self.part_shoppers
        return range(start, min(start + self.part_shoppers, len(self.newest.user_ids)))

    def asked(self, rows: range) -> pa.RecordBatch:
        """Return the questions of some shoppers."""
        part = slice(rows.start, rows.stop)
        ages = None if self.newest.ages is None else csr_array(self.newest.ages[part])
        return questions(csr_array(self.newest.user_items[part]), self.item_ids, ages)


def _build(
    target: Path,
    content: dict[str, Any],
    shoppers: _Shoppers,
    newcomers: Newcomers | None,
    foretold: Foretold | None,
) -> Path:
    """Ask the version that `content` names for all shoppers and write the whole beside the target."""
    name, version = content["name"], content["version"]
    stable = {key: value for key, value in content.items() if key != "created"}
    key = hashlib.sha256(json.dumps([stable, shoppers.part_shoppers]).encode()).hexdigest()[:16]
    columns = [*SCHEMA, *(foretold.columns if foretold else ())]
    schema = pa.schema(columns, {METADATA: json.dumps(content).encode()})
    new = pa.array([] if newcomers is None else newcomers.item_ids, pa.string())
    try:
        with _answering(content, newcomers) as (answer, n_items):
            block = max(1, min(_BLOCK_SHOPPERS, _BLOCK_SCORES // max(1, n_items)))
            user_ids = shoppers.newest.user_ids

            def compute(part: int) -> pa.Table:
                rows = shoppers.rows(part)
                blocks = (rows[start : start + block] for start in range(0, len(rows), block))
                lists = [
                    _long(few_ids, answer(few_ids, shoppers.asked(few)), version, new)
                    for few in blocks
                    for few_ids in (user_ids[few.start : few.stop],)
                ]
                return pa.Table.from_batches([foretold.beside(one) for one in lists] if foretold else lists)

            return build(target, key, shoppers.parts, compute, schema)
    except (NoAnswerError, DamagedPackageError) as fault:
        raise RecganError(
            f"the champion (version {version} of {name}) does not answer: {fault}; "
            "recgan rollback puts the version before it back"
        ) from None


@contextmanager
def _answering(content: dict[str, Any], newcomers: Newcomers | None) -> Iterator[tuple[_Answer, int]]:
    """Yield what answers shoppers, and how many products the package knows.

    The package answers in a process of its own, with its own code. Where there are new products, it is loaded
    into this one as the server loads it, since their places need all scores of a shopper.
    """
    name, version, k, exclude_seen = (content[key] for key in ("name", "version", "k", "exclude_seen"))
    if newcomers is None:
        with (
            fetched(f"models:/{name}/{version}") as model,
            asking(model, k, exclude_seen) as ask,
        ):
            yield lambda _, asked: ask(asked), catalogue_size(model)
        return
    packaged = load_version(name, version)
    if not newcomers.fits(packaged):
        raise RecganError(unfit(newcomers, packaged, version))
    yield (
        lambda user_ids, asked: answers(packaged, newcomers, user_ids, asked, k, exclude_seen),
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


def outcome(published: Published) -> str:
    """Name what became of the file."""
    return "Unchanged" if published.unchanged else "Published"


def sentence(published: Published) -> str:
    """Say what readers find, and where."""
    content = published.about
    seen = "without" if content["exclude_seen"] else "with"
    return (
        f"{published.path} {'still' if published.unchanged else 'now'} holds the {content['k']} best items "
        f"for {content['shoppers']:,} shoppers, {seen} those seen: {content['name']} version "
        f"{content['version']}, created {content['created']}"
    )


def live_now(root: Path, done: rollback.Rollback) -> str:
    """Say what is live after a rollback, and what is not yet."""
    return "\n".join([rollback.sentence(done), *_not_yet(root, done.name, done.champion)])


def live_by_hand(root: Path, done: by_hand.PromotedByHand) -> str:
    """Say what is live after a promotion by hand, and what is not yet."""
    return "\n".join([by_hand.sentence(done), *_not_yet(root, done.name, done.champion)])


def _not_yet(root: Path, name: str, champion: str) -> list[str]:
    lines = [
        "`make serve` follows within seconds; another server keeps the version it started with: restart it."
    ]
    target = target_path(root, name)
    published = about(target)
    if published is not None and published["version"] != champion:
        lines.append(f"{target} still holds version {published['version']}: make recommend.")
    return lines
