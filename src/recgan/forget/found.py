"""Where people stand in a project: every file is searched, the registry and git's history."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError, Unavailable
from recgan.data.impressions_database import TABLES, database
from recgan.data.sources.own_files import OwnFilesSource
from recgan.forget.database import count_in_database
from recgan.forget.packages import Package, count_in, is_begun, packages
from recgan.forget.runs import Naming, runs_naming
from recgan.forget.search import occurrences
from recgan.forget.stores import Place, places
from recgan.forget.wanted import Wanted, wanted
from recgan.settings import Params


@dataclass(frozen=True)
class Store:
    """What the search of a store found."""

    name: str
    files: int
    """That were searched."""
    holding: tuple[Place, ...]
    """Files that name people."""
    found: int
    """How often they do."""
    problem: str | None = None
    """Why it could not be searched; None where it was."""
    told: tuple[str, ...] = ()
    """What else is to be said of it, a line each."""


@dataclass(frozen=True)
class Search:
    """What the search of a project found."""

    stores: tuple[Store, ...]
    packages: tuple[Package, ...]
    """Versions that name people, or whose rewriting was killed."""
    runs: tuple[Naming, ...] = ()
    """Parts of runs, of logged models and of the registry in a store elsewhere that name people."""

    @property
    def found(self) -> int:
        """How often people are named in all."""
        return sum(store.found for store in self.stores)

    @property
    def unsearched(self) -> bool:
        """Whether some store could not be searched whole."""
        return any(store.problem for store in self.stores)


def whom(params: Params, ids: Iterable[str]) -> Wanted:
    """Return what is searched for in a project.

    Raises:
        RecganError: no id is given.
    """
    columns: set[str] = set()
    encoding, delimiter = "utf-8", ","
    if isinstance(params.ingest, OwnFilesSource):
        mapped = (params.ingest.columns, params.ingest.user_columns)
        columns = {one["user_id"] for one in mapped if "user_id" in one}
        encoding, delimiter = params.ingest.csv.encoding, params.ingest.csv.delimiter
    found = wanted(ids, columns, encoding, delimiter)
    if not found.ids:
        raise RecganError("whom to forget? give at least one id that is not blank")
    return found


def search(root: Path, params: Params, people: Wanted) -> Search:
    """Look for people in every file of a project, in its registry and in git's history.

    Args:
        root: the project.
        params: of it.
        people: as `whom` returns them.
    """
    files: dict[str, int] = {}
    found: dict[str, int] = {}
    holding: dict[str, list[Place]] = {}
    problems: dict[str, str] = {}
    own = isinstance(params.ingest, OwnFilesSource)
    for place in places(root, root / params.ingest.path, own):
        files[place.store] = files.get(place.store, 0) + 1
        try:
            count = occurrences(place.path, people)
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            problems[place.store] = f"{place.path} cannot be read ({error}); remove it, or mend it"
            continue
        if count:
            found[place.store] = found.get(place.store, 0) + count
            holding.setdefault(place.store, []).append(place)
    stores = [
        Store(name, files[name], tuple(holding.get(name, ())), found.get(name, 0), problems.get(name))
        for name in sorted(files)
    ]
    versions, registry = _in_registry(root, params.register_.name, people)
    naming, runs = _in_runs(root, params.register_.name, people)
    others = (*_in_database(people), registry, *runs, *_in_history(root, people))
    return Search((*stores, *others), versions, naming)


def _in_database(people: Wanted) -> list[Store]:
    name = "log of answers in PostgreSQL"
    try:
        url = database()
        return [] if url is None else [Store(name, len(TABLES), (), count_in_database(url, people))]
    except RecganError as error:
        return [Store(name, 0, (), 0, str(error))]


def _in_registry(root: Path, name: str, people: Wanted) -> tuple[tuple[Package, ...], Store]:
    try:
        known = packages(root, name)
        counts = [count_in(package, people) for package in known]
    except (RecganError, Unavailable, MlflowException) as error:
        return (), Store("registered versions", 0, (), 0, str(error))
    named = tuple(one for one, count in zip(known, counts, strict=True) if count or is_begun(one))
    # What lies in the project is counted by its files already.
    elsewhere = sum(
        count
        for one, count in zip(known, counts, strict=True)
        if one.artifacts is None or not one.artifacts.resolve().is_relative_to(root.resolve())
    )
    return named, Store("registered versions", len(known), (), elsewhere)


def _in_runs(root: Path, name: str, people: Wanted) -> tuple[tuple[Naming, ...], list[Store]]:
    try:
        kinds = runs_naming(root, name, people)
    except (RecganError, Unavailable, MlflowException) as error:
        return (), [Store("runs and logged models of the tracking store", 0, (), 0, str(error))]
    stores = []
    for kind in kinds:
        if kind.count:  # otherwise there are none, or their files are the project's and were searched
            told = tuple(one.text for one in kind.found)
            found = sum(one.found for one in kind.found)
            stores.append(Store(kind.title, kind.count, (), found, told=told))
    return tuple(one for kind in kinds for one in kind.found), stores


def _in_history(root: Path, people: Wanted) -> list[Store]:
    """Count the commits that brought or removed a person, of what git holds of data."""
    if not people.distinctive or not (root / ".git").exists():
        return []
    commits: set[str] = set()
    for one in people.distinctive:
        command = ["git", "log", "--all", "--format=%H", f"-S{one}", "--", "raw", "metrics", "params.yaml"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        commits |= set(done.stdout.split())
    return [Store("git's history", 1, (), len(commits))]
