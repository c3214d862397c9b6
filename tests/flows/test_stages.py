"""Stages as children of a flow run: what DVC did is told, errors are short, nothing is left running."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flows.dvc_locks import drop_dead
from flows.stages import Outcome, run_stage, stage_order
from recgan.core.errors import RecganError
from recgan.core.yaml12 import read_yaml
from tests.conftest import ROOT

DVC_YAML = """
stages:
  second:
    cmd: python -c "import shutil; shutil.copy('first.txt', 'second.txt'); print('copied')"
    deps: [first.txt]
    outs: [second.txt]
  first:
    cmd: python first.py
    deps: [first.py]
    outs: [first.txt: {persist: true}]
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A folder that DVC takes for a project, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    return folder


@pytest.fixture
def project(empty, tmp_path):
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    write_first(tmp_path, "open('first.txt', 'w').write('one'); print('wrote one')")
    return tmp_path


def write_first(project: Path, code: str) -> None:
    (project / "first.py").write_text(code)


def test_the_order_follows_the_dependencies(project):
    assert list(stage_order(project)) == ["first", "second"]


def test_the_order_of_the_project_is_the_path_of_the_data():
    order = list(stage_order(ROOT))
    names = read_yaml(ROOT / "params.yaml")["candidates"]
    assert order[:5] == ["feedback", "ingest", "validate", "screen", "features"]
    assert sorted(order[5:-1]) == sorted(["replicate", "start", *(f"train@{name}" for name in names)])
    assert order[-1] == "evaluate"


EACH = """
stages:
  last:
    cmd: python -c "print(open('made/a/x').read() + open('made/b/x').read(), file=open('last.txt', 'w'))"
    deps: [made, notes]
    outs: [last.txt]
  each:
    foreach: ${shops}
    do:
      cmd: python each.py ${key} ${item.says}
      deps: [each.py, "in.txt"]
      params: ["shops.${key}"]
      outs:
        - made/${key}: {persist: true}
      metrics:
        - notes/${key}.json: {cache: false, persist: true}
  in:
    cmd: python -c "open('in.txt', 'w').write('in')"
    outs: [in.txt]
"""
EACH_PY = """
import pathlib, sys
key, says = sys.argv[1:]
pathlib.Path("made", key).mkdir(parents=True, exist_ok=True)
pathlib.Path("notes").mkdir(exist_ok=True)
pathlib.Path("made", key, "x").write_text(says)
pathlib.Path("notes", key + ".json").write_text("{}")
"""


@pytest.fixture
def shops(project):
    """A stage for each entry of a table, and one that needs what all of them write."""
    (project / "dvc.yaml").write_text(EACH)
    (project / "each.py").write_text(EACH_PY)
    write_shops(project, a="one", b="two")
    return project


def write_shops(project: Path, **says: str) -> None:
    content = {"shops": {key: {"says": value} for key, value in says.items()}}
    (project / "params.yaml").write_text(json.dumps(content))


def test_a_stage_for_each_entry_of_a_table_comes_before_the_one_that_needs_their_folder(shops):
    order = list(stage_order(shops))
    assert order[0] == "in"
    assert sorted(order[1:-1]) == ["each@a", "each@b"]
    assert order[-1] == "last"
    known = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=shops,
        check=True,
        capture_output=True,
        text=True,
    )
    assert sorted(order) == sorted(known.stdout.split())
    write_shops(shops, b="two", c="three")
    assert sorted(stage_order(shops)) == ["each@b", "each@c", "in", "last"]


def test_a_circle_through_a_folder_of_several_stages_is_named(shops):
    (shops / "dvc.yaml").write_text(
        EACH.replace("    outs: [in.txt]", "    deps: [made]\n    outs: [in.txt]")
    )
    with pytest.raises(RecganError, match=r"each@. → in → each@.|in → each@. → in"):
        stage_order(shops)


def test_a_folder_whose_name_begins_alike_is_another_one(project):
    (project / "dvc.yaml").write_text(
        "stages: {b: {cmd: x, deps: [models], outs: [models-old/x]}, a: {cmd: x, outs: [models/x]}}"
    )
    assert list(stage_order(project)) == ["a", "b"]


def test_only_the_entry_that_changed_runs_again_and_what_needs_its_folder(shops):
    def outcomes() -> dict[str, Outcome]:
        return {stage: run_stage(stage, shops, lambda _: None) for stage in stage_order(shops)}

    assert set(outcomes().values()) == {Outcome.RAN}
    write_shops(shops, a="one", b="three")
    changed = {stage for stage, outcome in outcomes().items() if outcome is Outcome.RAN}
    assert changed == {"each@b", "last"}
    assert (shops / "last.txt").read_text() == "onethree\n"


def test_a_stage_that_is_forced_runs_though_nothing_has_changed(project):
    write_first(project, "open('first.txt', 'w').write('one'); open('runs', 'a').write('.')")
    for force, outcome in [
        (False, Outcome.RAN),
        (False, Outcome.UNCHANGED),
        (True, Outcome.RAN),
        (False, Outcome.UNCHANGED),
    ]:
        assert run_stage("first", project, lambda _: None, force=force) is outcome
    assert (project / "runs").read_text() == ".."


def test_a_circle_is_named(project):
    (project / "dvc.yaml").write_text(
        "stages: {a: {cmd: x, deps: [b.txt], outs: [a.txt]}, b: {cmd: x, deps: [a.txt], outs: [b.txt]}}"
    )
    with pytest.raises(RecganError, match=r"the stages (a → b → a|b → a → b) depend on each other"):
        stage_order(project)


def test_a_folder_without_stages_is_one_clear_error(tmp_path):
    with pytest.raises(RecganError, match="from the root of the project"):
        stage_order(tmp_path)


def test_a_stage_runs_once_and_again_only_when_its_code_changes(project):
    lines: list[str] = []
    assert run_stage("first", project, lines.append) is Outcome.RAN
    assert "wrote one" in lines
    assert run_stage("first", project, lines.append) is Outcome.UNCHANGED
    write_first(project, "open('first.txt', 'w').write('two')")
    assert run_stage("first", project, lines.append) is Outcome.RAN
    assert (project / "first.txt").read_text() == "two"


def test_a_failed_stage_says_its_own_error_and_keeps_the_output_before(project):
    run_stage("first", project, lambda _: None)
    write_first(
        project, "import sys; print('error: price is -3; mend it\\n  row 7', file=sys.stderr); sys.exit(1)"
    )
    lines: list[str] = []
    with pytest.raises(RecganError) as caught:
        run_stage("first", project, lines.append)
    assert str(caught.value) == "stage first: price is -3; mend it\n  row 7"
    assert not re.search("price|row 7|ERROR", "\n".join(lines))  # it is said once, by who catches it
    assert (project / "first.txt").read_text() == "one"


def test_a_stage_that_crashes_shows_its_last_lines(project):
    write_first(project, "raise ZeroDivisionError('no users')")
    with pytest.raises(RecganError, match=r"(?s)ended with code 255.*ZeroDivisionError: no users"):
        run_stage("first", project, lambda _: None)


@pytest.fixture
def ctrl_c():
    """Let SIGINT raise KeyboardInterrupt: workers of pytest-xdist ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("way", ["the caller raises", "the caller is interrupted"])
def test_nothing_is_left_running(project, way):
    write_first(project, "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)")
    pids: list[int] = []

    class Stop(BaseException):
        pass

    def on_line(line: str) -> None:
        if line.startswith("pid "):
            pids.append(int(line.split()[1]))
            if way == "the caller raises":
                raise Stop
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises((Stop, KeyboardInterrupt)):
        run_stage("first", project, on_line)
    assert pids
    assert wait_until(lambda: not alive(pids[0]), 5)


def test_nothing_is_left_running_when_the_flow_itself_is_killed(project):
    write_first(project, "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
    code = "import sys; from pathlib import Path; from flows.stages import run_stage; "
    code += "run_stage('first', Path(sys.argv[1]), print)"
    parent = subprocess.Popen([sys.executable, "-c", code, str(project)], cwd=ROOT, start_new_session=True)
    note = project / "pid"
    assert wait_until(lambda: note.exists() and note.read_text(), 60)
    stage = int(note.read_text())
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not alive(stage), 10)


@pytest.mark.parametrize("command", ["exec python first.py", "python first.py; exit $?"])
def test_a_stage_whose_process_is_killed_names_the_signal(project, command):
    # a shell that stands between gives 128 + 9, one that gave its place away gives -9
    write_first(project, "import os; os.kill(os.getpid(), 9)")
    described = (project / "dvc.yaml").read_text()
    assert "python first.py" in described
    (project / "dvc.yaml").write_text(described.replace("python first.py", command, 1))
    with pytest.raises(RecganError, match=r"^stage first: its process was killed by signal 9"):
        run_stage("first", project, lambda _: None)


def test_a_killed_dvc_ends_its_stage_and_the_flow_hears_of_it(project):
    code = "import os, time; print('pids', os.getpid(), os.getppid(), flush=True); time.sleep(600)"
    write_first(project, code)
    stage: list[int] = []

    def on_line(line: str) -> None:
        if line.startswith("pids "):
            stage.append(int(line.split()[1]))
            dvc = psutil.Process(stage[0]).parent()
            while "dvc" not in dvc.cmdline():  # a shell may stand between
                dvc = dvc.parent()
            dvc.kill()

    with pytest.raises(RecganError, match="ended with code"):
        run_stage("first", project, on_line)
    assert wait_until(lambda: not alive(stage[0]), 5)  # killed, but perhaps not yet gone


def test_a_stage_waits_for_the_dvc_that_works_on_its_files(project):
    code = "import os, time\nends = time.monotonic() + 120\n"
    code += "while not os.path.exists('go') and time.monotonic() < ends: time.sleep(0.05)\n"
    write_first(project, code + "open('first.txt', 'w').write('one')")
    other = subprocess.Popen([sys.executable, "-m", "dvc", "repro", "-q"], cwd=project)
    notes = project / ".dvc/tmp/rwlock"
    assert wait_until(lambda: notes.exists() and "first.txt" in notes.read_text(), 60)
    lines: list[str] = []

    def on_line(line: str) -> None:
        if "waits for" in line:
            lines.append(line)
            (project / "go").touch()

    assert run_stage("first", project, on_line) is Outcome.UNCHANGED
    assert other.wait() == 0
    [line] = lines
    assert f"waits for `dvc repro -q` (process {other.pid}) to end in {project}" in line


@pytest.mark.parametrize(
    "notes",
    [
        '{"write": {"PATH/first.txt": {"pid": PID, "cmd": "repro"}}, "read": {}}',
        '{"write": {}, "read": {"PATH/first.txt": [{"pid": PID, "cmd": "repro"}]}}',
        '{"write": {"PATH/fir',
    ],
)
def test_a_lock_whose_holder_is_dead_is_no_lock(project, notes):
    """The id of the holder is another process's by now: one that is younger than the note."""
    lock = project / ".dvc/tmp/rwlock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(notes.replace("PATH", str(project)).replace("PID", str(os.getpid())))
    os.utime(lock, (1, 1))
    assert run_stage("first", project, lambda _: None) is Outcome.RAN


def test_a_lock_whose_holder_may_live_stays(project):
    lock = project / ".dvc/tmp/rwlock"
    lock.parent.mkdir(exist_ok=True)
    text = json.dumps({"write": {"first.txt": {"pid": os.getpid(), "cmd": "repro"}}, "read": {}})
    lock.write_text(text)
    drop_dead(project)
    assert lock.read_text() == text


def wait_until(done, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(done())


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
