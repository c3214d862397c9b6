"""Which source files a module's result depends on: what it imports, and what that imports, to the end."""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent

WITHOUT_RESULTS: Mapping[str, str] = {
    "recgan.core.sections": "checks values that DVC compares itself, section by section",
    "recgan.core.yaml12": "reads values that DVC compares itself",
    "recgan.core.errors": "how a failure is shown",
    "recgan.core.quiet": "what a log leaves out",
    "recgan.core.files": "how a result is put in its place",
    "recgan.core.memory": "refuses what does not fit, or spills it to disk",
    "recgan.core.addresses": "refuses an address before anybody asks there",
    "recgan.core.layout": "where results lie",
    "recgan.data.sources.catalogue": "names the sources, of all of which ingest depends",
    "recgan.recommenders.catalogue": "names the recommenders, of which each stage names its own",
    "recgan.recommenders.skipped": "names what failed, and why",
    "recgan.core.processes": "which processes end with which",
    "recgan.core.temporary": "where what is spilled lies, until it is removed",
    "recgan.core.closure": "names checkpoints by the code that made them",
}
"""Modules whose changes make no other numbers, with the reason; whatever they import alone counts no more."""

SETTINGS = ".settings"
"""So end the modules of settings, which check values that DVC compares itself, section by section."""


def sources(module: str) -> list[Path]:
    """Return the files that decide what a module of recgan does: Python, and what it names beside itself.

    Imports inside functions count; those for types alone, packages that hold only their docstring, and the
    modules of `WITHOUT_RESULTS` do not.

    Args:
        module: such as recgan.recommenders.train.
    """
    found: dict[str, frozenset[Path]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name in WITHOUT_RESULTS or name.endswith(SETTINGS):
            continue
        found[name], needed = _read(name)
        waiting += needed
    return sorted(frozenset().union(*found.values()))


@cache  # each training names its checkpoints by the code, which a process has as it began
def _read(name: str) -> tuple[frozenset[Path], tuple[str, ...]]:
    """Return the files of a module, and the modules that it needs."""
    path = _path(name)
    body = ast.parse(path.read_text(encoding="utf-8"))
    above = filter(None, [name.rpartition(".")[0]])
    return frozenset(_files(body, path)), (*imports(body, name, path), *above)


def digest(module: str) -> str:
    """Return the sha256 of all that decides what a module of recgan does, by name and content."""
    content = hashlib.sha256()
    for path in sources(module):
        content.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


def name_by(parts: Iterable[str], modules: Iterable[str]) -> str:
    """Return a short name for what these parts and the code of these modules decide."""
    all_parts = [*parts, *(digest(module) for module in modules)]
    return hashlib.sha256("\0".join(all_parts).encode()).hexdigest()[:16]


def _path(name: str) -> Path:
    place = ROOT.parent.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _files(body: ast.Module, path: Path) -> set[Path]:
    """Return a module's file, unless a package's holds only a docstring, and the files it names beside."""
    rest = body.body[1:] if ast.get_docstring(body) is not None else body.body
    own = {path} if rest or path.name != "__init__.py" else set()
    texts = (node.value for node in ast.walk(body) if isinstance(node, ast.Constant))
    named = {text for text in texts if isinstance(text, str) and "." in text and len(text) < 100}
    return own | {path.parent / name for name in named if (path.parent / name).is_file()}


def imports(body: ast.AST, name: str, path: Path) -> Iterator[str]:
    """Yield the modules of recgan that a module imports, wherever it does."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.iter_child_nodes(body):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            if _is_ours(base):
                yield base
                yield from (one for one in (f"{base}.{alias.name}" for alias in node.names) if _is_ours(one))
        yield from imports(node, name, path)


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == ROOT.name and _path(name).is_file()
