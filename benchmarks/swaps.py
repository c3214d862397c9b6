"""Whole folders under stress: readers beside a writer, and writers killed with -9 at any moment.

    python benchmarks/swaps.py [--seconds 20] [--kills 500]

Prints how many reads of data/features were whole, mixed or refused while another process replaced the folder
without a pause; and what was found at the folder's place after each kill, once with the exchange of two names
that Linux has and once with the two renames of systems without it.
"""

import argparse
import collections
import os
import random
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from recgan.core import files
from recgan.core.errors import RecganError
from recgan.core.files import read_whole, replacing
from recgan.features.matrices import Features, HeldOut, content_md5, read_features, write_features


def made(version: str, users: int = 300, items: int = 200) -> Features:
    """Return features whose every part says of which version it is."""
    rng = np.random.default_rng(ord(version))
    matrix = csr_array((rng.random((users, items)) < 0.1).astype(np.float32))
    user_ids = np.array([f"{version}{user}" for user in range(users)], dtype=object)
    table = pd.DataFrame({"item_id": [f"{version}{item}" for item in range(items)]})
    summary = {"repeat_purchases": False, "version": version}
    features = Features(matrix, matrix, user_ids, table, None, HeldOut(user_ids, matrix, matrix), summary)
    return replace(features, summary={**summary, "md5": content_md5(features)})


def is_whole(features: Features) -> bool:
    """Say whether all parts are of one version."""
    named = {features.user_ids[0][0], features.items["item_id"][0][0], features.test.user_ids[0][0]}
    return named == {features.summary["version"]} and content_md5(features) == features.summary["md5"]


def in_child(work) -> int:
    """Start some work in a child of its own and return its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def read_beside_a_writer(folder: Path, seconds: float) -> collections.Counter:
    """Read for a time while a child swaps two versions, and count what was read."""
    versions = made("a"), made("b")

    def swap_for_ever() -> None:
        for number in range(10**9):
            with replacing(folder) as new:
                new.mkdir()
                write_features(versions[number % 2], new)

    with replacing(folder) as new:
        new.mkdir()
        write_features(versions[1], new)
    writer = in_child(swap_for_ever)
    counts: collections.Counter = collections.Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            counts["whole" if is_whole(read_features(folder)) else "mixed"] += 1
        except RecganError:
            counts["refused"] += 1
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    return counts


def version_of(folder: Path) -> str:
    """Return the one version of a folder's files, or say that they are mixed."""
    found = {(folder / name).read_text() for name in "abc"}
    return found.pop() if len(found) == 1 else "mixed"


def kill_writers(folder: Path, kills: int) -> collections.Counter:
    """Kill a writer that swaps without a pause, again and again, and count what stands there afterwards."""

    def swap_for_ever() -> None:
        for number in range(10**9):
            with replacing(folder) as new:
                new.mkdir()
                for name in "abc":
                    (new / name).write_text(str(number))

    counts: collections.Counter = collections.Counter()
    rng = random.Random(0)
    with replacing(folder) as new:
        new.mkdir()
        for name in "abc":
            (new / name).write_text("first")
    for _ in range(kills):
        writer = in_child(swap_for_ever)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        counts["there at once" if folder.exists() else "put back by the next reader"] += 1
        counts["mixed" if read_whole(folder, version_of) == "mixed" else "whole"] += 1
        counts["left behind"] += len(list(folder.parent.glob(f".{folder.name}.*.tmp")))
    with replacing(folder) as new:
        new.mkdir()
    counts["left behind after the next writer"] = len(list(folder.parent.glob(f".{folder.name}.*.tmp")))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--kills", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as name:
        root = Path(name)
        print("reads beside a writer:", dict(read_beside_a_writer(root / "features", options.seconds)))
        print("kills, exchange:", dict(kill_writers(root / "exchanged", options.kills)))
        files._renameat2 = lambda: None
        print("kills, two renames:", dict(kill_writers(root / "renamed", options.kills)))


if __name__ == "__main__":
    main()
