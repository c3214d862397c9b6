"""Ctrl-C is one line and exit code 130, in the imports of every program too."""

import os
import subprocess
import sys

import pytest

from recgan.core.stopped import STOPPED
from tests.conftest import ROOT


def stopped_in(tmp_path, module, *command):
    """Run a program that is stopped while it imports a module; return how it ends and what it says."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "src")])
    command = [sys.executable, *command]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "command"),
    [
        pytest.param("typer", ["-m", "recgan", "adopt", "export.csv"], id="recgan"),
        pytest.param("typer", ["-c", "from recgan.__main__ import main; main()"], id="the script"),
        pytest.param("pyarrow", ["-m", "recgan", "adopt", "export.csv"], id="inside a command"),
        pytest.param("prefect", ["-m", "flows.automations"], id="automations"),
        *(
            pytest.param("tomllib", ["-m", f"flows.{flow}"], id=flow)
            for flow in ("retrain", "images", "recommend", "monitor", "rollback")
        ),
    ],
)
def test_a_program_that_is_stopped_in_its_imports_says_one_line(tmp_path, module, command):
    assert stopped_in(tmp_path, module, *command) == (130, f"\n{STOPPED}\n")


def test_any_other_error_keeps_its_traceback(tmp_path):
    (tmp_path / "given.py").write_text(
        "from recgan.core.stopped import one_line_for_ctrl_c\none_line_for_ctrl_c()\nraise KeyError('x')\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "given.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("KeyError: 'x'\n")
