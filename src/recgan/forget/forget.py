"""Forget people: find them in every store, take them out, and search again."""

import logging
import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recgan.core import layout
from recgan.core.alone import alone
from recgan.core.errors import RecganError
from recgan.core.files import read_json, tidy, write_json
from recgan.core.temporary import sweep
from recgan.data.collected import INDEX, WAITING
from recgan.data.forgotten import read_forgotten, write_forgotten
from recgan.data.impressions import FEEDBACK, FINISH, OPEN, SHOWN, files_of, logged, read_file
from recgan.data.impressions_database import database
from recgan.data.sources.csv_format import PLAIN, CsvFormat
from recgan.data.sources.own_files import OwnFilesSource
from recgan.forget.database import forget_in_database
from recgan.forget.found import Search, search
from recgan.forget.packages import forget_in, renew
from recgan.forget.rewrite import Orders, find_orders, without_rows, without_values
from recgan.forget.runs import forget_runs
from recgan.forget.search import occurrences
from recgan.forget.stores import RAW, replaced
from recgan.forget.wanted import Wanted
from recgan.newcomers.file import read_newcomers, write_newcomers
from recgan.serving.segments import finish_left
from recgan.settings import Params

log = logging.getLogger(__name__)

FINISH_SECONDS = 15.0
"""For servers to finish what they write: they look twice a second."""


def forget(root: Path, params: Params, people: Wanted, remember: bool = True) -> tuple[Search, Search]:
    """Take people out of every store, and return what a search finds before and afterwards.

    A kill leaves each file the old or the new one; the next call finishes.

    Args:
        root: the project.
        params: of it.
        people: as `whom` returns them.
        remember: keep their hashes, so that ingest leaves them out of the next export.

    Raises:
        RecganError: a file is damaged, or a server does not finish what it writes.
        Unavailable: the registry does not answer, or the database that servers log to.
    """
    root = root.resolve()
    with ExitStack() as locks:
        for lock in [root / layout.STAGES_LOCK, *sorted((root / layout.STATE / "worktrees").glob("*.lock"))]:
            locks.enter_context(alone(lock, "recgan forget", log.info))
        if remember:
            _remember(root, people)
        for path in set(replaced(root)):
            tidy(path)
        logged(root, params.register_.name)
        _finish_logs(root)
        found = search(root, params, people)
        _feedback_of(root, people)
        if (url := database()) is not None:
            forget_in_database(url, people)
        written = params.ingest.csv if isinstance(params.ingest, OwnFilesSource) else PLAIN
        _rows(found, params, people, written)
        md5s = _packages(root, found, people)
        forget_runs(root, found.runs, people)
        _newcomers(root, md5s)
        sweep()
        return found, search(root, params, people)


def _remember(root: Path, people: Wanted) -> None:
    path = root / layout.FORGOTTEN
    known = read_forgotten(path)
    new = known.with_people(people.ids)
    if new != known:
        write_forgotten(new, path)
    for copy in (root / layout.STATE / "worktrees").glob(f"*/{layout.FORGOTTEN}"):
        write_forgotten(new, copy)


# --- what servers log -----------------------------------------------------------------------------------


def _finish_logs(root: Path) -> None:
    """Have servers finish their files, and finish those that killed ones left.

    Raises:
        RecganError: a server does not.
    """
    tables = [path for path in (root / layout.IMPRESSIONS).glob("*/*") if path.is_dir()]
    if not any(path.suffix == OPEN for table in tables for path in files_of(table)):
        return
    began, waited = time.time(), time.monotonic()
    while True:
        for table in tables:
            (table / FINISH).touch()
            finish_left(table)
        left = [path for table in tables for path in files_of(table) if path.suffix == OPEN]
        old = [path for path in left if _made(path) < began]
        if not old:
            break
        if time.monotonic() - waited > FINISH_SECONDS:
            raise RecganError(
                f"{old[0]} is still written by a server that does not finish it; end that server "
                "(recgan serve), then run this again: nothing but forgotten.json is changed yet"
            )
        time.sleep(0.2)
    for table in tables:
        (table / FINISH).unlink(missing_ok=True)


def _made(path: Path) -> float:
    """Return the second in which a segment was begun, which its name says."""
    named = f"{path.parent.name.removeprefix('date=')} {path.name[:6]}"
    return datetime.strptime(named, "%Y-%m-%d %H%M%S").replace(tzinfo=UTC).timestamp()


def _feedback_of(root: Path, people: Wanted) -> None:
    """Take out what came of people's answers: it names the answer alone, so this comes before the answers."""
    ids = pa.array(sorted(people.ids), pa.string())
    requests = [
        read_file(path, SHOWN, ["request_id", "user_id"]).filter(pc.field("user_id").isin(ids))["request_id"]
        for table in (root / layout.IMPRESSIONS).glob("*/shown")
        for path in files_of(table)
    ]
    asked = pa.chunked_array([chunk for one in requests for chunk in one.chunks], pa.string())
    if not len(asked):
        return
    values = asked.unique()
    homes = [root, *(path for path in (root / layout.STATE / "worktrees").glob("*") if path.is_dir())]
    for home in homes:
        if (waiting := home / layout.FEEDBACK / WAITING).exists():
            without_values(waiting, "request_id", values)
    indexes = [home / layout.FEEDBACK / INDEX for home in homes]
    for table in (root / layout.IMPRESSIONS).glob("*/feedback"):
        for path in files_of(table):
            named = pc.is_in(read_file(path, FEEDBACK, ["request_id"])["request_id"], value_set=values)
            if path.suffix != OPEN and pc.any(named).as_py():
                for index in filter(Path.exists, indexes):
                    _read_less(index, f"{table.parent.name}/{path.parent.name}/{path.stem}", named)
                without_values(path, "request_id", values)


def _read_less(index: Path, name: str, named: pa.ChunkedArray) -> None:
    """Let a collecting that read some rows of a file know how many of them are left."""
    content = read_json(index)
    read = content["segments"].get(name)
    if read is not None:  # null is all of it
        content["segments"][name] = read - (pc.sum(named.slice(0, read)).as_py() or 0)
        write_json(index, content)


# --- files ----------------------------------------------------------------------------------------------


def _rows(found: Search, params: Params, people: Wanted, written: CsvFormat) -> None:
    """Take rows out, then remove what is removed whole: DVC may link the first into its cache."""
    holding = [place for store in found.stores for place in store.holding]
    rows = [place for place in holding if place.way == "rows"]
    orders = None
    fill = getattr(params.ingest, "fill_down", None)
    if fill is not None:
        orders = Orders(fill.order)
        for place in rows:
            if place.store.endswith(RAW) and place.path.suffix != ".parquet":
                find_orders(place.path, people, written, orders)
    for place in reversed(rows):  # the first row of an order, which names its shopper, comes last
        without_rows(place.path, people, written, orders)
    for entry in {place.entry for place in holding if place.way == "whole"}:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def _packages(root: Path, found: Search, people: Wanted) -> dict[str, str]:
    md5s: dict[str, str] = {}
    for package in found.packages:
        md5s |= forget_in(root, package, people)
    # Of a registration that was killed there may be a package without a version.
    for place in (place for store in found.stores for place in store.holding if place.way == "package"):
        if occurrences(place.path, people):
            renew(place.path.parent, people)
    return md5s


def _newcomers(root: Path, md5s: dict[str, str]) -> None:
    """Let files of new products go on to fit packages that were rewritten."""
    for path in (root / layout.RECOMMENDATIONS).glob("*.newcomers.safetensors"):
        new = read_newcomers(path)
        if (after := md5s.get(new.origin.package)) is not None:
            write_newcomers(replace(new, origin=replace(new.origin, package=after)), path)
