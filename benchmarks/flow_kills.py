"""Kill a flow at random moments and count what stays: python benchmarks/flow_kills.py --runs 20.

Each `python -m flows.retrain` works in a copy of the project on other simulated events than the one before,
so that its stages have something to do, and is killed with -9 within a second of a drawn line of its log (a
drawn time would fall on the start of most runs where the machine is busy). Counted are the processes that
live on, the temporary folders, those that are still there after the next start, and the locks that are held.
At the end an undisturbed run must come to its end.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import yaml
from filelock import FileLock, Timeout

ROOT = Path(__file__).parents[1]
GRACE = 60.0  # seconds for what was left to end; what takes longer stays
SMALL = {
    "ingest": {"events": 8000},
    "validate": {"min_events": 500},
    "features": {"split": {"kind": "time", "validation_days": 30, "test_days": 30}},
    "evaluate": {"bootstrap_samples": 1000},
}
"""What makes examples/shop.yaml small."""


def make_project(root: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
    write_params(root, 0)


def write_params(root: Path, seed: int) -> None:
    params = yaml.safe_load((root / "examples/shop.yaml").read_text())
    for section, changes in SMALL.items():
        params[section].update(changes)
    params["candidates"]["rcgan"].update(epochs=2, evaluate_every=1)
    params["ingest"]["seed"] = seed
    params["register"]["gate"]["must_beat"] = []
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def processes(root: Path) -> list[psutil.Process]:
    """Return the living processes that work in the project or were started with its temporary folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and (
                process.environ().get("TMPDIR") == str(root.parent / "tmp") and process.pid != os.getpid()
            ):
                found.append(process)
    return found


def locked(root: Path) -> bool:
    try:
        with FileLock(root / ".recgan/stages.lock", timeout=0):
            return False
    except Timeout:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--lines", type=int, default=30, help="of the log, within which the kill falls")
    options = parser.parse_args()
    rng, counts = random.Random(0), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        root, tmp = Path(folder) / "project", Path(folder) / "tmp"
        tmp.mkdir()
        make_project(root)
        environment = os.environ | {
            "TMPDIR": str(tmp),
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name in ("PREFECT_HOME", "PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
            environment.pop(name, None)
        command = [sys.executable, "-m", "flows.retrain"]
        for number in range(options.runs):
            write_params(root, number + 1)
            left_before = {path.name for path in tmp.iterdir()}
            with (Path(folder) / "log").open("w") as log:
                flow = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
                line = rng.randrange(options.lines)
                while flow.poll() is None and len(Path(log.name).read_text().splitlines()) < line:
                    time.sleep(0.2)
                time.sleep(rng.random())
                started = len(processes(root))
                flow.kill()
                flow.wait()
            deadline = time.monotonic() + GRACE
            while (left := processes(root)) and time.monotonic() < deadline:
                time.sleep(0.5)
            there = {path.name for path in tmp.iterdir()}
            counts["processes that ran"] += started
            counts["processes left"] += len(left)
            counts["locks left"] += locked(root)
            counts["temporary folders left by the kill"] += len(there - left_before)
            counts["temporary folders of the kill before, left after this start"] += len(there & left_before)
            for process in left:
                print("left:", process.pid, " ".join(process.cmdline())[:200])
                process.kill()
            said = (Path(folder) / "log").read_text().splitlines() or ["nothing"]
            print(f"kill {number + 1}: {dict(counts)}; it had said: {said[-1][:120]}", flush=True)
        left_before = {path.name for path in tmp.iterdir()}
        last = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        counts["temporary folders at the end"] = len(list(tmp.iterdir()))
        end = f"the undisturbed run after them ends with {last.returncode}"
        if last.returncode:
            end += f": {last.stderr[-500:]}"
        shutil.rmtree(root, ignore_errors=True)
    print(f"{datetime.now(UTC):%Y-%m-%d}: {options.runs} kills; {dict(counts)}; {end}")


if __name__ == "__main__":
    main()
