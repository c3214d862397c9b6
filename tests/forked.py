"""The process of a package, forked from one that has imported MLflow and torch, which takes seconds."""

import os
import runpy
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from subprocess import PIPE, TimeoutExpired

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "pandas", "pyarrow", "torch", "mlflow.pyfunc"])


class Popen:
    """What registry/asking.py takes of subprocess.Popen, for `python -P SCRIPT MODEL ASKER`."""

    def __init__(self, command, *, stdin, stdout, stderr, cwd, env):
        assert (command[:2], stdin, stdout) == ([sys.executable, "-P"], PIPE, PIPE)
        (asked, ask), (answer, answered) = os.pipe(), os.pipe()
        ends = [Connection(end) for end in (asked, answered, os.dup(stderr.fileno()))]
        self.stdin, self.stdout = os.fdopen(ask, "wb"), os.fdopen(answer, "rb")
        self._process = FORKS.Process(target=_run, args=(command[2:4], ends, cwd, dict(env)))
        self._process.start()
        for end in ends:
            end.close()

    def kill(self):
        self._process.kill()

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("ask.py", timeout)
        return self._process.exitcode


def _run(command, ends, folder, environment):
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin = os.fdopen(0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [*command, str(os.getppid())]
    runpy.run_path(command[0], run_name="__main__")
