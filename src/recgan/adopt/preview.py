"""What a person is shown of a proposal."""

from collections.abc import Iterator

import pyarrow.compute as pc

from recgan.adopt.proposal import Proposal
from recgan.adopt.sample import Export
from recgan.core.redact import shown
from recgan.data.sources.csv_format import DELIMITERS

_ROWS = 10
_ITEMS = 20  # that are named
_STATUSES, _UNUSED = 8, 12  # likewise
_WIDTH = 24  # characters of a value
_WHY = {
    "null_user": "without a customer, as guests' are",
    "null_item": "without an item",
    "unknown_event": "of other kinds of events",
    "null_timestamp": "without a time",
    "future_timestamp": "from the future",
    "outside_period": "from before 2000",
    "cancellation": "with a quantity of zero or less: returned goods",
    "value_out_of_range": "with a value that is out of range",
    "price_out_of_range": "with a price of zero, or out of range",
    "not_a_product": "of items that are no products",
    "duplicate": "that equal an earlier row in all columns",
}


def lines(proposal: Proposal) -> Iterator[str]:
    """Say what an export is, how it is read, and what is left out of it."""
    yield f"{_files(proposal.export)}: {proposal.rows:,} rows, {proposal.kind.name}"
    yield ""
    yield "How its columns are read:"
    for ours, theirs in proposal.ingest["columns"].items():
        filled = proposal.ingest.get("fill_down", {}).get("columns", ())
        more = " (an order's first row speaks for its others)" if theirs in filled else ""
        yield f"  {ours:<12} {theirs}{more}"
    for ours, theirs in proposal.columns.items.items():
        yield f"  {'item ' + ours:<12} {theirs} (at the item's first sale)"
    zone = (
        ""
        if proposal.moments.zoned
        else f"; local times of {proposal.ingest.get('timezone', 'UTC (--timezone)')}"
    )
    yield f"  times are {proposal.moments.words}{zone}"
    if proposal.kinds.event is not None:
        yield f"  every row is a {proposal.kinds.event}"
    elif proposal.kinds.names:
        yield "  " + ", ".join(f"{theirs} is a {ours}" for theirs, ours in proposal.kinds.names.items())
    if proposal.kinds.others:
        yield f"  other events are left out: {', '.join(map(shown, proposal.kinds.others[:8]))}"
    yield ""
    yield "The first rows, as recgan has them:"
    yield from _table(proposal)
    yield ""
    yield "What is left out:"
    yield from _left_out(proposal)
    yield from _kept(proposal)


def _kept(proposal: Proposal) -> Iterator[str]:
    counts = {str(c["values"]): c["counts"] for c in pc.value_counts(proposal.kept["event"]).to_pylist()}
    told = ", ".join(
        f"{rows:,} of kind {kind}" for kind, rows in sorted(counts.items(), key=lambda one: -one[1])
    )
    yield f"  kept: {proposal.kept.num_rows:,} events" + (f": {told}" if len(counts) > 1 else "")
    meant = {*proposal.kinds.names.values()}
    for kind in sorted(meant - set(counts)):
        yield f"  NOTE: no {kind} is left, though the export has some: see above what their rows lack"
    for column, values in proposal.stays.items():
        shown_values = ", ".join(
            f"{shown(value)} ({rows:,})" for value, rows in list(values.items())[:_STATUSES]
        )
        more = f" and {len(values) - _STATUSES} more" if len(values) > _STATUSES else ""
        yield f"  rows stay where {column} is {shown_values or 'anything'}{more} (--leave-out '{column}=…')"
    if proposal.unused:
        names = ", ".join(map(shown, proposal.unused[:_UNUSED]))
        more = f" and {len(proposal.unused) - _UNUSED} more" if len(proposal.unused) > _UNUSED else ""
        yield f"  columns that are not used: {names}{more}"


def _files(export: Export) -> str:
    names = export.path.name if export.events == "." else f"{export.path.name}/{export.events}"
    parts = f", {len(export.files)} files" if len(export.files) > 1 else ""
    if export.csv is None:
        return f"{names}{parts}, Parquet"
    return f"{names}{parts}, {export.csv.encoding} with {DELIMITERS[export.csv.delimiter]}"


def _table(proposal: Proposal) -> Iterator[str]:
    # Rows that are whole say the most; an export may begin with guests.
    events = proposal.kept if proposal.kept.num_rows else proposal.tables.events
    columns = [name for name in events.column_names if events[name].null_count < events.num_rows]
    rows = [[_value(row[name]) for name in columns] for row in events.slice(0, _ROWS).to_pylist()]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        yield "  " + "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    text = shown(f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _left_out(proposal: Proposal) -> Iterator[str]:
    rules = proposal.ingest.get("leave_out", {})
    if proposal.left_out:
        whose = "; ".join(
            f"{column} is {', '.join(values) if values else 'filled'}" for column, values in rules.items()
        )
        yield f"  {proposal.left_out:>9,} rows where {whose}"
    for reason, rows in sorted(proposal.reasons.items(), key=lambda pair: -pair[1]):
        yield f"  {rows:>9,} rows {_WHY.get(reason, reason)}"
    counts = {
        c["values"]: c["counts"] for c in pc.value_counts(proposal.tables.events["item_id"]).to_pylist()
    }
    for item, why in list(proposal.no_products.items())[:_ITEMS]:
        yield f"            {shown(item)}: {shown(why)} ({counts.get(item, 0):,}×)"
    if len(proposal.no_products) > _ITEMS:
        yield f"            and {len(proposal.no_products) - _ITEMS:,} more, which the file has"
    if proposal.no_products:
        yield "            (one of these is a product? --product ID; another is none? --not-product ID)"
    if not proposal.left_out and not proposal.reasons:
        yield "  nothing"
