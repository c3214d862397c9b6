"""The two passes over a log: its rows into kept and quarantine, then the kept ones checked anew.

Each goes part by part and chunk by chunk, small parts together. What it returns adds up, so neither the size
of a chunk nor who reads which part changes a result.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recgan.data.chunks import like, pieces_of, writers
from recgan.data.events import EVENTS, parts_of
from recgan.data.expectations import expect_kept_rows, expect_rows
from recgan.data.quarantine import QUARANTINE, Beside, broken_rules, expected_reasons, flagged, partition
from recgan.data.settings import ValidateParams
from recgan.data.suites import Outcome, added

EXAMPLES = 3


@dataclass(frozen=True)
class Sorted:
    """What the first pass found in some of the raw events."""

    kept: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    """Reason → rows in quarantine with it."""
    expected: int = 0
    """Rows that are left out for an expected reason."""
    left_out: list[Outcome] = field(default_factory=list)
    """Outcomes of the expected reasons on all rows."""
    judged: list[Outcome] = field(default_factory=list)
    """Outcomes of the other row rules on the rows that no expected reason leaves out."""
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Reason → the first few rows that break that rule."""
    future: int = 0
    """Rows after now."""
    newest: datetime | None = None
    """The last instant."""
    not_products: frozenset[str] = frozenset()
    """Which of `validate.not_products` there are."""

    def then(self, later: "Sorted") -> "Sorted":
        """Return what was found in these rows and in those that come after them."""
        reasons = dict.fromkeys([*self.examples, *later.examples])
        return Sorted(
            self.kept + later.kept,
            self.by_reason + later.by_reason,
            self.expected + later.expected,
            added(self.left_out, later.left_out),
            added(self.judged, later.judged),
            {r: [*self.examples.get(r, []), *later.examples.get(r, [])][:EXAMPLES] for r in reasons},
            self.future + later.future,
            max((one for one in (self.newest, later.newest) if one is not None), default=None),
            self.not_products | later.not_products,
        )


def sort_parts(
    number: int,
    groups: Sequence[range],
    table: Path,
    folder: Path,
    beside: Beside,
    params: ValidateParams,
    now: datetime,
) -> Sorted:
    """Part the rows of some parts of the raw events into kept and quarantined, one reason a row.

    Args:
        number: of the group, from 0.
        groups: of parts that are read together.
        table: the raw events.
        folder: where events.parquet and quarantine.parquet are made: files where the table is one, else
            folders with a part of the same name in each.
        beside: what other rows and tables say of all raw events.
        params: ranges, limits, and the reasons for which a row may be dropped.
        now: an aware instant.
    """
    parts, found = parts_of(table), Sorted()
    with ExitStack() as stack:
        files = {}
        for one in groups[number]:
            targets = {like(folder / "events.parquet", parts[one], table): EVENTS}
            targets |= {like(folder / "quarantine.parquet", parts[one], table): QUARANTINE}
            files[one] = stack.enter_context(writers(targets))
        for pieces, events, frame in _flagged_chunks(groups[number], table, beside):
            broken = broken_rules(frame, params, now)
            quarantined, start = [], 0
            for one, rows in pieces:
                found_here = partition(rows, broken.iloc[start : start + len(rows)])
                for writer, some in zip(files[one], (found_here.kept, found_here.quarantined), strict=True):
                    if some.num_rows:
                        writer.write_table(some)
                quarantined.append(found_here.quarantined)
                start += len(rows)
            found = found.then(_found(events, frame, broken, pa.concat_tables(quarantined), params, now))
    return found


def check_parts(
    number: int, groups: Sequence[range], table: Path, beside: Beside, params: ValidateParams, now: datetime
) -> list[Outcome]:
    """Check every row rule anew on some parts of the kept events; without rows there is no outcome."""
    outcomes: list[Outcome] = []
    for _, _, frame in _flagged_chunks(groups[number], table, beside):
        outcomes = added(outcomes, expect_kept_rows(frame, params, now))
    return outcomes


def _flagged_chunks(
    group: range, table: Path, beside: Beside
) -> Iterator[tuple[list[tuple[int, pa.Table]], pa.Table, pd.DataFrame]]:
    """Yield the rows of a group by their parts, then together, and what is said of them."""
    read = dict.fromkeys(group, 0)
    for pieces in pieces_of(parts_of(table), group):
        copies, before = [], 0
        for one, rows in pieces:
            start = read[one]
            first, last = np.searchsorted(beside.copies[one], [start, start + len(rows)])
            copies.append(beside.copies[one][first:last] - start + before)
            read[one] += len(rows)
            before += len(rows)
        events = pa.concat_tables([rows.select(EVENTS.names) for _, rows in pieces])
        yield pieces, events, flagged(events, beside, np.concatenate(copies))


def _found(
    events: pa.Table,
    frame: pd.DataFrame,
    broken: pd.DataFrame,
    quarantined: pa.Table,
    params: ValidateParams,
    now: datetime,
) -> Sorted:
    expected = broken[list(expected_reasons(params))].any(axis=1)
    left_out, judged = expect_rows(frame, expected, params, now)
    counts = quarantined["reason"].value_counts().to_pylist()
    times = events["timestamp"]
    named = pc.unique(
        events["item_id"].filter(pc.is_in(events["item_id"], pa.array(params.not_products, pa.string())))
    )
    return Sorted(
        len(events) - len(quarantined),
        Counter({count["values"]: count["counts"] for count in counts}),
        int(expected.sum()),
        left_out,
        judged,
        {
            str(reason): frame.loc[rows.to_numpy().nonzero()[0][:EXAMPLES], EVENTS.names].to_dict("records")
            for reason, rows in broken.items()
            if rows.any()
        },
        pc.sum(pc.greater(times, pa.scalar(now, times.type))).as_py() or 0,
        pc.max(times).as_py(),
        frozenset(named.to_pylist()),
    )
