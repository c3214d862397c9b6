"""The house itself: one vocabulary, lazy imports, a lock that fits every machine."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from recgan.core import closure
from recgan.images.settings import ImagesParams
from recgan.settings import Params
from tests.conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
IMAGE_STAGES = yaml.safe_load((ROOT / "images/dvc.yaml").read_text())["stages"]
HEAVY = {
    "torch",
    "lightning",
    "mlflow",
    "great_expectations",
    "prefect",
    "pandas",
    "implicit",
    "dvc",
    "numpy",
}


def imported(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after running some code."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_command_line_imports_nothing_heavy():
    assert not imported("import recgan.__main__") & HEAVY


@pytest.mark.parametrize(
    "module", ["recgan.recommenders.protocol", "recgan.evaluation.metrics", "recgan.images.measures"]
)
def test_ranking_and_metrics_need_no_torch(module):
    assert not imported(f"import {module}") & {"torch", "lightning"}


def test_the_adversarial_core_names_no_domain():
    sources = sorted((ROOT / "src/recgan/adversarial").glob("*.py"))
    assert sources
    for path in sources:
        assert not re.search(r"recommend|ndcg|shopper|image|pixel", path.read_text(), re.IGNORECASE), path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_params_section_and_a_subcommand(stage):
    assert STAGES[stage]["cmd"] == f"python -m recgan {stage}"
    assert STAGES[stage]["params"] == [stage]
    assert stage in {field.alias or name for name, field in Params.model_fields.items()}
    help_text = subprocess.run(
        [sys.executable, "-m", "recgan", stage, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"_TYPER_FORCE_DISABLE_TERMINAL": "1"},  # colours would stand between the words
    ).stdout
    assert f"recgan {stage}" in help_text


@pytest.mark.parametrize("stage", IMAGE_STAGES)
def test_a_stage_of_the_images_is_one_of_theirs(stage):
    assert IMAGE_STAGES[stage]["cmd"] == f"python -m recgan images {stage}"
    assert IMAGE_STAGES[stage]["params"] == [{"images/params.yaml": [stage]}]
    assert stage in {field.alias or name for name, field in ImagesParams.model_fields.items()}
    assert stage in images_help()


def images_help() -> str:
    return subprocess.run(
        [sys.executable, "-m", "recgan", "images", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"_TYPER_FORCE_DISABLE_TERMINAL": "1"},
    ).stdout


def test_every_output_outlives_a_failed_stage():
    outputs = [out for stage in STAGES.values() for out in stage.get("outs", []) + stage.get("metrics", [])]
    assert all(settings["persist"] for out in outputs for settings in out.values())


def entries() -> dict[str, str]:
    """Return each subcommand's function in the command line → the module that it imports its work from."""
    body = ast.parse((ROOT / "src/recgan/__main__.py").read_text(encoding="utf-8"))
    functions = [node for node in body.body if isinstance(node, ast.FunctionDef)]
    imported = {
        one.name: [node.module for node in ast.walk(one) if isinstance(node, ast.ImportFrom)]
        for one in functions
    }
    return {name: modules[0] for name, modules in imported.items() if modules}


CODE = {
    **{stage: (entries()[stage], STAGES[stage]["deps"]) for stage in STAGES},
    **{
        f"images {stage}": (entries()[f"images_{stage}"], IMAGE_STAGES[stage]["deps"])
        for stage in IMAGE_STAGES
    },
}
"""Each stage → the module that it runs, and its dependencies."""


def lacking(module: str, dependencies: list[str]) -> tuple[list[str], list[str]]:
    """Return the sources that no dependency covers, and the dependencies on code that cover none."""
    reached = [path.relative_to(ROOT).as_posix() for path in closure.sources(module)]
    named = [one for one in dependencies if one.startswith("src/")]

    def covers(dependency: str, path: str) -> bool:
        return path == dependency or path.startswith(f"{dependency}/")

    missing = [path for path in reached if not any(covers(one, path) for one in named)]
    return missing, [one for one in named if not any(covers(one, path) for path in reached)]


@pytest.mark.parametrize("stage", CODE)
def test_dvc_knows_all_code_that_decides_a_stages_result_and_no_other(stage):
    """A stage that DVC takes for unchanged although its code changed keeps yesterday's result."""
    module, dependencies = CODE[stage]
    missing, in_vain = lacking(module, dependencies)
    assert not missing, f"put these into the deps of {stage}, or into closure.WITHOUT_RESULTS with a reason"
    assert not in_vain, f"the stage {stage} does not reach these"


def test_lists_that_were_once_remembered_lacked_much():
    """The lists of before, so that this can fail."""
    assert lacking("recgan.data.validate", ["src/recgan/data/validate.py"])[0]
    trained = [one for one in STAGES["train"]["deps"] if not one.endswith(("ranking.py", "matrices.py"))]
    assert lacking("recgan.recommenders.train", trained)[0] == [
        "src/recgan/features/matrices.py",
        "src/recgan/recommenders/ranking.py",
    ]


def test_the_lock_holds_every_dependency_and_no_cuda():
    lock = (ROOT / "requirements.lock").read_text()
    locked = {
        re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", entry)[0]).lower() for entry in wanted}
    assert names <= locked
    assert not any(name.startswith(("nvidia", "triton")) for name in locked)
    assert "+cpu" not in lock


def test_no_one_phones_home():
    code = "import os; from recgan.core.environment import configure; configure(); "
    code += "print(os.environ['DO_NOT_TRACK'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == "true"


def test_workflows_call_the_makefile():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands
    assert all(command.startswith("make ") for command in commands)
