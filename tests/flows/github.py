"""A runner for GitHub's workflows, as far as this project's use it: expressions, steps, five actions."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

GH = """#!/bin/sh
printf '%s\\n' "$*" >> "$GH_CALLS"
[ "$1 $2" != "pr list" ] || cat "$GH_OPEN"
"""
"""Stands in for GitHub's command line: notes what it is asked, and lists what lies in a file."""

_PART = re.compile(r"'[^']*'|[a-z]+(?:\.[\w-]+)+|&&|\|\||!=|==|!|[a-z]+\(\)|[()]|\s+|[a-z]+")


@dataclass
class Runner:
    """A machine that runs one workflow of a repository again and again, always in the same folder."""

    home: Path
    repository: Path
    workflow: str
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    open_pull_request: str = ""
    contexts: dict[str, Any] = field(default_factory=dict)

    def run(self, event: str = "schedule", inputs: dict[str, Any] | None = None) -> dict[str, "Job"]:
        """Run every job whose condition holds, one after the other, until one fails."""
        number = len(list(self.home.glob("run-*"))) + 1
        self.run_folder = self.home / f"run-{number}"
        self.run_folder.mkdir(parents=True)
        (self.run_folder / "gh-open").write_text(self.open_pull_request)
        self.contexts = {
            "github": {
                "event_name": event,
                "ref_name": "main",
                "ref_type": "branch",
                "run_id": str(number),
                "run_attempt": "1",
                "token": "a token",
            },
            "inputs": inputs or {},
            "secrets": self.secrets,
            "vars": self.variables,
            "needs": {},
        }
        content = yaml.safe_load(_clone(self.repository, self.run_folder / "asked", self.workflow))
        shell = content["defaults"]["run"]["shell"]
        jobs: dict[str, Job] = {}
        for name, job in content["jobs"].items():
            needed = job.get("needs")
            if needed is not None and not jobs[needed].succeeded:
                continue
            if not self.holds(job.get("if", "success()")):
                continue
            jobs[name] = Job(self, name, job, shell)
            jobs[name].run()
            self.contexts["needs"][name] = {"outputs": jobs[name].outputs}
        return jobs

    def holds(self, condition: str, failed: bool = False, contexts: dict[str, Any] | None = None) -> bool:
        """Tell whether an `if` holds; without a status function it wants all before to have succeeded."""
        asks_status = re.search(r"\b(success|failure|always|cancelled)\(\)", condition)
        return bool(self.value(condition, failed, contexts)) and bool(asks_status or not failed)

    def value(self, expression: str, failed: bool = False, contexts: dict[str, Any] | None = None) -> object:
        """Evaluate an expression; what a context does not have is empty."""
        parts = _PART.findall(expression.strip())
        assert "".join(parts) == expression.strip(), expression
        words = {"&&": " and ", "||": " or ", "!": " not ", "true": "True", "false": "False"}
        code = "".join(
            f"look({part!r})" if re.fullmatch(r"[a-z]+(\.[\w-]+)+", part) else words.get(part, part)
            for part in parts
        )

        def look(path: str) -> object:
            place: Any = self.contexts | (contexts or {})
            for name in path.split("."):
                place = place.get(name, "") if isinstance(place, dict) else ""
            return place

        names = {
            "look": look,
            "success": lambda: not failed,
            "failure": lambda: failed,
            "always": lambda: True,
            "cancelled": lambda: False,
        }
        return eval(" ".join(code.split()), {"__builtins__": {}}, names)

    def filled(self, text: object, contexts: dict[str, Any]) -> str:
        """Replace every ${{ … }} of a value, written as GitHub writes it."""

        def written(match: re.Match[str]) -> str:
            value = self.value(match[1], contexts=contexts)
            return {True: "true", False: "false", None: ""}.get(value, value)  # type: ignore[call-overload]

        return re.sub(r"\$\{\{(.*?)\}\}", written, str(text))


class Job:
    """One job on a machine of its own: a folder, a home, and what its steps leave behind."""

    def __init__(self, runner: Runner, name: str, content: dict[str, Any], shell: str) -> None:
        self.runner, self.content, self.shell = runner, content, shell
        self.machine = runner.run_folder / name
        self.temp = self.machine / "temp"
        self.temp.mkdir(parents=True)
        (self.machine / "home").mkdir()
        self.workspace = runner.home / "workspace"  # the same in every run, as GitHub has it
        shutil.rmtree(self.workspace, ignore_errors=True)
        self.steps_run: list[str] = []
        self.log = ""
        self.succeeded = True
        self.outputs: dict[str, str] = {}
        self.contexts: dict[str, Any] = {"runner": {"temp": str(self.temp)}, "steps": {}}
        self.contexts["env"] = {
            key: runner.filled(value, self.contexts) for key, value in content.get("env", {}).items()
        }

    @property
    def summary(self) -> str:
        """What the job shows in GitHub's pages."""
        return (self.temp / "GITHUB_STEP_SUMMARY").read_text()

    @property
    def asked_of_gh(self) -> list[str]:
        """The calls of `gh`, one line of arguments each."""
        return (self.machine / "gh-calls").read_text().splitlines()

    def run(self) -> None:
        """Run the steps whose conditions hold."""
        for step in self.content["steps"]:
            name = step.get("name", step.get("uses", "").partition("@")[0])
            if not self.runner.holds(step.get("if", "success()"), not self.succeeded, self.contexts):
                continue
            self.steps_run.append(name)
            if "uses" in step:
                self.use(step["uses"].partition("@")[0], step.get("with", {}))
            else:
                self.run_script(step)
        for name, text in self.content.get("outputs", {}).items():
            self.outputs[name] = self.runner.filled(text, self.contexts)

    def run_script(self, step: dict[str, Any]) -> None:
        """Run a script as a runner does: `shell: bash` is bash with -e and pipefail."""
        assert self.shell == "bash"
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        out = self.temp / "GITHUB_OUTPUT"
        out.write_text("")
        given = {key: self.runner.filled(value, self.contexts) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env=self.environment() | self.contexts["env"] | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.log += done.stdout
        self.succeeded &= done.returncode == 0
        if "id" in step:
            pairs = (line.split("=", 1) for line in out.read_text().splitlines())
            self.contexts["steps"][step["id"]] = {"outputs": dict(pairs)}

    def environment(self) -> dict[str, str]:
        """A machine's variables; nothing of the present process but what finds programs."""
        tools = self.machine / "tools"
        if not tools.exists():
            tools.mkdir()
            (tools / "gh").write_text(GH)
            (tools / "gh").chmod(0o755)
        return {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.machine / "home"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "RUNNER_TEMP": str(self.temp),
            **{name: str(self.temp / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")},
            "GH_CALLS": str(self.machine / "gh-calls"),
            "GH_OPEN": str(self.runner.run_folder / "gh-open"),
            # The tests' interpreter has another checkout installed; a runner's has this one.
            "PYTHONPATH": f"{self.workspace / 'src'}{os.pathsep}{self.workspace}",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **self.runner.environment,
        }

    def use(self, action: str, given: dict[str, Any]) -> None:
        """Do what an action would have done."""
        given = {key: self.runner.filled(value, self.contexts) for key, value in given.items()}
        kept = self.runner.home / "kept"
        if action == "actions/checkout":
            assert given["persist-credentials"] == "False"
            _clone(self.runner.repository, self.workspace)
        elif action == "actions/setup-python":
            lend_environment(self.workspace)
        elif action == "actions/cache/restore":
            found = sorted(kept.glob(f"{given['restore-keys']}*"), key=lambda folder: folder.stat().st_mtime)
            if found:
                shutil.copytree(found[-1], self.workspace, dirs_exist_ok=True)
        elif action == "actions/cache/save":
            for path in given["path"].split():
                _copy(self.workspace / path, kept / given["key"] / path)
        elif action == "actions/upload-artifact":
            _copy(Path(given["path"]), self.runner.run_folder / given["name"])
        elif action == "actions/download-artifact":
            _copy(self.runner.run_folder / given["name"], Path(given["path"]))
        else:
            raise AssertionError(f"no stand-in for {action}")


def lend_environment(project: Path) -> None:
    """Give a clone the tests' own environment as its .venv, so that `make install` finds all there."""
    place = project / ".venv"
    place.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith("installed-"):
            (place / entry.name).symlink_to(entry)
    files = "".join((project / name).read_text() for name in ("pyproject.toml", "requirements.lock"))
    check = subprocess.run(["cksum"], input=files, capture_output=True, text=True, check=True).stdout
    (place / f"installed-{check.split()[0]}").touch()


def _clone(repository: Path, target: Path, path: str = "dvc.yaml") -> str:
    subprocess.run(["git", "clone", "-q", "--branch", "main", str(repository), str(target)], check=True)
    return (target / path).read_text()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
