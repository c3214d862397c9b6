"""Recommend: the champion's k best items for every shopper, published as one Parquet file."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.daily.foretold import foretold_for
from recgan.daily.index import SAMPLE, check_index, measured
from recgan.daily.newcomers import newcomers_for
from recgan.daily.on_spark import make_on_spark
from recgan.daily.parts import SCHEMA, Job, Run, make, no_answer
from recgan.daily.publish import (
    METADATA,
    Parts,
    about,
    drop_parts,
    joined,
    opened,
    publishing,
    put_in_place,
)
from recgan.daily.ruled import heeded, lengths, rules_for, said, said_of_lists, told
from recgan.data.engine import chosen
from recgan.features.matrices import read_features
from recgan.features.newest import NewestHistories, newest_histories
from recgan.online.contradictions import some
from recgan.online.rules_file import rules_path
from recgan.package.asking import questions
from recgan.registry import by_hand, rollback
from recgan.registry.asking import NoAnswerError, fetched
from recgan.registry.manifest import DamagedPackageError
from recgan.registry.outage import outside
from recgan.registry.tracking import connect, critical_section, current
from recgan.registry.versions import identify, the_champion
from recgan.settings import Params

log = logging.getLogger(__name__)

_PART_SHOPPERS = 2**14


@dataclass(frozen=True)
class Published:
    """A file of recommendations and where it comes from."""

    path: Path
    about: dict[str, Any]
    """What it says of itself: name, version, run_id, created, k, exclude_seen, features_md5, shoppers,
    rules."""
    unchanged: bool
    """True where the file was there already."""
    of_the_server: tuple[str, ...] = ()
    """Rules that hold in the server's answers alone."""


def target_path(root: Path, name: str) -> Path:
    """Return where the recommendations of a registered model are published."""
    return root / layout.RECOMMENDATIONS / f"{name}.parquet"


@outside()
def recommend(
    root: Path,
    params: Params,
    k: int | None = None,
    exclude_seen: bool | None = None,
    run: Run | None = None,
    part_shoppers: int = _PART_SHOPPERS,
) -> Published:
    """Publish the champion's recommendations for every shopper that the features know.

    Readers of recommendations/NAME.parquet see the old or the new file, never half of one. A run that was
    killed goes on after its last finished part. One that finds the same recommendations published does
    nothing. A second one at the same time waits for the first. Where the champion changes meanwhile, it
    starts again.

    Args:
        root: the project.
        params: of the project.
        k: items for each shopper; None takes recommend.k.
        exclude_seen: leave out the items of the history; None leaves them out unless
            features.repeat_purchases.
        run: has the parts made, wherever it likes; None makes one after another, or has Spark make them where
            RECGAN_ENGINE is spark. No row depends on it.
        part_shoppers: shoppers in one part.

    Raises:
        RecganError: there is no champion, it does not answer, the features are missing, or k is below 1.
        Unavailable: the registry does not answer, or the champion's process was hindered.
    """
    k = params.recommend.k if k is None else k
    if k < 1:
        raise RecganError(f"k is {k}; ask for at least 1 item")
    run = run or (make_on_spark if chosen() == "spark" else make)
    client, target = connect(root), target_path(root, params.register_.name)
    with publishing(target):
        while True:
            champion = the_champion(client, params.register_.name)
            published = _published(root, params, champion, k, exclude_seen, run, part_shoppers)
            if published.unchanged:
                log.info("%s is up to date: version %s", target, champion.version)
                return published
            with critical_section(root, champion.name):  # a promotion or a rollback comes before, or after
                holder = current(client, champion.name)
                if holder is not None and identify(holder) == identify(champion):
                    put_in_place(published.path, target)
                    log.info("%s: version %s", target, champion.version)
                    return replace(published, path=target)
            log.info("the champion is no longer version %s: starting again", champion.version)


def _published(
    root: Path,
    params: Params,
    champion: ModelVersion,
    k: int,
    exclude_seen: bool | None,
    run: Run,
    part_shoppers: int,
) -> Published:
    """Return the published file where it is up to date, or the whole that is to take its place."""
    name = champion.name
    target, foretold = target_path(root, name), foretold_for(root)
    ranks_all = params.recommend.index_loss is None  # a new product's place needs all scores
    newcomers = newcomers_for(root, name, identify(champion)) if ranks_all else None
    rules, others = rules_for(root, name, datetime.now(UTC))
    shoppers = _shoppers(root)
    if exclude_seen is None:
        exclude_seen = not shoppers.repeat_purchases
    content: dict[str, Any] = {
        "name": name,
        "version": str(champion.version),
        "run_id": str(champion.run_id),
        "k": k,
        "exclude_seen": exclude_seen,
        "features_md5": shoppers.md5,
        "shoppers": len(shoppers.newest.user_ids),
        "newcomers": None if newcomers is None else newcomers.md5,
        "behaviour": None if foretold is None else foretold.md5,
        "index_loss": params.recommend.index_loss,
        "rules": told(rules),
    }
    before = about(target)
    if before is not None and before | content == before:
        drop_parts(target)
        return Published(target, before, True, others)
    number = -(-content["shoppers"] // part_shoppers)
    parts = opened(
        target.resolve(), _key(content, part_shoppers), number
    )  # makers have other working folders
    content["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    if missing := parts.missing():
        with _package(champion, parts) as model:
            if rules:
                content["heeded"] = heeded(rules, model, newcomers, k)
            content["index"] = _index(model, content, shoppers)
            used = content["index"] is not None and content["index"]["used"]
            job = Job(parts, model, name, str(champion.version), k, exclude_seen, newcomers, rules, used)
            for number in missing:
                job.ask(number, *shoppers.asked(number, part_shoppers))
            del shoppers  # while the parts are made, their makers need the memory
            run(job, missing)
    if rules:
        content |= lengths(parts, content["shoppers"], said(content), rules_path(root, name))
    columns = [*SCHEMA, *(foretold.columns if foretold else ())]
    schema = pa.schema(columns, {METADATA: json.dumps(content).encode()})
    whole = joined(parts, target, schema, foretold.beside if foretold else None)
    return Published(whole, content, False, others)


def _key(content: dict[str, Any], part_shoppers: int) -> str:
    return hashlib.sha256(json.dumps([content, part_shoppers]).encode()).hexdigest()[:16]


@contextmanager
def _package(champion: ModelVersion, parts: Parts) -> Iterator[Path]:
    """Yield the champion's package, beside the parts: there everybody who makes some sees it.

    Raises:
        RecganError: it is damaged.
        Unavailable: it cannot be fetched.
    """
    try:
        with fetched(f"models:/{champion.name}/{champion.version}", parts.folder) as model:
            yield model
    except (NoAnswerError, DamagedPackageError) as fault:
        raise RecganError(no_answer(champion.name, str(champion.version), fault)) from None


def _index(model: Path, content: dict[str, Any], shoppers: "_Shoppers") -> dict[str, Any] | None:
    """Return what an approximate index loses; None where none is asked for, or rules need every score."""
    if content["index_loss"] is None:
        return None
    check_index(model)
    if content["rules"] is not None:
        log.warning("rules of the shop need every score, so no index ranks: all are ranked exactly")
        return None
    rows = np.unique(np.linspace(0, content["shoppers"] - 1, SAMPLE).astype(np.int64))
    asked = shoppers.questions(rows)
    return measured(model, asked, content["k"], content["exclude_seen"], content["index_loss"])


@dataclass(frozen=True)
class _Shoppers:
    """Every shopper with the history."""

    newest: NewestHistories
    item_ids: pa.Array
    md5: str
    """Of the features."""
    repeat_purchases: bool

    def asked(self, number: int, size: int) -> tuple[NDArray[np.object_], pa.RecordBatch]:
        """Return the ids and the questions of a part."""
        rows = slice(number * size, (number + 1) * size)
        return self.newest.user_ids[rows], self.questions(rows)

    def questions(self, rows: slice | NDArray[np.int64]) -> pa.RecordBatch:
        """Return the questions of some shoppers."""
        ages = None if self.newest.ages is None else csr_array(self.newest.ages[rows])
        return questions(csr_array(self.newest.user_items[rows]), self.item_ids, ages)


def _shoppers(root: Path) -> _Shoppers:
    features = read_features(root / layout.FEATURES)
    return _Shoppers(
        newest_histories(features),
        pa.array(features.items["item_id"].astype(str), pa.string()),
        str(features.summary["md5"]),
        bool(features.summary["repeat_purchases"]),
    )


def outcome(published: Published) -> str:
    """Name what became of the file."""
    return "Unchanged" if published.unchanged else "Published"


def sentence(published: Published) -> str:
    """Say what readers find, and where."""
    content = published.about
    others = f"; for the server alone: {some(published.of_the_server)}" if published.of_the_server else ""
    seen = "without" if content["exclude_seen"] else "with"
    return (
        f"{published.path} {'still' if published.unchanged else 'now'} holds {said_of_lists(content)} "
        f"for {content['shoppers']:,} shoppers, {seen} those seen: {content['name']} version "
        f"{content['version']}, created {content['created']}, by {said(content)}{others}"
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
