"""What a module's result depends on, on a small package and on this one."""

import shutil
import subprocess
import sys

import pytest

from recgan.core import closure
from recgan.recommenders.catalogue import module_of
from tests.conftest import ROOT

PACKAGE = {
    "__init__.py": '"""Nothing but a docstring."""',
    "start.py": """
import json
import recgan.plain
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from recgan.typed import A
from recgan.core.errors import RecganError
from recgan.inner import module, CONSTANT
def late():
    from recgan.inner.deep import f
    from . import beside
    return PATH.with_name("page.jinja"), "absent.jinja", "a sentence."
""",
    "plain.py": "from recgan import start  # a circle",
    "typed.py": "A = 1",
    "beside.py": "",
    "core/__init__.py": '"""Nothing but a docstring."""',
    "core/errors.py": "from recgan import unasked",
    "unasked.py": "",
    "unrelated.py": "import recgan.start",
    "page.jinja": "{{ page }}",
    "inner/__init__.py": '"""With code."""\nCONSTANT = 1',
    "inner/module.py": "from .deep import g",
    "inner/deep/__init__.py": "from ..low import h",
    "inner/low.py": "",
    "inner/other.py": "",
}


@pytest.fixture(autouse=True)
def of_this_folder():
    """What is read of one folder is no other's."""
    yield
    closure._read.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "recgan"
    for name, text in PACKAGE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(closure, "ROOT", root)
    closure._read.cache_clear()
    return root


def test_imports_wherever_they_stand_and_files_beside_count(package):
    assert [path.relative_to(package).as_posix() for path in closure.sources("recgan.start")] == [
        "beside.py",
        "inner/__init__.py",
        "inner/deep/__init__.py",
        "inner/low.py",
        "inner/module.py",
        "page.jinja",
        "plain.py",
        "start.py",
    ]


@pytest.mark.parametrize(
    ("changed", "other"),
    [("inner/low.py", True), ("page.jinja", True), ("core/errors.py", False), ("typed.py", False)],
)
def test_the_digest_changes_with_what_counts(package, changed, other):
    before = closure.digest("recgan.start")
    assert closure.digest("recgan.start") == before
    with (package / changed).open("a") as file:
        file.write("# changed")
    assert (closure.digest("recgan.start") != before) == other


@pytest.mark.parametrize(
    ("changed", "other"),
    [
        ("recommenders/feature_gan/nearest.py", True),
        ("features/matrices.py", True),
        ("adversarial/weighted.py", True),
        ("recommenders/tune.py", False),
        ("settings.py", False),
        ("recommenders/catalogue.py", False),
    ],
)
def test_a_checkpoint_is_of_all_the_code_that_trains(tmp_path, monkeypatch, changed, other):
    modules = ("recgan.recommenders.train", module_of("feature_gan"), module_of("rcgan"))
    before = [closure.digest(module) for module in modules]
    copy = tmp_path / "recgan"
    shutil.copytree(ROOT / "src/recgan", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(closure, "ROOT", copy)
    closure._read.cache_clear()
    assert [closure.digest(module) for module in modules] == before  # wherever it is installed
    with (copy / changed).open("a") as file:
        file.write("\n# changed\n")
    assert ([closure.digest(module) for module in modules] != before) == other


def test_what_python_itself_imports_is_among_the_sources(monkeypatch):
    monkeypatch.setattr(closure, "WITHOUT_RESULTS", {})
    monkeypatch.setattr(closure, "SETTINGS", "no module ends so")
    code = "import recgan.features.build, sys; print(*[n for n in sys.modules if n.startswith('recgan.')])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = {path.resolve() for path in closure.sources("recgan.features.build")}
    files = [closure._path(name) for name in loaded.stdout.split()]
    expected = {path.resolve() for path in files if path.name != "__init__.py"}
    assert expected
    assert expected <= found


def test_every_exception_is_a_module_and_has_its_reason():
    for name, reason in closure.WITHOUT_RESULTS.items():
        assert closure._path(name).is_file(), name
        assert reason
