"""Kept events, quarantine, and what must hold before the data can be trusted."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.data import expectations
from recgan.data.chunks import groups_of
from recgan.data.engine import Engine, engine
from recgan.data.events import EVENTS, ITEMS, USERS, check_table, parts_of, read_table
from recgan.data.facts import KeptFacts, beside_of, copies_of, equal_rows, kept_facts
from recgan.data.passes import Sorted, check_parts, sort_parts
from recgan.data.quarantine import (
    Beside,
    ahead_by_zone,
    expected_reasons,
    flagged,
    reasons,
    with_sound_pictures,
    with_sound_prices,
)
from recgan.data.settings import Reason, ValidateParams
from recgan.data.suites import Outcome, added


@dataclass(frozen=True)
class Validation:
    """What the expectations say of three tables."""

    sorted: Sorted
    """What of the raw events is kept and what is not."""
    kept: KeptFacts
    outcomes: tuple[Outcome, ...]
    reasons: tuple[Reason, ...]
    """All reasons, in the order in which a row gets one."""
    expected: tuple[Reason, ...]
    """Those for which rows are left out as a matter of course."""
    prices_left_out: int
    """Items whose price is none, which are kept without it."""
    pictures_left_out: int
    """Items whose image_url no page may show, which are kept without it."""

    @property
    def examples(self) -> dict[str, list[dict[str, Any]]]:
        """Return the first few rows that break a rule by its reason."""
        found = self.sorted.examples
        return {reason: found[reason] for reason in self.reasons if reason in found}

    @property
    def failures(self) -> list[Outcome]:
        """Return the broken critical expectations."""
        return [o for o in self.outcomes if not o.success and o.severity == "critical"]


def check(ingested: Path, kept: Path, params: ValidateParams, now: datetime) -> Validation:
    """Hold the ingested tables against the expectations, and write what may be kept.

    Items and users are in memory whole, events a chunk at a time. The kept events are only checked when the
    raw ones passed: their failures would follow from the first.

    Args:
        ingested: folder of events.parquet, items.parquet and users.parquet.
        kept: folder that gets the kept events, quarantine.parquet, all items (with null for a price or a
            picture that is none), and the users with a kept event.
        params: ranges, limits, and the reasons for which a row may be dropped.
        now: an aware instant; events after it are from the future.

    Raises:
        RecganError: a table is missing or is not readable.
    """
    ingested, kept = ingested.resolve(), kept.resolve()  # another machine has another working folder
    events = ingested / "events.parquet"
    check_table(events, EVENTS)
    items, users = (
        read_table(ingested / f"{name}.parquet", one) for name, one in (("items", ITEMS), ("users", USERS))
    )
    with engine() as tables:
        beside = beside_of(tables, ingested, users)
        groups = groups_of(parts_of(events))
        sort = partial(
            sort_parts, groups=groups, table=events, folder=kept, beside=beside, params=params, now=now
        )
        found = reduce(Sorted.then, tables.each(sort, len(groups)), Sorted())
        facts = kept_facts(tables, kept / "events.parquet")
        rows = found.kept + found.by_reason.total()
        raw = sum(pq.read_metadata(part).num_rows for part in parts_of(events))
        assert (rows, facts.rows) == (raw, found.kept), "a row was lost or doubled"
        cleaned, prices_left_out = with_sound_prices(items, params)
        cleaned, pictures_left_out = with_sound_pictures(cleaned)
        with_event = users.filter(
            pc.is_in(users["user_id"], value_set=facts.users["user_id"].combine_chunks())
        )
        for name, table in (("items", cleaned), ("users", with_event)):
            pq.write_table(table, kept / f"{name}.parquet", compression="zstd")

        faulty, judged = found.by_reason.total() - found.expected, rows - found.expected
        volume, *share = expectations.expect_raw(rows, faulty / judged if judged else None, params)
        outcomes = [volume, *_with_remedy(found, now), *share]
        outcomes += expectations.expect_items(items.to_pandas(), params)
        outcomes += expectations.expect_users(users.to_pandas())
        if all(o.success or o.severity == "warning" for o in outcomes):
            outcomes += _expect_kept(tables, kept / "events.parquet", facts, beside, params, now)
    return Validation(
        found,
        facts,
        tuple(outcomes),
        reasons(params),
        expected_reasons(params),
        prices_left_out,
        pictures_left_out,
    )


def _with_remedy(found: Sorted, now: datetime) -> list[Outcome]:
    remedy = ahead_by_zone(found.future, found.newest, now)
    return [
        replace(outcome, remedy=remedy) if outcome.reason == "future_timestamp" else outcome
        for outcome in [*found.left_out, *found.judged]
    ]


def _expect_kept(
    tables: Engine, events: Path, facts: KeptFacts, beside: Beside, params: ValidateParams, now: datetime
) -> list[Outcome]:
    beside = replace(beside, copies=copies_of(tables, events))
    copied = any(len(copies) for copies in beside.copies)
    alike = equal_rows(tables, events) if copied else EVENTS.empty_table().to_pandas()
    groups = groups_of(parts_of(events))
    check = partial(check_parts, groups=groups, table=events, beside=beside, params=params, now=now)
    none: list[Outcome] = []
    rows = reduce(added, tables.each(check, len(groups)), none)
    empty = pq.read_schema(parts_of(events)[0]).empty_table()
    if not rows:
        rows = expectations.expect_kept_rows(flagged(empty, beside, np.array([], int)), params, now)
    whole = pa.table(
        {
            "rows": [facts.rows],
            "users": [facts.users.num_rows],
            "items": [facts.items],
            "newest": pa.array([facts.newest_of_source], EVENTS.field("timestamp").type),
            "share": pa.array(
                [facts.users["n"][0].as_py() / facts.rows if facts.rows else None], pa.float64()
            ),
        }
    )
    volume, users, items, *age, share = expectations.expect_kept(whole.to_pandas(), params, now)
    known_user, split, *rules = rows
    return [
        *expectations.expect_columns(empty.to_pandas()),
        *(volume, users, items, known_user, split, *age, *rules),
        *expectations.expect_unique(alike, facts.rows),
        share,
    ]


def summarise(result: Validation) -> dict[str, Any]:
    """Return the figures for metrics/validation.json: the same for the same input."""
    by_reason = result.sorted.by_reason
    kept, quarantined = result.sorted.kept, by_reason.total()
    expected = sum(by_reason[reason] for reason in result.expected)
    faulty, judged = quarantined - expected, kept + quarantined - expected
    first, last = result.kept.period
    source = result.kept.newest_of_source
    return {
        "success": not result.failures,
        "raw": kept + quarantined,
        "kept": kept,
        "quarantined": quarantined,
        "quarantined_share": round(quarantined / max(kept + quarantined, 1), 6),
        "expected_reasons": list(result.expected),
        "expected": expected,
        "expected_share": round(expected / max(kept + quarantined, 1), 6),
        "faulty": faulty,
        "faulty_share": round(faulty / max(judged, 1), 6),  # of the rows that are judged at all
        "quarantined_by_reason": {reason: by_reason[reason] for reason in result.reasons},
        "item_prices_left_out": result.prices_left_out,
        "users": result.kept.users.num_rows,
        "items": result.kept.items,
        "first_event": first.isoformat() if first else None,
        "last_event": last.isoformat() if last else None,
        "last_event_of_source": source.isoformat() if source else None,
        "expectations": {
            o.name: {"success": o.success, "severity": o.severity}
            | ({"observed": o.observed} if o.unexpected is None else {"unexpected": o.unexpected})
            for o in result.outcomes
        },
    }
