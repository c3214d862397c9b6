"""Run DVC stages as children that never outlive the flow run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

from flows.dvc_locks import drop_dead, holder
from recgan.core import layout
from recgan.core.errors import RecganError, Unavailable
from recgan.core.yaml12 import read_yaml

_LOOKS_EVERY = 2.0  # seconds, while another DVC command holds what a stage needs
_GUARD = Path(__file__).with_name("guard.py")


class Outcome(StrEnum):
    """What DVC did with a stage."""

    RAN = "ran"
    UNCHANGED = "unchanged"


_HINTS = (
    "To track the changes with git, run:",
    "git add ",
    "To enable auto staging, run:",
    "dvc config core.autostage",
    "Use `dvc push`",
)
"""What DVC tells a person after every stage; in a flow run's log it buries the rest."""


def stage_order(root: Path, file: str = "dvc.yaml") -> dict[str, list[str]]:
    """Read the stages from dvc.yaml with those whose outputs each depends on, which come before it.

    Raises:
        RecganError: dvc.yaml is missing or its stages depend on each other in a circle.
    """
    try:
        stages = dict(_expanded(read_yaml(root / file)["stages"], root))
    except FileNotFoundError:
        raise RecganError(
            f"no {file} in {root.resolve()}; run the flow from the root of the project"
        ) from None
    except KeyError:
        raise RecganError(f"{root / file} has no stages; restore it with `git checkout {file}`") from None
    maker = {
        path: name
        for name, stage in stages.items()
        for path in _paths(stage.get("outs", []) + stage.get("metrics", []))
    }
    needs = {
        name: sorted(
            {
                of
                for path in _paths(stage.get("deps", []))
                for out, of in maker.items()
                if out == path or out.startswith(f"{path}/")
            }
        )
        for name, stage in stages.items()
    }
    try:
        return {name: needs[name] for name in TopologicalSorter(needs).static_order()}
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise RecganError(f"{file}: the stages {circle} depend on each other; break the circle") from None


def _expanded(stages: dict[str, Any], root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each stage by its name; one with `foreach` over a table of params.yaml is one for each entry."""
    for name, stage in stages.items():
        if "foreach" not in stage:
            yield name, stage
            continue
        table = read_yaml(root / layout.PARAMS)[stage["foreach"].removeprefix("${").removesuffix("}")]
        for key in table:
            yield f"{name}@{key}", json.loads(json.dumps(stage["do"]).replace("${key}", key))


def _paths(entries: list[str | dict[str, object]]) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def run_in_order(stages: Mapping[str, list[str]], run: Callable[[str, list[Any]], Any]) -> list[Any]:
    """Run stages one after the other, and return their states; what failed is raised.

    Args:
        stages: as `stage_order` returns them.
        run: a stage's task, told the states of those that it depends on, for Prefect's graph.
    """
    states: dict[str, Any] = {}
    for stage, needs in stages.items():
        states[stage] = run(stage, [states[one] for one in needs])
        states[stage].result()  # raises what failed
    return list(states.values())


def run_stage(
    stage: str,
    root: Path,
    on_line: Callable[[str], None],
    variables: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Outcome:
    """Bring one stage up to date with `dvc repro --single-item`, handing on each line it prints.

    It waits while another DVC command, of a person or of another flow, holds the same files. A stage of
    another file than dvc.yaml is named with it: images/dvc.yaml:train.

    Args:
        stage: its name.
        root: the project.
        on_line: is given each line.
        variables: of the stage's environment, beside this process's own.
        force: run it though nothing has changed.

    Raises:
        RecganError: the stage failed; the message is what it said.
    """
    told = _before_its_error(on_line)
    waits_for = None
    command = ["repro", "--single-item", *(["--force"] if force else []), stage]
    while True:
        code, said = run_dvc(command, root, told, variables)
        busy = holder(said) if code != 0 else None
        if busy is None:
            break
        if busy != waits_for:
            on_line(f"{stage} waits for {busy} to end in {root.resolve()}")
        waits_for = busy
        time.sleep(_LOOKS_EVERY)
        drop_dead(root)
    if code != 0:
        raise RecganError(_failure(stage, code, said))
    unchanged = any("didn't change, skipping" in line for line in said)
    return Outcome.UNCHANGED if unchanged else Outcome.RAN


def _before_its_error(on_line: Callable[[str], None]) -> Callable[[str], None]:
    """Hand on a stage's lines up to its error, which is what `run_stage` raises: nobody reads it twice."""
    failed = False

    def told(line: str) -> None:
        nonlocal failed
        failed = failed or line.startswith(("error: ", "ERROR: "))
        if not failed:
            on_line(line)

    return told


def push_cache(root: Path, on_line: Callable[[str], None]) -> bool:
    """Send what dvc.lock names to the default DVC remote; return False where none is configured.

    Raises:
        Unavailable: the remote does not take it.
    """
    code, said = run_dvc(["config", "core.remote"], root, lambda _: None)
    if code != 0 or not said:
        return False
    code, said = run_dvc(["push"], root, on_line)
    if code != 0:
        raise Unavailable("dvc push failed:\n" + "\n".join(said[-5:]))
    return True


def run_dvc(
    arguments: list[str],
    root: Path,
    on_line: Callable[[str], None],
    variables: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Run a DVC command, handing on each line it prints; return its exit code and all lines.

    The child runs in its own session. Its whole group is killed when this function is left in any way. A
    killed dvc leaves the stage's own process running, and a timeout does not interrupt `subprocess.run`.
    Should this process be killed itself, the child's guard sees the pipe close and does the same.
    """
    environment = (
        os.environ
        | dict(variables or {})
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            # The stages of a worktree run its own code, whatever is installed.
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str((root / "src").resolve()), os.environ.get("PYTHONPATH")])
            ),
        }
    )
    child = subprocess.Popen(
        [sys.executable, str(_GUARD), sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    lines: Queue[str | None] = Queue()
    reader = Thread(target=_forward, args=(child.stdout, lines), daemon=True)
    reader.start()
    said: list[str] = []
    try:
        while True:
            try:
                line = lines.get(timeout=0.2)
            except Empty:
                if child.poll() is not None:  # a killed dvc leaves its stage, which keeps the pipe open
                    _kill(child)
                continue  # a place where a timeout or a cancellation can be raised
            if line is None:
                break
            said.append(line)
            if not line.strip().startswith(_HINTS):
                on_line(line)
        return child.wait(), said
    finally:
        _kill(child)
        child.wait()
        reader.join()
        child.stdout.close()
        child.stdin.close()


def _kill(child: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _forward(output: IO[str], lines: "Queue[str | None]") -> None:
    for line in output:
        if line.strip():
            lines.put(line.rstrip())
    lines.put(None)


def _failure(stage: str, code: int, said: list[str]) -> str:
    """The stage's own error where it gave one, the signal that killed it, else the last lines printed."""
    for number, line in enumerate(said):
        if line.startswith("error: "):
            own = [line.removeprefix("error: ")]
            own += [more for more in said[number + 1 :] if not more.startswith("ERROR: ")]
            return f"stage {stage}: " + "\n".join(own)
    last = "\n".join(said[-15:])
    if exited := re.search(
        r"exited with (-?\d+)", last
    ):  # as DVC has it: of the stage's process, or of a shell's
        status = int(exited[1])
        killed = abs(status) - 128 * (status > 0)  # a shell gives 128 and the signal
        if killed > 0:
            return f"stage {stage}: its process was killed by signal {killed}, as where memory runs out"
    return f"stage {stage} ended with code {code}:\n{last}"
