"""What the documents name exists: files, modules, links; and the indexes hold what their files say."""

import ast
import io
import re
import tokenize
from pathlib import Path

from tests.conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "generated" not in p.parts),
]
CODE = sorted(
    path for room in ("src", "flows", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py")
)
OTHER = [
    *(ROOT / name for name in ("Makefile", "pyproject.toml", "params.yaml", "search.yaml", "dvc.yaml")),
    *sorted((ROOT / "images").glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*.yaml")),
    *sorted((ROOT / ".github").rglob("*.yml")),
]
ROOTED = re.compile(r"(?<![\w./<>*-])(?:src|flows|tests|benchmarks|examples|ops)/[\w./-]*[\w](?![\w*<{…$/])")
PYTHON = re.compile(r"(?<![\w./<>*-])(?:[\w-]+/)*[\w-]+\.(?:py|jinja)\b")
MODULE = re.compile(r"(?<![\w./-])recgan(?:\.[a-z_]\w*)+")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
ENDS = {
    "/".join(path.relative_to(ROOT).parts[start:])
    for path in [*CODE, *(ROOT / "src").rglob("*.jinja")]
    for start in range(len(path.relative_to(ROOT).parts))
}
"""Every end of a source's path, as texts name it: src/recgan/core/files.py, core/files.py, files.py."""


def prose(path: Path) -> str:
    """Return a document's text; of code its docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, holders)]
    docstrings = [ast.get_docstring(node) or "" for node in nodes]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join([*docstrings, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def exists(module: str) -> bool:
    """Tell whether a dotted name is a module, or something that one holds."""
    place, parts = ROOT / "src/recgan", module.split(".")[1:]
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").exists():
        source = place / f"{parts.pop(0)}.py"
    else:
        source = place / "__init__.py"
    return not parts or bool(re.search(rf"\b{parts[0]}\b", source.read_text(encoding="utf-8")))


def unknown(text: str, rooted_only: bool = False) -> set[str]:
    """Return the files and modules that a text names and the project does not have."""
    lost = {name for name in ROOTED.findall(text) if not (ROOT / name).exists()}
    if not rooted_only:
        lost |= {name for name in PYTHON.findall(text) if name not in ENDS}
        lost |= {name for name in MODULE.findall(text) if not exists(name)}
    return lost


def test_what_is_named_exists():
    lost = {path: unknown(prose(path)) for path in [*DOCUMENTS, *CODE]}
    lost |= {path: unknown(prose(path), rooted_only=True) for path in OTHER}
    assert len(lost) > 300
    assert {path.relative_to(ROOT).as_posix(): names for path, names in lost.items() if names} == {}


def test_a_name_of_nothing_is_found():
    real = "src/recgan/core, core/errors.py, files.py, recgan.core.errors.RecganError, examples/*.yaml"
    gone = {"src/recgan/gone", "core/gone" + ".py", "gone" + ".py", "recgan.core.gone"}
    assert unknown(", ".join([real, *gone])) == gone


def test_every_link_leads_somewhere():
    links = [(path, link) for path in DOCUMENTS for link in LINK.findall(path.read_text(encoding="utf-8"))]
    assert len(links) > 100
    assert [(path.name, link) for path, link in links if not (path.parent / link).exists()] == []


def test_the_index_of_decisions_says_what_each_file_says():
    """Number, title, date and status; numbers have no gap and no double."""
    folder = ROOT / "docs/decisions"
    said = []
    for path in sorted(folder.glob("[0-9]*.md")):
        heading, _, line = path.read_text(encoding="utf-8").split("\n")[:3]
        number, title = heading.removeprefix("# ").split(" · ")
        date, status = line.split(" · ")
        said.append(f"| [{number}]({path.name}) | {title} | {date} | {status} |")
    index = (folder / "README.md").read_text(encoding="utf-8").split("\n")
    assert sorted(line for line in index if re.match(r"\| \[\d", line)) == said
    assert [row[3:7] for row in said] == [f"{number:04d}" for number in range(1, len(said) + 1)]


def test_the_index_of_experiments_names_every_file():
    folder = ROOT / "docs/experiments"
    named = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in folder.glob("*.md")} - {"README.md"}
