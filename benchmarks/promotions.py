"""Kill promotions, rollbacks and registrations at random moments: python benchmarks/promotions.py --runs 300.

Each run is a process of its own that has its imports behind it, works on a real SQLite store, and is killed
with -9 at a moment drawn over its work. After each kill `champion` must be the one before or the one that the
run was to make; then the same is asked for again, and aliases and tags must be those of an undisturbed run.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from recgan.core.environment import configure

configure()

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities.model_registry import ModelVersion  # noqa: E402

from recgan.core.errors import RecganError  # noqa: E402
from recgan.registry import promotion  # noqa: E402
from recgan.registry.by_hand import promote_by_hand  # noqa: E402
from recgan.registry.domain import Decision  # noqa: E402
from recgan.registry.enrol import enrol  # noqa: E402
from recgan.registry.promotion import Judgement  # noqa: E402
from recgan.registry.rollback import rollback  # noqa: E402
from recgan.registry.tracking import artifact_location, connect  # noqa: E402

DECISION = Decision(True, ("✓ better",))
State = tuple[dict[str, str], list[dict[str, str]], list[str]]


@dataclass(frozen=True)
class Numbers:
    """A domain whose versions have no package and answer whatever they are asked."""

    root: Path
    name: str
    retrain = "make run"
    command = "recgan"

    def tags(self, flow_run_id: str | None) -> dict[str, str]:
        return {"train_key": "4"}

    def package(self, client: MlflowClient, run_id: str, tags: dict[str, str]) -> Any:
        mlflow.log_param("seed", 4)
        model = mlflow.create_external_model(name="number", source_run_id=run_id)
        return SimpleNamespace(model_uri=f"models:/{model.model_id}")

    def basis(self) -> tuple[str, ...]:
        return ()

    def look(self, client: MlflowClient, version: str, champion: str | None) -> tuple[Decision, None]:
        return DECISION, None

    def page(self, version: ModelVersion, decision: Decision) -> None:
        return None

    def trial(self, model_uri: str) -> None:
        return None


def prepare(root: Path, name: str) -> None:
    """Version 1 came before the champion 2 and was withdrawn once; version 3 challenges."""
    client = connect(root)
    experiment = client.create_experiment(name, artifact_location(root, name))
    client.create_registered_model(name)
    for number in "123":
        run = client.create_run(experiment, tags={"train_key": number})
        client.set_terminated(run.info.run_id)
        client.create_model_version(name, "file:///nowhere", run.info.run_id, {"train_key": number})
    for alias, version in (("previous", "1"), ("champion", "2"), ("challenger", "3")):
        client.set_registered_model_alias(name, alias, version)
    client.set_model_version_tag(name, "1", "withdrawn.when", "long ago")


def state(root: Path, name: str) -> State:
    """Return the aliases, the tags of each version but for times, and a word for each run without an end."""
    client = connect(root)
    versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))
    tags = [{key: value for key, value in one.tags.items() if not key.endswith(".when")} for one in versions]
    aliases = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return aliases, tags, [run.info.status for run in runs if run.info.status == "RUNNING"]


def promote(root: Path, name: str) -> None:
    judgement = Judgement("2", DECISION, None, "tonight")
    promotion.promote(Numbers(root, name), "3", judgement)


def by_hand(root: Path, name: str) -> None:
    promote_by_hand(Numbers(root, name), "1", "the gate errs", "ada")


def back(root: Path, name: str) -> None:
    rollback(Numbers(root, name), "empty lists", "ada")


def register(root: Path, name: str) -> None:
    enrol(Numbers(root, name))


WORKS: dict[Callable[[Path, str], None], str] = {promote: "3", by_hand: "1", back: "1", register: "2"}
"""What is killed, and who is the champion after it."""


def start(work: Callable[[Path, str], None], root: Path, name: str) -> int:
    """Do it in a process of its own; return its id."""
    if pid := os.fork():
        return pid
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        work(root, name)
        os._exit(0)
    except BaseException:
        os._exit(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args()
    rng, counts, faults = np.random.default_rng(0), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        root = Path(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root}/mlflow.db"
        expected, seconds = {}, {}
        for work in WORKS:
            name = f"undisturbed-{work.__name__}"
            prepare(root, name)
            begin = time.perf_counter()
            assert os.waitpid(start(work, root, name), 0)[1] == 0, name
            seconds[work] = time.perf_counter() - begin
            expected[work] = state(root, name)
        for number in range(options.runs):
            work = list(WORKS)[number % len(WORKS)]
            name = f"{work.__name__}-{number}"
            prepare(root, name)
            pid = start(work, root, name)
            time.sleep(rng.uniform(0, 1.1 * seconds[work]))
            os.kill(pid, signal.SIGKILL)
            killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
            # The machine is more or less busy than it was.
            seconds[work] *= 1.04 if killed else 0.85
            aliases = state(root, name)[0]
            counts[f"{work.__name__}: {'killed' if killed else 'ended before the kill'}"] += 1
            counts["killed with the champion moved"] += killed and aliases["champion"] == WORKS[work] != "2"
            counts["killed between the aliases"] += (
                killed and aliases != expected[work][0] and (aliases["champion"] == WORKS[work] != "2")
            )
            if aliases["champion"] not in ("2", WORKS[work]):
                faults.append(f"{name}: the champion is {aliases['champion']}")
            try:
                work(root, name)
            except RecganError as error:
                if "no version before" not in str(error) and "champion already" not in str(error):
                    faults.append(f"{name}: {error}")
            if (found := state(root, name)) != expected[work]:
                faults.append(f"{name}: {found} instead of {expected[work]}")
            print(f"run {number + 1}: {dict(counts)}, {len(faults)} faults", flush=True)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}: {options.runs} runs; {dict(counts)}; {len(faults)} faults "
        f"{faults[:3]}"
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
