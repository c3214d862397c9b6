"""A small shop for flows, and a project in which `make run` has made its first champion."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import yaml

from recgan.registry.relocation import relocate
from tests.conftest import ROOT
from tests.flows.github import lend_environment

EASE = {"recommender": "ease", "l2": [100], "half_life_days": [None]}
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|text)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FIRST_COMMAND = BLOCKS[0][1]
SMALL = {
    "ingest.events": 20000,
    "ingest.fakes.share": 0,
    "features.split": {"kind": "time", "validation_days": 30, "test_days": 30},
    "evaluate.bootstrap_samples": 1000,
}
"""What differs from examples/shop.yaml: so few events need longer windows."""


class Finished(NamedTuple):
    """A clone in which a command has run, and what that printed."""

    folder: Path
    said: str
    complained: str


def change(path: Path, values: dict[str, object]) -> None:
    """Change numbers of a params file by their names, such as evaluate.k."""
    content = yaml.safe_load(path.read_text())
    for name, value in values.items():
        *sections, last = name.split(".")
        place = content
        for section in sections:
            place = place[section]
        place[last] = value
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def git(folder: Path, *arguments: str) -> str:
    """Run git, and return what it prints."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, message: str) -> None:
    """Commit all that git does not ignore."""
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)


def candidates() -> dict[str, object]:
    """Return one candidate of each kind of training, and one that this machine has no GPU for."""
    shop = yaml.safe_load((ROOT / "examples/shop.yaml").read_text())["candidates"]
    few = {"epochs": 2, "evaluate_every": 1, "half_life_days": [None], "critic_shares": [0.5]}
    ials = {"factors": [16], "regularization": [20], "alpha": [4], "half_life_days": [None]}
    two_stage = {"generator": {**shop["two_stage"]["generator"], **ials}, "blend": [EASE], "windows": 2}
    sides = {side: {**shop["rcgan"][side], "hidden": [32]} for side in ("generator", "critic")}
    rcgan = {**shop["rcgan"], **few, **sides}
    return {
        "ease": EASE,
        "rcgan": rcgan,
        "on_gpu": {**rcgan, "trainer": {**rcgan["trainer"], "accelerator": "gpu"}},
        "two_stage": {**shop["two_stage"], **two_stage, "l2": [0.01], "epochs": 4},
    }


def typed(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run what a person types in a clone, whose environment has no word of this process's servers."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    environment = kept | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def first_run(folder: Path, command: str, prefect: Path, mlflow: Path) -> tuple[str, str]:
    """Clone the project, give it the small shop, type a command, and return what it says and complains of.

    Args:
        folder: to be made.
        command: of README.
        prefect: Prefect's empty tables, which take seconds to make.
        mlflow: MLflow's.
    """
    git(ROOT, "clone", "-q", str(ROOT), str(folder))
    lend_environment(folder)
    change(folder / "params.yaml", {**SMALL, "candidates": candidates()})
    commit(folder, "A small shop")
    home = folder / ".recgan/prefect"
    home.mkdir(parents=True)
    shutil.copy(prefect, home / "prefect.db")
    shutil.copy(mlflow, folder / "mlflow.db")
    done = typed(folder, command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, done.stderr


def copy_of(finished: Finished, folder: Path) -> Path:
    """Copy a finished project, whose registry then has its files there."""
    shutil.copytree(finished.folder, folder, symlinks=True, dirs_exist_ok=True)
    relocate(folder / "mlflow.db")
    return folder
