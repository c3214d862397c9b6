"""One run at a time: the second waits and says for whom; a dead holder holds nothing."""

import os
import subprocess
import sys
import threading

import pytest

from recgan.core.alone import alone
from tests.conftest import ROOT

HOLDER = (
    "import sys, time; from pathlib import Path; from recgan.core.alone import alone\n"
    "with alone(Path(sys.argv[1]), 'retrain', print):\n"
    "    print('holds', flush=True); time.sleep(600)"
)


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run.lock")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "holds\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_waits_says_so_once_and_goes_on_when_the_first_is_killed(tmp_path, holder):
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        threading.Timer(0.3, holder.kill).start()

    with alone(tmp_path / "run.lock", "retrain", say, seconds=0.05):
        assert holder.wait(timeout=60) != 0
    [line] = said
    assert line.startswith(f"waiting for retrain (process {holder.pid}, since ")
    assert line.endswith(" UTC) to end; Ctrl-C ends the waiting")


def test_nobody_is_waited_for_where_nobody_runs(tmp_path):
    said: list[str] = []
    for _ in range(2):
        with alone(tmp_path / "new/run.lock", "retrain", said.append):
            assert str(os.getpid()) in (tmp_path / "new/run.lock.json").read_text()
    assert said == []
    assert not (tmp_path / "new/run.lock.json").exists()


def test_the_lock_falls_with_an_error(tmp_path):
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), alone(tmp_path / "run.lock", "retrain", said.append):
        raise ZeroDivisionError
    with alone(tmp_path / "run.lock", "retrain", said.append):
        assert said == []


def test_a_holder_that_says_nothing_readable_is_waited_for_all_the_same(tmp_path, holder):
    (tmp_path / "run.lock.json").write_text("{half")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        holder.kill()

    with alone(tmp_path / "run.lock", "retrain", say, seconds=0.05):
        assert said[0].startswith("waiting for another run to end")
