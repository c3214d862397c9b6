"""From a package and the kept tables to the weights of the new products."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from recgan.newcomers.estimate import Estimator
from recgan.newcomers.log import DAY, read_log
from recgan.newcomers.replay import DAYS, choose_lift
from recgan.newcomers.weights import Newcomers, Origin
from recgan.package.packaged import PackagedRecommender
from recgan.settings import NewcomersParams

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Asked:
    """What the lists are like that new products are to stand in."""

    k: int
    exclude_seen: bool
    trained_until: datetime | None
    """The instant before which lie the events that the package was trained on; None where nothing tells."""


def make(
    packaged: PackagedRecommender,
    name: str,
    champion: tuple[str, str],
    kept: Path,
    left_out: pa.Array,
    params: NewcomersParams,
    asked: Asked,
) -> Newcomers:
    """Estimate the new products of a log for a package.

    Args:
        packaged: read from a package's files.
        name: of the registered model.
        champion: the package's version and its run.
        kept: folder of the kept tables.
        left_out: ids of accounts that nothing is learned from.
        params: the newcomers section.
        asked: the lists.

    Raises:
        RecganError: a table is missing or no event has a timestamp; or whatever the recommender raises.
        Unavailable: the tables were replaced again and again meanwhile.
    """
    events = read_log(kept, left_out, packaged.confidence)
    until = int(events.times[-1]) + 1  # the first instant after the newest event
    first = int(events.times[0])
    trained = until if asked.trained_until is None else (asked.trained_until - _EPOCH) // _MICROSECOND
    since = max(min(trained, until), until - DAYS * DAY, first)
    estimator = Estimator(packaged, events, since)
    lift, ndcg = params.lift, None
    if lift is None:
        lift, ndcg = choose_lift(estimator, since, until, asked.k, params.max_share, asked.exclude_seen)
    origin = Origin(name, *champion, str(packaged.md5), _EPOCH + until * _MICROSECOND)
    found = estimator.newcomers(estimator.at(until), origin, lift, params.max_share)
    chosen = "" if ndcg is None else f", chosen on the last days (NDCG@{asked.k} of all that came {ndcg:.4f})"
    log.info("%d new products; lift %g%s", len(found), lift, chosen)
    return found
