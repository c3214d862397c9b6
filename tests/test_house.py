"""The house itself: one vocabulary, lazy imports, a lock that fits every machine."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib

import pytest
import typer
import yaml

from recgan.__main__ import app
from recgan.core import closure
from recgan.data.sources import catalogue as sources
from recgan.images.settings import ImagesParams
from recgan.recommenders.catalogue import CLASSICAL, TRAINED, module_of
from recgan.settings import Params
from tests.conftest import ROOT

STAGES = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
RECOMMENDERS = [*CLASSICAL, *TRAINED]
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


def test_ranking_and_metrics_need_no_torch():
    modules = ("recgan.recommenders.protocol", "recgan.evaluation.metrics", "recgan.images.measures")
    assert not imported(f"import {', '.join(modules)}") & {"torch", "lightning"}


def test_the_adversarial_core_names_no_domain():
    sources = sorted((ROOT / "src/recgan/adversarial").glob("*.py"))
    assert sources
    for path in sources:
        assert not re.search(r"recommend|ndcg|shopper|image|pixel", path.read_text(), re.IGNORECASE), path


def test_the_registry_names_no_domain():
    sources = sorted((ROOT / "src/recgan/registry").glob("*.py"))
    assert sources
    words = r"recommend|ndcg|shopper|catalogue|ranking|(?<!\.)\bitems?\b|image|pixel|picture|generator"
    for path in sources:
        found = re.findall(words, path.read_text(), re.IGNORECASE)
        assert not found, f"{path}: {found}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_params_section_and_a_subcommand(stage):
    own = {
        "train": ["candidates.${key}", "evaluate.primary_k"],
        "feedback": [],
        "start": [],
        "replicate": ["candidates", "evaluate", "features"],
        "evaluate": ["candidates", "evaluate"],
    }
    assert STAGES[stage]["cmd"] == f"python -m recgan {stage}" + (" ${key}" if stage == "train" else "")
    assert STAGES[stage].get("params", []) == own.get(stage, [stage])
    sections = {field.alias or name for name, field in Params.model_fields.items()}
    assert {one.split(".")[0] for one in STAGES[stage].get("params", [])} <= sections
    assert stage in typer.main.get_command(app).commands


@pytest.mark.parametrize("stage", IMAGE_STAGES)
def test_a_stage_of_the_images_is_one_of_theirs(stage):
    assert IMAGE_STAGES[stage]["cmd"] == f"python -m recgan images {stage}"
    assert IMAGE_STAGES[stage]["params"] == [{"images/params.yaml": [stage]}]
    assert stage in {field.alias or name for name, field in ImagesParams.model_fields.items()}
    assert stage in typer.main.get_command(app).commands["images"].commands


def test_the_command_line_names_its_stages():
    """Typed, in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-m", "recgan", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"_TYPER_FORCE_DISABLE_TERMINAL": "1"},  # colours would stand between the words
    ).stdout
    assert all(re.search(rf"\b{stage} ", said) for stage in [*STAGES, "images"])


def test_every_output_outlives_a_failed_stage():
    outputs = [out for stage in STAGES.values() for out in stage.get("outs", []) + stage.get("metrics", [])]
    assert all(settings["persist"] for out in outputs for settings in out.values())


def imported_by(path: str) -> dict[str, list[str]]:
    """Return each function of a file → the modules that it imports from."""
    functions = [one for one in ast.parse((ROOT / path).read_text()).body if isinstance(one, ast.FunctionDef)]
    return {
        one.name: [str(node.module) for node in ast.walk(one) if isinstance(node, ast.ImportFrom)]
        for one in functions
    }


STAGE_CODE = imported_by("src/recgan/stages.py")
IMAGE_CODE = imported_by("src/recgan/images/commands.py")


FITS = {True: "recgan.recommenders.train", False: "recgan.recommenders.tune"}
"""What fits a recommender, by whether it is trained adversarially."""


def code_of(stage: str, recommender: str) -> list[str]:
    """Return the modules that a stage runs of a candidate that is this recommender."""
    named = {
        "ingest": [sources.module_of(name) for name in sources.SOURCES],
        "train": [module_of(recommender), FITS[recommender in TRAINED]],
        "replicate": [module_of(name) for name in RECOMMENDERS],
        "evaluate": [module_of(name) for name in RECOMMENDERS],
    }
    return STAGE_CODE[stage] + named.get(stage, [])


CODE = {
    **{
        f"{stage} {recommender}": (code_of(stage, recommender), STAGES[stage]["deps"])
        for stage in STAGES
        for recommender in (RECOMMENDERS if stage == "train" else ["rcgan"])
    },
    **{
        f"images {stage}": (IMAGE_CODE[f"images_{stage}"][:1], IMAGE_STAGES[stage]["deps"])
        for stage in IMAGE_STAGES
    },
}
"""Each stage → the modules that it runs, and its dependencies."""


def lacking(modules: list[str], dependencies: list[str]) -> tuple[list[str], list[str]]:
    """Return the sources that no dependency covers, and the dependencies on code that cover none."""
    files = {path for module in modules for path in closure.sources(module)}
    reached = sorted(path.relative_to(ROOT).as_posix() for path in files)
    named = [one for one in dependencies if one.startswith("src/")]

    def covers(dependency: str, path: str) -> bool:
        return path == dependency or path.startswith(f"{dependency}/")

    missing = [path for path in reached if not any(covers(one, path) for one in named)]
    return missing, [one for one in named if not any(covers(one, path) for path in reached)]


@pytest.mark.parametrize("stage", CODE)
def test_dvc_knows_all_code_that_decides_a_stages_result(stage):
    """A stage that DVC takes for unchanged although its code changed keeps yesterday's result."""
    missing, _ = lacking(*CODE[stage])
    assert not missing, f"put these into the deps of {stage}, or into closure.WITHOUT_RESULTS with a reason"


def test_dvc_names_no_code_that_no_recommender_reaches():
    for stage in {one.split()[0] for one in CODE if not one.startswith("images")}:
        vain = [set(lacking(*CODE[one])[1]) for one in CODE if one.split()[0] == stage]
        assert not set.intersection(*vain), stage
    for stage in IMAGE_STAGES:
        assert not lacking(*CODE[f"images {stage}"])[1], stage


def test_lists_that_were_once_remembered_lacked_much():
    """The lists of before, so that this can fail."""
    assert lacking(["recgan.data.validate"], ["src/recgan/data/validate.py"])[0]
    modules, named = CODE["train rcgan"]
    fewer = [one for one in named if not one.endswith("matrices.py")]
    assert lacking(modules, fewer)[0] == ["src/recgan/features/matrices.py"]


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


def test_what_the_gpu_benchmark_needs_is_what_the_lock_holds():
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    needed = [
        line
        for line in (ROOT / "benchmarks/gpu-requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert needed
    assert set(needed) <= set(lock)


def test_no_file_is_longer_than_anybody_reads():
    lines = {path: len(path.read_text().splitlines()) for path in (ROOT / "src").rglob("*.py")}
    assert lines
    assert not {path.name: n for path, n in lines.items() if n > 300}


def test_what_a_benchmark_imports_is_there():
    """No benchmark runs in the tests, so a module that went away would be missed by whoever measures next."""
    missing = []
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            top = node.module.split(".")[0]
            beside = (ROOT / "benchmarks" / f"{top}.py").exists()
            if not beside and importlib.util.find_spec(top) is None:
                missing.append((path.name, node.module))
            elif top == "recgan":
                source = ROOT.joinpath("src", *node.module.split("."))
                file = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
                text = file.read_text() if file.exists() else ""
                missing += [
                    (path.name, f"{node.module}.{one.name}")
                    for one in node.names
                    if not re.search(rf"\b{one.name}\b", text)
                    and not (source / f"{one.name}.py").exists()
                    and not (source / one.name).is_dir()
                ]
    assert not missing


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
