"""Every place of a project where a person may stand, and what is done with a file there."""

import os
import re
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recgan.core import layout
from recgan.package.shoppers import SHOPPERS

Way = Literal["rows", "whole", "package", "named"]
"""What is done: rows are taken out; the entry is removed, and the next night makes it anew; packages are
rewritten; or the place is only named."""

_CODE = {
    ".git",
    ".github",
    ".venv",
    "__pycache__",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
}
_ROWS = (
    layout.FEEDBACK,
    layout.INGESTED,
    layout.KEPT,
    layout.SCREENED,
    layout.IMPRESSIONS,
    layout.RECOMMENDATIONS,
)
_WHOLE_FOLDERS = (layout.FEATURES, layout.START, layout.REPLICATIONS, layout.EVALUATION)
_WHOLE_ENTRIES = (layout.MODELS, layout.CHECKPOINTS, layout.METRICS, layout.REPORTS, layout.TUNING)
_WORKTREES = layout.STATE / "worktrees"
_ARTIFACTS = Path("mlartifacts")
_CACHE = Path(".dvc")
_SIMULATED = ("live",)
"""Projects of simulated shops, whose shoppers are nobody."""
_HOLDER = re.compile(r"\.(.+)\.\w{8}\.tmp")
RAW, CACHE = "raw files", "DVC's cache"


@dataclass(frozen=True)
class Place:
    """A file that is searched."""

    path: Path
    store: str
    """What the reports call the place."""
    way: Way
    entry: Path
    """What is removed where that is the way: the file, or a folder that is worth nothing without it."""


def places(root: Path, raw: Path, own: bool) -> Iterator[Place]:
    """Yield every file of a project that may name a person; neither its code nor its documents.

    Args:
        root: the project.
        raw: where the source's files lie, inside the project or elsewhere.
        own: they are the shop's own export, whose rows may be taken out.
    """
    root = root.resolve()
    way: Way = "rows" if own else "named"
    code = _tracked(root)
    for home in (root / _WORKTREES).glob("*"):
        code |= {home.relative_to(root) / one for one in _tracked(home)}
    for path in _files(root):
        relative = path.relative_to(root)
        # A link to another place of the project is that place; DVC may link what it keeps in its cache.
        linked = path.is_symlink() and path.resolve().is_relative_to(root)
        if relative in code or (linked and not path.resolve().is_relative_to(root / _CACHE)):
            continue
        if relative.parts[0] in _SIMULATED:
            continue
        found = _place(root, relative)
        yield replace(found, way=way) if found.store.endswith(RAW) else found
    if not raw.resolve().is_relative_to(root):
        yield from (Place(path, RAW, way, path) for path in _files(raw.resolve()))
    if (cache := _cache(root)) is not None and not cache.is_relative_to(root):
        yield from (Place(path, CACHE, "whole", path) for path in _files(cache))


def _files(top: Path) -> Iterator[Path]:
    if top.is_file():
        yield top
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(one for one in folders if one not in _CODE)
        yield from (Path(folder) / name for name in sorted(files))


def replaced(root: Path) -> Iterator[Path]:
    """Yield what was being replaced when a process was killed, or is being replaced now."""
    for folder, folders, _ in os.walk(root):
        folders[:] = [one for one in folders if one not in _CODE]
        for name in folders:
            if found := _HOLDER.fullmatch(name):
                yield Path(folder) / found[1]


def _place(base: Path, relative: Path, prefix: str = "") -> Place:
    path, top = base / relative, relative.parts[0]
    for number, part in enumerate(relative.parts):  # what a killed run left beside an output
        if part.startswith(".") and part.endswith((".tmp", ".parts")):
            return Place(
                path, f"{prefix}unfinished files", "whole", base.joinpath(*relative.parts[: number + 1])
            )
    if relative.is_relative_to(_WORKTREES) and len(relative.parts) > 3:
        name = relative.parts[2]
        own = Path(*relative.parts[:3])
        return _place(base / own, relative.relative_to(own), f"worktree {name}: ")
    for folder in _ROWS:
        if relative.is_relative_to(folder):
            return Place(path, f"{prefix}{folder}", "rows", path)
    for folder in _WHOLE_FOLDERS:
        if relative.is_relative_to(folder):
            return Place(path, f"{prefix}{folder}", "whole", base / folder)
    for folder in _WHOLE_ENTRIES:
        if relative.is_relative_to(folder):
            return Place(
                path, f"{prefix}{folder}", "whole", base.joinpath(*relative.parts[: len(folder.parts) + 1])
            )
    if top == "raw":
        return Place(path, f"{prefix}{RAW}", "rows", path)
    if relative.is_relative_to(_ARTIFACTS):
        return _artifact(base, relative)
    if relative.is_relative_to(_CACHE / "cache") or relative.is_relative_to(_CACHE / "tmp"):
        return Place(path, f"{prefix}{CACHE}", "whole", path)
    if relative == layout.VERDICT:
        return Place(path, f"{prefix}{layout.STATE}", "whole", path)
    store = (
        "databases" if path.suffix in (".db", ".sqlite") or ".db-" in path.name else f"{prefix}other files"
    )
    return Place(path, store, "named", path)


def _artifact(base: Path, relative: Path) -> Place:
    """Return the place of a file of MLflow's: of a package, which goes on serving, or of a run."""
    path = base / relative
    if relative.name == SHOPPERS:
        return Place(path, "packages", "package", path)
    if any(part.startswith("m-") for part in relative.parts[:-1]):
        return Place(path, "packages", "named", path)
    if layout.WARM in relative.parts:
        until = relative.parts.index(layout.WARM) + 1
        return Place(path, "artifacts of runs", "whole", base.joinpath(*relative.parts[:until]))
    return Place(path, "artifacts of runs", "whole", path)


def _cache(root: Path) -> Path | None:
    """Return where DVC keeps its cache, as the project's settings say; None where they do not."""
    told = ConfigParser()
    told.read([root / _CACHE / "config", root / _CACHE / "config.local"], encoding="utf-8")
    where = told.get("cache", "dir", fallback=None)
    return None if where is None else (root / _CACHE / where).resolve()


def _tracked(root: Path) -> set[Path]:
    """Return the files that git holds and that are neither data nor settings."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    named = [Path(os.fsdecode(one)) for one in done.stdout.split(b"\0") if one]
    kept = ("raw", str(layout.METRICS), str(layout.PARAMS), *map(str, _ROWS))
    return {one for one in named if not any(one.is_relative_to(other) for other in kept)}
