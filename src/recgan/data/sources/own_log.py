"""The events of the user's files, part by part: memory holds a chunk of one part, and each id once.

What a part says that the whole log decides by lies beside the events: the next ingest reads only new parts.
"""

import hashlib
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.core.errors import RecganError
from recgan.data.events import EVENTS
from recgan.data.sources import rows
from recgan.data.sources.columns import joined_sales, sales_schema
from recgan.data.sources.conversion import (
    IDS,
    Chunk,
    Decisions,
    Facts,
    convert,
    plain,
    plain_type,
    tell,
)
from recgan.data.sources.ids import without_fraction
from recgan.data.sources.ids_seen import IdsSeen
from recgan.data.sources.kept_parts import (
    EVENTS_OF_PART,
    FACTS,
    Converted,
    checksum,
    fingerprint,
    key_of,
    place,
    read_manifest,
    take,
    write_manifest,
)
from recgan.data.sources.parts import Part, check_rows, chunks, find_parts, schema_of
from recgan.data.sources.times import added

if TYPE_CHECKING:
    from recgan.data.sources.own_files import OwnFilesSource

logger = logging.getLogger(__name__)

_ORDERS, _BLANK, _FIRST_SALES = "orders", "blank_orders", "first_sales"


class OwnLog:
    """A log that is being written: `write`, then `settle` and `close` once its ids are decided.

    Args:
        params: the section `ingest`.
        path: the file, the folder or the pattern of the log.
        needed: the parameter that names a column of the log → the column.
        catalogues: column → what the ids of the files of items and users say.
        into: an existing folder, into which events.parquet comes: a file of one part, a folder of several.

    Raises:
        RecganError: there is no such file, or a header does not fit the settings.
    """

    def __init__(
        self,
        params: "OwnFilesSource",
        path: Path,
        needed: Mapping[str, str],
        catalogues: Mapping[str, IdsSeen],
        into: Path,
    ) -> None:
        self._params, self._path, self._catalogues, self._into = params, path, catalogues, into
        self._parts = find_parts(path, "events")
        self._read_schema = schema_of(self._parts, "events", needed, params.csv)
        self._schema = pa.schema([field.with_type(plain_type(field.type)) for field in self._read_schema])
        self._entries: list[Converted] = []
        self._facts = Facts()

    def write(self, earlier: Path | None) -> None:
        """Convert the log, and tell what it says of itself.

        Args:
            earlier: what an ingest before wrote; its parts are taken where they would become the same.

        Raises:
            RecganError: a file is damaged, or a value or the whole log is refused.
        """
        (self._into / "events.parquet").mkdir()
        several, known, way = len(self._parts) > 1, {}, ""
        if several:
            settings = self._params.model_dump_json(exclude={"path", "events", "feedback"})
            way = fingerprint(settings, str(self._read_schema))
            known = {} if earlier is None else read_manifest(earlier)
        taken = 0
        for number, part in enumerate(self._parts):
            key = key_of(part, way) if several else ""
            entry = None
            if key in known and earlier is not None:
                entry = self._take(number, part, earlier, *known[key])
                taken += entry is not None
            entry = entry or self._convert(number, part, key, self._facts)
            self._entries.append(entry)
            self._facts = self._facts.followed_by(entry.facts)
        if taken:
            logger.info(
                "%s: %s parts are those of the ingest before, and are not read again", self._path, taken
            )
        check_rows(self._path, "events", len(self._parts), self._facts.rows)
        tell(self._params, self._path, self._facts, self._schema)

    def ids(self, ours: str) -> tuple[IdsSeen, pa.Array] | None:
        """Return what a column of ids says, and each of them once; None where the log has no such column."""
        if ours not in self._facts.ids:
            return None
        once = pa.array([], pa.string())
        for number in range(len(self._entries)):
            once = pc.unique(pa.chunked_array([once, *self._table(number, ours)[ours].chunks]))
        return self._facts.ids[ours], once

    def first_sales(self) -> pa.Table:
        """Return what describes the items, where the events do."""
        drop = self._facts.decisions(self._catalogues)["without_fraction"]["item_id"]
        whole = sales_schema(self._params.item_columns).empty_table()
        for number in range(len(self._entries)):
            table = self._table(number, _FIRST_SALES)
            if drop:
                table = table.set_column(0, "item_id", without_fraction(table["item_id"]))
            whole = joined_sales(whole, table)
        return whole

    def settle(self) -> None:
        """Convert again what was converted under other decisions than those of the whole log."""
        decisions = self._facts.decisions(self._catalogues)
        for number, (part, entry) in enumerate(zip(self._parts, self._entries, strict=True)):
            if entry.decisions != decisions:
                again = self._convert(number, part, entry.key, self._facts)
                self._entries[number] = again.model_copy(
                    update={"context": entry.context, "decisions": decisions}
                )

    def close(self) -> None:
        """Leave one file of one part, or the manifest of several."""
        if len(self._parts) > 1:
            write_manifest(self._into, self._entries)
            return
        shutil.rmtree(self._into / FACTS)
        events = self._into / "events.parquet"
        one = place(self._into, 0, EVENTS_OF_PART).rename(self._into / "one.parquet")
        events.rmdir()
        one.rename(events)

    # --- a part ------------------------------------------------------------------------------------------

    def _take(
        self, number: int, part: Part, earlier: Path, old_number: int, entry: Converted
    ) -> Converted | None:
        """Take a part from the ingest before, unless what stands above it would make it another."""
        if not take(entry, earlier, old_number, self._into, number):
            return None
        blank = self._table(number, _BLANK)["order"].combine_chunks() if self._params.fill_down else None
        if self._context(number, self._facts, entry.facts, blank) != entry.context:
            return None
        return entry.model_copy(update={"source": part.path.name})

    def _convert(self, number: int, part: Part, key: str, before: Facts) -> Converted:
        """Convert a part under the decisions of what is known of the log."""
        made = _Made(self._params, self._schema)
        read = chunks(part, self._read_schema, self._params.csv)
        events = place(self._into, number, EVENTS_OF_PART)
        events.unlink(missing_ok=True)  # it may be the same file as that of the ingest before
        with pq.ParquetWriter(events, EVENTS, compression="zstd") as writer:
            try:
                for raw in read:
                    table = plain(raw)
                    if self._params.fill_down is not None:
                        table = self._filled(number, made, table, self._params.fill_down)
                    above = before.followed_by(made.facts)
                    chunk = convert(self._params, self._path, table, above, self._catalogues)
                    writer.write_table(chunk.events)
                    made.add(chunk)
            except RecganError:
                for _ in read:  # a damaged file says better what is wrong, and may at its end
                    pass
                raise
        files = {EVENTS_OF_PART: checksum(events)}
        for name, table in made.tables().items():
            path = place(self._into, number, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            pq.write_table(table, path, compression="zstd")
            files[name] = checksum(path)
        return Converted(
            source=part.path.name,
            size=part.path.stat().st_size,
            key=key,
            context=self._context(number, before, made.facts, made.blank),
            decisions=made.decisions,
            facts=made.facts,
            files=files,
        )

    def _filled(self, number: int, made: "_Made", table: pa.Table, fill: rows.FillDown) -> pa.Table:
        assert made.orders is not None
        own = rows.filled_after(table, made.orders, fill)
        made.orders = rows.latest(pa.concat_tables([made.orders, own.select(made.orders.column_names)]), fill)
        blank = rows.unfilled(own, fill)
        made.blank = pc.unique(pa.chunked_array([made.blank, blank]))
        filled = rows.filled_after(own, self._orders_above(number, blank), fill)
        made.facts.filled = added(made.facts.filled, rows.blanks_filled(table, filled, fill))
        return filled

    def _context(self, number: int, before: Facts, own: Facts, blank: pa.Array | None) -> dict[str, Any]:
        """Return what the parts above decide for a part: how times are written, and values of its orders."""
        numbers = own.times.numbers  # null where it has no time
        if numbers is not None and before.times.numbers is not None:
            numbers = before.times.numbers
        context: dict[str, Any] = {"numbers": numbers}
        if blank is not None and self._params.fill_down is not None:
            sink = pa.BufferOutputStream()
            pq.write_table(self._orders_above(number, blank), sink)
            context["orders"] = hashlib.sha256(sink.getvalue()).hexdigest()
        return context

    def _orders_above(self, number: int, blank: pa.Array) -> pa.Table:
        """Return the values that the parts above have for orders that go on in a part."""
        fill = self._params.fill_down
        assert fill is not None
        found = [rows.orders_schema(self._schema, fill).empty_table()]
        if len(blank):
            wanted = pc.field(fill.order).isin(blank)
            found += [self._table(above, _ORDERS, wanted) for above in range(number)]
        return rows.latest(pa.concat_tables(found), fill)

    def _table(self, number: int, name: str, wanted: pc.Expression | None = None) -> pa.Table:
        # No name of a folder above is a column.
        return pq.read_table(place(self._into, number, name), filters=wanted, partitioning=None)


class _Made:
    """What one part says, chunk by chunk."""

    def __init__(self, params: "OwnFilesSource", schema: pa.Schema) -> None:
        self.facts = Facts()
        self.decisions: Decisions = {}
        ids = [ours for ours in IDS if ours in params.columns]
        self._ids: dict[str, pa.Array] = {ours: pa.array([], pa.string()) for ours in ids}
        self._first = None
        if params.items is None and params.item_columns:
            self._first = sales_schema(params.item_columns).empty_table()
        self.orders: pa.Table | None = None
        self.blank: pa.Array | None = None
        if params.fill_down is not None:
            self.orders = rows.orders_schema(schema, params.fill_down).empty_table()
            self.blank = pa.array([], self.orders.schema.field(params.fill_down.order).type)

    def add(self, chunk: Chunk) -> None:
        # Chunks under several decisions are of none, and converted again.
        alike = self.facts.rows == 0 or self.decisions == chunk.decisions
        self.decisions = chunk.decisions if alike else {}
        self.facts = self.facts.followed_by(chunk.facts)
        for ours, ids in chunk.ids.items():
            self._ids[ours] = pc.unique(pa.chunked_array([self._ids[ours], ids]))
        if self._first is not None:
            self._first = joined_sales(self._first, chunk.first_sales)

    def tables(self) -> dict[str, pa.Table]:
        tables = {ours: pa.table({ours: ids}) for ours, ids in self._ids.items()}
        if self._first is not None:
            tables[_FIRST_SALES] = self._first
        if self.orders is not None:
            tables |= {_ORDERS: self.orders, _BLANK: pa.table({"order": self.blank})}
        return tables
