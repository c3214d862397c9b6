"""Whether an approximate index ranks the nightly lists: what it would lose is measured on some shoppers."""

import logging
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa

from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.package.asking import asking
from recgan.recommenders.approximate import NO_FAISS, NO_VECTORS
from recgan.recommenders.catalogue import CLASSICAL, classical_class, trained_class
from recgan.recommenders.feature_gan.nearest import faiss_is_there
from recgan.recommenders.trained import DESCRIPTION

log = logging.getLogger(__name__)

SAMPLE = 1000
"""Shoppers on whom the loss is measured."""
_BLOCK = 128


def check_index(model: Path) -> None:
    """Check that a package can rank by an index.

    Raises:
        RecganError: its recommender has no vectors, it was packaged before there were indices, or faiss is
            not installed.
    """
    name = str(read_json(model / "artifacts/recommender" / DESCRIPTION)["name"])
    kind = classical_class(name) if name in CLASSICAL else trained_class(name)
    if not hasattr(kind, "item_vectors"):
        raise RecganError(NO_VECTORS.format(name))
    signature = mlflow.models.Model.load(str(model)).signature
    if "approximate" not in {one.name for one in signature.params}:
        raise RecganError(
            "recommend.index_loss asks for an approximate index, but the champion was packaged before there "
            "were any; register a training of today (make run), or set it to null"
        )
    if not faiss_is_there():
        raise RecganError(NO_FAISS)


def measured(model: Path, asked: pa.RecordBatch, k: int, exclude_seen: bool, most: float) -> dict[str, Any]:
    """Measure what share of the k best items an index misses, and say whether it may rank.

    Args:
        model: the folder of the package, after `check_index`.
        asked: of QUESTIONS, of the sample.
        k: length of a list.
        exclude_seen: leave out the items of the history.
        most: the loss up to which it may.

    Returns:
        loss, a share; shoppers, of the sample; used, whether it ranks.
    """
    lists = []
    for approximate in (False, True):
        with asking(model, k, exclude_seen, threads=1, approximate=approximate) as answer:
            parts = [answer(asked.slice(start, _BLOCK)) for start in range(0, asked.num_rows, _BLOCK)]
            lists.append([set(ids) for part in parts for ids in part["item_ids"].to_pylist()])
    loss = lost(*lists)
    said = f"the index misses {loss:.2%} of the {k} best items, over {asked.num_rows:,} shoppers"
    if loss > most:
        log.warning("%s; recommend.index_loss allows %s: all are ranked exactly", said, f"{most:.2%}")
    else:
        log.info("%s", said)
    return {"loss": loss, "shoppers": asked.num_rows, "used": loss <= most}


def lost(exact: list[set[str]], approximate: list[set[str]]) -> float:
    """Return the share of the exact lists' items that the approximate lists miss; the mean over shoppers."""
    shares = [1 - len(one & other) / len(one) for one, other in zip(exact, approximate, strict=True) if one]
    return sum(shares) / max(len(shares), 1)
