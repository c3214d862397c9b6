"""What is said of a search, and what is left to do by hand."""

import subprocess
import sys
from pathlib import Path

from recgan.core import layout
from recgan.forget.found import Search

_WAYS = {
    "rows": "their rows are taken out",
    "whole": "removed whole; the next night makes it anew",
    "package": "their stored history is taken out; servers load the version again",
    "named": "NOT removed: see below",
}


def as_text(found: Search, root: Path, *, planned: bool) -> str:
    """Say store by store what was found, and what is or would be done with it."""
    lines = []
    for store in found.stores:
        state = f"found {store.found:,} times" if store.found else "not found"
        lines.append(f"{store.name}: {state} ({store.files:,} searched)")
        if store.problem:
            lines.append(f"  not searched whole: {store.problem}")
        lines += [f"  {line}" for line in store.told]
        if planned or store.found:
            for entry in dict.fromkeys((one.entry, one.way) for one in store.holding):
                shown = (
                    entry[0].relative_to(root.resolve())
                    if entry[0].is_relative_to(root.resolve())
                    else entry[0]
                )
                lines.append(f"  {shown}" + (f": {_WAYS[entry[1]]}" if planned else ""))
    return "\n".join(lines)


def _remote(root: Path) -> str:
    """Return the name of the DVC remote; empty where there is none."""
    command = [sys.executable, "-m", "dvc", "config", "core.remote"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()


def not_searched(root: Path) -> str:
    """Name the places that no command of this project can search."""
    remote = _remote(root)
    places = [
        *([f"the DVC remote {remote}"] if remote else []),
        "logged models that were deleted in a tracking store elsewhere (until mlflow gc)",
        "backups",
        "what models have learned",
    ]
    return f"Not searched, as no command can: {', '.join(places)}."


def by_hand(root: Path) -> str:
    """Say what no command of this project can remove at once, each with the command that does."""
    remote = _remote(root)
    lines = [
        "What remains, and what removes it:",
        f"  forgotten.json is part of the project: git add {layout.FORGOTTEN} && git commit",
        "  what models have learned of them, and reports: make run (the next night), then a promotion",
        "  older versions that still have learned of them: delete them (make ui, then mlflow gc)",
        "  what is NOT removed of runs, logged models and the registry: what its line says",
        "  logged models that were deleted in MLflow: mlflow gc",
    ]
    if any((root / "raw").glob("*.dvc")):
        lines.append("  raw files that DVC tracks and that were changed: dvc commit --force raw/NAME.dvc")
    if remote:
        lines.append(
            f"  the DVC remote {remote}: make run, then dvc gc --workspace --cloud --force; it keeps what "
            "this clone's dvc.lock names, so name other clones with --projects"
        )
    lines += [
        "  git's history, where the log or metrics were committed: git filter-repo --replace-text FILE",
        "  backups of the log, of the registry's database and of its files: by whoever makes them",
        "  a server's memory: gone with its next look at the registry (--poll-seconds)",
    ]
    return "\n".join(lines)
