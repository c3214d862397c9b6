"""Print the rooms of src/recgan: how large they are, and which rooms each imports.

    python benchmarks/house.py

A room is a folder, or a file beside the folders. Imports inside functions count; those for types do not.
"""

import ast
from collections import defaultdict
from pathlib import Path
from statistics import median

from recgan.core import closure

LARGEST = 300
"""Lines that no file may exceed."""


def room(path: Path) -> str:
    """Return the room of a file."""
    return path.relative_to(closure.ROOT).parts[0].removesuffix(".py")


def lines(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def files() -> list[Path]:
    """Return every module; the files __init__.py hold no more than a docstring."""
    return sorted(path for path in closure.ROOT.rglob("*.py") if path.name != "__init__.py")


def imports() -> dict[str, set[str]]:
    """Return each room → the other rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in files():
        module = ".".join([closure.ROOT.name, *path.relative_to(closure.ROOT).with_suffix("").parts])
        for name in closure.imports(ast.parse(path.read_text(encoding="utf-8")), module, path):
            parts = name.split(".")
            if len(parts) > 1 and parts[1] != room(path):
                found[room(path)].add(parts[1])
    return found


def main() -> None:
    """Print the rooms as a table, then the median and the largest files."""
    sizes = {path: lines(path) for path in files()}
    known = imports()
    print("| room | files | lines | largest | imports |")
    print("|---|---:|---:|---:|---|")
    for name in sorted({room(path) for path in sizes}, key=lambda name: (len(known[name]), name)):
        own = [size for path, size in sizes.items() if room(path) == name]
        below = ", ".join(sorted(known[name])) or "none"
        print(f"| {name} | {len(own)} | {sum(own):,} | {max(own)} | {below} |")
    print(f"\n{len(sizes)} files, {sum(sizes.values()):,} lines, median {median(sizes.values()):.0f}")
    for path in sorted(sizes, key=lambda path: -sizes[path])[:5]:
        print(f"{sizes[path]:5} {path.relative_to(closure.ROOT)}")


if __name__ == "__main__":
    main()
