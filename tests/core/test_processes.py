"""A stage ends with its dvc and a packaged model with its asker; a command of a person with nobody."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from recgan.core.processes import is_alive
from tests.conftest import ROOT

STAGE = (
    "import os, pathlib, time; from recgan.core.processes import end_with_dvc; end_with_dvc(0.05)\n"
    "try:\n"
    "    pathlib.Path('new').write_text(str(os.getpid())); pathlib.Path('new').rename('note')\n"
    "    time.sleep(600)\n"
    "finally:\n"
    "    pathlib.Path('ended').touch()"
)


@pytest.fixture
def started(tmp_path):
    """Start a stand-in for dvc with what it sets for its stage; return both processes."""
    (tmp_path / "stage.py").write_text(STAGE)
    shell = f"{sys.executable} stage.py; true"  # two commands: the shell stays between them
    stages = []

    def start(extra):
        code = f"import os, subprocess; subprocess.run(['sh', '-c', {shell!r}], env=os.environ | {extra})"
        dvc = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
        )
        assert wait_until(lambda: (tmp_path / "note").exists(), 60)
        stages.append(psutil.Process(int((tmp_path / "note").read_text())))
        return dvc, stages[0]

    yield start
    for stage in stages:
        with suppress(psutil.NoSuchProcess):
            stage.kill()


def test_a_stage_ends_in_good_order_when_its_dvc_is_killed(tmp_path, started):
    dvc, stage = started({"DVC_STAGE": "train"})
    dvc.kill()
    dvc.wait()
    assert wait_until(lambda: not is_alive(stage), 60)
    assert (tmp_path / "ended").exists()


def test_a_command_started_by_hand_outlives_whoever_started_it(tmp_path, started):
    parent, stage = started({})
    parent.kill()
    parent.wait()
    time.sleep(1)  # twenty looks, were there any
    assert is_alive(stage)
    stage.send_signal(signal.SIGTERM)
    assert wait_until(lambda: not is_alive(stage), 60)


def wait_until(done, seconds):
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(done())


def test_a_packaged_model_ends_with_who_asks_though_its_questions_could_still_come():
    """The pipe of questions stays open here, as while a long answer is being computed."""
    script = ROOT / "src/recgan/registry/ask.py"
    assert script.is_file()  # a missing one would end as early
    asker = (
        "import os, subprocess, sys, time\n"
        f"ask = [sys.executable, '-P', {str(script)!r}, 'model', str(os.getpid())]\n"
        "print(subprocess.Popen(ask, stdin=0).pid, flush=True); time.sleep(600)"
    )
    middle = subprocess.Popen(
        [sys.executable, "-c", asker], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    model = psutil.Process(int(middle.stdout.readline()))
    middle.kill()
    middle.wait()
    assert wait_until(lambda: not is_alive(model), 60)
    middle.communicate()
