"""One reader: stages, `use`, write-back and DVC see the same values, or there is one clear error."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recgan.core.comments import read_with_comments, written
from recgan.core.errors import RecganError
from recgan.core.sections import check_section
from recgan.core.yaml12 import parse_yaml, read_yaml
from recgan.settings import load_params
from recgan.use import put_in_place, use
from tests.conftest import SHOP

SCALARS = {
    "0777": 777,
    "0o777": 511,
    "0x1F": 31,
    "08": 8,
    "1_000": 1000,
    "NO": "NO",
    "on": "on",
    "y": "y",
    "yes": "yes",
    "True": True,
    "~": None,
    "1e-4": 0.0001,
    "1.0e-4": 0.0001,
    "1E5": 100000.0,
    '"1e-4"': "1e-4",
    "12:30:00": "12:30:00",
    "190:20:30": "190:20:30",
    "'2026-01-01'": "2026-01-01",
    "0.30000000000000004": 0.30000000000000004,
    "12345678901234567890123": 12345678901234567890123,
    "!!str 5": "5",
}
"""As YAML 1.2 has them; PyYAML reads ten of these as something else."""


def strict(value):
    """Return a text by which 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def nasty() -> str:
    return "s:\n" + "".join(f"  k{n}: {scalar}\n" for n, scalar in enumerate(SCALARS))


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # in a library of DVC's
def test_every_reader_sees_the_same_values(tmp_path, monkeypatch):
    """DVC itself reads the file, from its own code and into dvc.lock."""
    from dvc.repo import Repo
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "params.yaml"
    path.write_text(nasty())
    expected = {"s": {f"k{n}": value for n, value in enumerate(SCALARS.values())}}
    assert strict(read_yaml(path)) == strict(expected)
    assert strict(load_yaml(str(path))) == strict(expected)
    again = written(read_with_comments(path.read_bytes(), path), expected, path)
    assert strict(parse_yaml(again, path)) == strict(expected)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text('stages:\n  s:\n    cmd: "true"\n    params: [s]\n')
    with Repo.init(no_scm=True) as repo:
        repo.reproduce("s")
    tracked = read_yaml(tmp_path / "dvc.lock")["stages"]["s"]["params"]["params.yaml"]
    assert strict(tracked) == strict(expected)


PARAMS = SHOP.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("seed: 7\n", "seed: 7\n  seed: 8\n", 1), ["line ", "seed stands twice"]),
        (lambda text: text.replace("  seed: 7\n", "\tseed: 7\n", 1), ["line ", "indented by a tab"]),
        (lambda text: text + "---\na: 1\n", ["a second document begins here"]),
        (lambda text: "%YAML 1.1\n---\n" + text, ["begins with a %YAML line", "remove it"]),
        (lambda text: "# Gr\udcf6\udcdfe\n" + text, ["line 1", "0xf6 is not UTF-8"]),
        (lambda text: text.replace("ingest:", "<<<<<<< HEAD\ningest:", 1), ["conflict of git's"]),
        (lambda text: text.replace('end: "', "end: ", 1).replace('Z"', "Z", 1), ["ingest.end", "in quotes"]),
        (
            lambda text: text.replace("period_end: null", "period_end: 2026-01-01"),
            ["period_end", "in quotes"],
        ),
        (
            lambda text: text.replace("period_end: null", "period_end: 2026-13-01"),
            ["month must be", "quote it"],
        ),
        (lambda text: text.replace("period_end: null", "period_end: 20260101"), ["period_end", "not a time"]),
        (lambda text: text.replace("period_end: null", 'period_end: "20260101"'), ["not a time"]),
        (lambda text: text.replace("not_products: []", "not_products: [0777]"), ["777", "put it in quotes"]),
        (
            lambda text: text.replace("{view: 1,", "{1: 1, view: 1,"),
            ["features.weights.1", "in quotes"],
        ),
        (lambda text: text.replace("alpha: 0.05", "alpha: .inf"), ["register.gate.alpha", "finite"]),
        (lambda text: text.replace("seed: 7\n", "seed: !!set {a}\n", 1), ["ingest.seed", "without a tag"]),
        (lambda text: text.replace("seed: 7\n", "seed: !mine 7\n", 1), ["line ", "!mine"]),
        (lambda text: text.replace("seed: 7\n", 'seed: "7x"\n', 1), ["ingest.seed", "7x"]),
        (lambda text: text.replace("seed: 7\n", "seed: [7\n", 1), ["line ", "mend that line"]),
        (lambda text: text.replace("seed: 7\n", "seed: *seven\n", 1), ["line ", "undefined alias"]),
        (lambda text: "", ["holds nothing"]),
        (lambda text: "# nothing\n", ["holds nothing"]),
        (lambda text: "- ingest\n", ["holds a list"]),
        (lambda text: "ingest\n", ["holds 'ingest'"]),
    ],
)
def test_a_bad_file_is_the_same_clear_error_to_a_stage_and_to_use(tmp_path, monkeypatch, change, words):
    monkeypatch.chdir(tmp_path)
    bad = Path("mine.yaml")
    bad.write_bytes(change(PARAMS).encode("utf-8", "surrogateescape"))  # \udcf6 is the one byte f6
    assert bad.read_bytes() != PARAMS.encode()
    said = []
    for reader in (load_params, lambda path: use(str(path)), lambda path: use(str(path), Path())):
        with pytest.raises(RecganError) as caught:
            reader(bad)
        said.append(str(caught.value))
    assert said[0] == said[1] == said[2]
    assert all(word in said[0] for word in ["mine.yaml", *words]), said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("learning_rate: 5.0e-4", "learning_rate: 5e-4"),
        lambda text: text.replace("not_products: []", "not_products: [NO, y, '12:30', '0777']"),
        lambda text: text.replace("seed: 7\n", "seed: 0007\n", 1),
        lambda text: text.replace("seed: 7\n", "seed: &seed 7\n", 1).replace("seed: 42", "seed: *seed"),
        lambda text: text + "...\n",
    ],
)
def test_a_file_that_is_good_is_good_to_all(tmp_path, change):
    """A file that is put in place, whole or changed, means what it meant to a stage before."""
    (tmp_path / "mine.yaml").write_bytes(change(PARAMS).encode())
    assert (tmp_path / "mine.yaml").read_bytes() != PARAMS.encode()
    meant = load_params(tmp_path / "mine.yaml")
    use(str(tmp_path / "mine.yaml"), root=tmp_path)
    assert (tmp_path / "params.yaml").read_bytes() == (tmp_path / "mine.yaml").read_bytes()
    use(str(tmp_path / "mine.yaml"), tmp_path, root=tmp_path)
    now = load_params(tmp_path / "params.yaml")
    assert now.ingest.path == tmp_path
    assert now.model_copy(update={"ingest": meant.ingest}) == meant


def test_what_only_the_reader_of_comments_refuses_is_clear(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(PARAMS.replace("seed: 7\n", "seed:\t7\n", 1))
    use(str(path), root=tmp_path)
    assert load_params(tmp_path / "params.yaml").ingest.seed == 7
    with pytest.raises(RecganError, match="cannot be changed with its comments kept"):
        use(str(path), tmp_path, root=tmp_path)


def test_a_change_that_an_anchor_carries_on_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &both {x: 1}\nb: *both\n")
    content, commented = read_yaml(path), read_with_comments(path.read_bytes(), path)
    for form in (content, commented):
        form["a"]["x"] = 2
    assert content == {"a": {"x": 2}, "b": {"x": 1}}
    with pytest.raises(RecganError, match="what its anchors"):
        written(commented, content, path)


def test_a_time_may_have_a_zone_or_not():
    from recgan.data.sources.shop import ShopSource

    def end(text):
        content = {"source": "shop", "path": "raw", "seed": 1, "events": 1000, "days": 7, "end": text}
        content |= {"feedback": None, "pictures": None}
        content["fakes"] = {"share": 0, "styles": ["push"], "labelled": 0}
        return check_section(content, Path("p.yaml"), ShopSource).end

    assert end("2026-01-01T02:00:00+02:00") == datetime(2026, 1, 1, tzinfo=UTC)
    assert end("2026-01-01") == datetime(2026, 1, 1)
    with pytest.raises(RecganError, match="not a time"):
        end("1767225600")


# --- nothing is lost ------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    (tmp_path / "examples").mkdir()
    for name, seed in (("one", 1), ("two", 2)):
        (tmp_path / "examples" / f"{name}.yaml").write_text(PARAMS.replace("seed: 7", f"seed: {seed}", 1))
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def kept(root):
    return {path.read_bytes() for path in root.glob("params.yaml*")} | {
        path.read_bytes() for path in root.glob("examples/*.yaml")
    }


def test_whatever_params_yaml_held_is_still_there(project):
    """Edits, broken YAML, Latin-1, examples to and fro: every content can be found, none is there twice."""
    held = []
    edits = [
        PARAMS,
        PARAMS + "# mine\n",
        "a: [",
        "gr\udcf6\udcdfe: 1",
        "",
        PARAMS.replace("seed: 7", "seed: 9"),
    ]
    for number, edit in enumerate([*edits, *edits]):
        (project / "params.yaml").write_bytes(edit.encode("utf-8", "surrogateescape"))
        for example in ("one", "two") if number % 2 else ("two", "one"):
            held.append((project / "params.yaml").read_bytes())
            replaced = use(example, root=project)
            assert replaced.before.read_bytes() == held[-1]
            assert (project / "params.yaml").read_bytes() == (
                project / "examples" / f"{example}.yaml"
            ).read_bytes()
    assert set(held) <= kept(project)
    copies = [path.read_bytes() for path in project.glob("params.yaml.bak*")]
    assert len(copies) == len(set(copies)) == len(edits)


def test_a_failed_call_changes_nothing(project):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    (project / "bad.yaml").write_text(PARAMS.replace("seed: 7", "seed: -7", 1))
    with pytest.raises(RecganError, match=r"ingest\.seed"):
        use(str(project / "bad.yaml"), root=project)
    (project / "bad.yaml").unlink()
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_the_same_once_more_is_no_change(project):
    use("one", root=project)
    assert not use("one", root=project).changed
    assert [path.name for path in project.glob("params.yaml.bak*")] == ["params.yaml.bak"]


def test_a_copy_that_cannot_be_written_leaves_params_yaml(project, monkeypatch):
    real = Path.open

    def full(path, mode="r", *rest, **more):
        if "x" in mode:
            real(path, mode).close()
            raise OSError(28, "No space left on device")
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space"):
        use("one", root=project)
    assert (project / "params.yaml").read_text() == PARAMS
    assert list(project.glob("params.yaml.bak*")) == []


def test_the_command_says_what_differs_and_where_the_old_one_is(project):
    (project / "params.yaml").write_text(PARAMS.replace("epochs: 100", "epochs: 3"))
    command = [sys.executable, "-m", "recgan", "use"]
    done = subprocess.run(
        [*command, "one"], cwd=project, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.splitlines() == [
        "params.yaml now holds one; 2 values differ:",
        "  ingest.seed: 7, now 1",
        "  candidates.rcgan.epochs: 3, now 100",
        "what it held before is in params.yaml.bak; back again: cp params.yaml.bak params.yaml",
    ]


def test_no_value_differs_where_only_a_comment_does(project):
    replaced = put_in_place((PARAMS + "# more\n").encode(), Path("mine.yaml"), project)
    assert (replaced.changed, replaced.differing) == (True, ())
