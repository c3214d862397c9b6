"""The documentation site: it builds strictly, links and anchors lead somewhere, its reference is whole."""

import importlib.util
import re
import subprocess
import sys

import pytest
import typer

from recgan.__main__ import app
from recgan.core.sections import Kinds, Section, kinds_of
from recgan.images.settings import ImagesParams
from recgan.settings import Params
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "generated" not in path.parts)]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]*)#([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """Headings as GitHub names them."""
    without = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", without, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


def test_every_anchor_is_a_heading():
    found, lost = 0, []
    for page in PAGES:
        for file, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            target = page if not file else page.parent / file
            if ":" in file or target.suffix != ".md" or "generated" in target.parts:
                continue
            found += 1
            if anchor not in anchors(target.read_text(encoding="utf-8")):
                lost.append((page.name, f"{file}#{anchor}"))
    assert found > 3
    assert lost == []


def test_every_page_is_in_the_contents():
    """In index.md itself or by its patterns."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {
        line for block in re.findall(r"```\{toctree\}(.*?)```", index, re.DOTALL) for line in block.split()
    }
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES[1:]} - {"index"}
    assert {
        page for page in pages if page not in listed and not re.match(r"decisions/0|experiments/", page)
    } == set()


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("generated")
    module.write(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def fields(kind: type[Section]) -> set[str]:
    """Names of all parameters in a section and in those below it."""
    names = set()
    for name, info in kind.model_fields.items():
        inside = info.annotation.__args__[1] if getattr(info.annotation, "__origin__", None) is dict else info
        embedded = any(isinstance(one, Kinds) for one in info.metadata)  # a candidate may hold candidates
        kinds, _ = ([], None) if embedded else kinds_of(inside)
        names |= {info.alias or name} if not kinds else set()
        for one in kinds:
            names |= fields(one)
    return names


def test_every_parameter_has_a_meaning(generated):
    rows = re.findall(r"^\| `([\w.…]+)` \|.*\|(.*)\|$", generated["parameters"], re.MULTILINE)
    assert len(rows) > 400
    assert [name for name, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("whole", [Params, ImagesParams])
def test_every_parameter_is_in_the_reference(generated, whole):
    told = set(re.findall(r"^\| `(?:[\w.…]+\.)?([\w…]+)` \|", generated["parameters"], re.MULTILINE))
    assert len(fields(whole)) > 20
    assert fields(whole) <= told


def test_the_reference_gives_meaning_and_value(generated):
    assert re.search(
        r"^\| `register.gate.max_loss` \| number \| `0.05` \| Share of the champion",
        generated["parameters"],
        re.MULTILINE,
    )


def test_every_subcommand_and_path_is_in_the_reference(generated):
    group = typer.main.get_command(app)
    names = {f"recgan {name}" for name, one in group.commands.items() if not hasattr(one, "commands")}
    for path in ("images", "experiment"):
        names |= {f"recgan {path} {name}" for name in group.commands[path].commands}
    assert names == set(re.findall(r"^## (recgan .+)$", generated["commands"], re.MULTILINE))
    assert {"POST /recommend", "GET /similar"} <= set(
        re.findall(r"^## (.+)$", generated["http"], re.MULTILINE)
    )


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    """Strict: a link or an anchor that leads nowhere is a warning, and a warning is an error."""
    pytest.importorskip("sphinx", reason="the site's tool is not installed: make install")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        str(tmp_path / "read"),
        str(DOCS),
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "site")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = {
        address
        for page in (tmp_path / "site").rglob("*.html")
        for address in re.findall(
            r'<(?:script|link|img)[^>]*?(?:src|href)="(https?://[^"]+)"', page.read_text()
        )
    }
    assert loaded == set()
