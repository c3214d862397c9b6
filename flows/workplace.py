"""Where a scheduled run works: a git worktree of its own, on the project's DVC cache."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.yaml12 import read_yaml
from recgan.registry.tracking import tracking_uri

PLACES = Path(".recgan/worktrees")


def prepare(root: Path, name: str, ref: str) -> Path:
    """Bring the worktree of a deployment to a commit and return its folder.

    A person's `dvc repro` in the project and a scheduled run in here disturb neither each other's files nor
    DVC's locks. Each finds in the cache what the other has computed. The worktree stays from run to run, and
    with it dvc.lock, so that an unchanged stage is not computed again. Files that git does not hold, such as
    those in raw/, are linked into it. What is published goes to the project's own folder, and what servers
    logged and the rules of the shop are read there. All of these are absolute paths. So a project that was
    moved or copied gets them anew: otherwise a copy's run would work in the original.

    Args:
        root: the project, the top folder of a git repository.
        name: of the deployment; runs of one name must not overlap.
        ref: the commit, branch or tag whose code and parameters are used.

    Raises:
        RecganError: the project is no git repository, or has no such commit.
    """
    root = root.resolve()
    place = place_of(root, name)
    commit = _git(root, "rev-parse", "--verify", f"{ref}^{{commit}}").strip()
    if place.exists():
        _take_over(root, place)
        _git(place, "checkout", "--quiet", "--detach", "--force", commit)
    else:
        _git(root, "worktree", "prune")
        _git(root, "worktree", "add", "--quiet", "--force", "--detach", str(place), commit)
    config = place / ".dvc" / "config.local"
    if (root / ".dvc/config.local").exists():
        shutil.copy(root / ".dvc/config.local", config)
    cache = _dvc(root, "cache", "dir").strip()
    _dvc(place, "config", "--local", "cache.dir", cache)
    try:
        raw = Path(read_yaml(place / "params.yaml")["ingest"]["path"])
    except (FileNotFoundError, KeyError, TypeError):
        raise RecganError(f"params.yaml as of {ref} does not say ingest.path; commit one that does") from None
    _lend(root, place, raw)
    if (root / layout.FORGOTTEN).exists():  # whoever is forgotten does not wait for a commit
        shutil.copy(root / layout.FORGOTTEN, place / layout.FORGOTTEN)
    for shared in (layout.RECOMMENDATIONS, layout.IMPRESSIONS, layout.RULES):
        here = place / shared
        if here.is_symlink() and here.resolve() != (root / shared).resolve():
            here.unlink()
        if not here.is_symlink():
            (root / shared).mkdir(exist_ok=True)
            here.symlink_to(root / shared)
    return place


def _take_over(root: Path, place: Path) -> None:
    """Let a worktree that came along with a moved or copied project belong to this project's repository."""
    common = Path(_git(root, "rev-parse", "--path-format=absolute", "--git-common-dir").strip())
    link = place / ".git"
    named = Path(link.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
    own = common / "worktrees" / named.name
    if named.resolve() == own.resolve():
        return
    if own.is_dir():
        link.write_text(f"gitdir: {own}\n", encoding="utf-8")
        (own / "gitdir").write_text(f"{link}\n", encoding="utf-8")
    else:  # git has forgotten it
        shutil.rmtree(place)
        _git(root, "worktree", "add", "--quiet", "--force", "--detach", str(place), "HEAD")


def place_of(root: Path, name: str) -> Path:
    """Return the folder of a deployment's worktree."""
    return root.resolve() / PLACES / name


def lock_of(place: Path) -> Path:
    """Return the lock of the stages in a folder; a worktree's lies beside it, since it is there before it."""
    place = place.resolve()
    if place.parent.parts[-len(PLACES.parts) :] == PLACES.parts:
        return place.with_name(f"{place.name}.lock")
    return place / layout.STAGES_LOCK


def keep_the_registry(root: Path) -> None:
    """Hold on to the project's registry while the work is done in another folder."""
    os.environ["MLFLOW_TRACKING_URI"] = tracking_uri(root)


def end_with_worker(seconds: float = 1) -> None:
    """End a flow run that a worker started as soon as that worker is gone.

    A worker that is killed leaves its flow runs behind, which the next worker knows nothing of. SIGTERM
    lets Prefect report the run as crashed, and its stage be stopped.

    Args:
        seconds: between two looks.
    """
    if "PREFECT__FLOW_RUN_ID" not in os.environ:  # what a worker gives to its child
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _lend(root: Path, place: Path, path: Path) -> None:
    """Link what lies at a path of the project, and git does not hold, into the worktree."""
    if path.is_absolute():
        return
    source, target = root / path, place / path
    if source.is_dir() and target.is_dir() and not target.is_symlink():
        for link in (entry for entry in target.iterdir() if entry.is_symlink()):
            if not link.exists() or link.resolve() != (source / link.name).resolve():
                link.unlink()
        for entry in source.iterdir():
            if not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry.resolve())
        return
    if target.is_symlink() and target.resolve() != source.resolve():
        target.unlink()
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.resolve())


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, "git", *arguments)


def _dvc(folder: Path, *arguments: str) -> str:
    return _run(folder, sys.executable, "-m", "dvc", *arguments)


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise RecganError(
            f"no worktree of {folder} for a scheduled run: `{' '.join(command[-4:])}` said: {said}; "
            "scheduled runs need a git repository with the commit that the parameter `ref` names"
        )
    return done.stdout
