"""Fit a student on many items and ask it for recommendations: seconds, and the peak memory of either.

    python benchmarks/student.py [--items 100000] [--users 50000] [--shoppers 1000000] [--asked 2048]
        [--block 250]

Synthetic histories of up to 20 items, popularity by a power law, a taste for each thousand items. The teacher
is trained for one epoch on 1,000 drawn users: this measures the student, not what it learned. Fitting and
asking are two processes, so each peak is its own. Asking holds the histories of all shoppers and room for
all their answers, and ranks the first of them in blocks; memory does not depend on how many are ranked.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from recgan.recommenders.student.recommender import Student
from recgan.recommenders.student.settings import StudentParams
from recgan.settings import load_with_base

EXAMPLE = Path(__file__).parents[1] / "examples" / "student-ml100k.yaml"


def histories(users: int, items: int, seed: int) -> csr_array:
    """Draw (users, items): 20 draws a user, four in five of them from the user's taste."""
    rng = np.random.default_rng(seed)
    tastes = max(1, items // 1000)
    popular = (rng.pareto(1, (users, 20)) * 20).astype(np.int64)  # a place in the order of popularity
    own = rng.random((users, 20)) < 0.8
    taste = rng.integers(0, tastes, (users, 1))
    columns = np.where(own, (popular * tastes + taste) % items, popular % items).astype(np.int32)
    rows = np.repeat(np.arange(users, dtype=np.int32), 20)
    matrix = csr_array((np.ones(users * 20, np.float32), (rows, columns.ravel())), shape=(users, items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def peak() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def fit(arguments: argparse.Namespace) -> None:
    example = load_with_base(EXAMPLE).candidates["student"]
    assert isinstance(example, StudentParams)
    sides = {side: getattr(example.teacher, side) for side in ("generator", "critic")}
    small = {side: one.model_copy(update={"hidden": (64,)}) for side, one in sides.items()}
    on_cpu = example.teacher.trainer.model_copy(update={"accelerator": "cpu"})
    settings = example.model_copy(
        update={
            "teacher": example.teacher.model_copy(update={**small, "epochs": 1, "trainer": on_cpu}),
            "teachers": 1,
            "teacher_users": 1000,
            "generated_weights": (4.0,),
            "neighbours": 100,
            "block_items": arguments.block,
        }
    )
    rows = histories(arguments.users, arguments.items, 0)
    start, cpu = time.perf_counter(), time.process_time()
    student = Student(settings).fit(rows)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    student.save(arguments.folder)
    print(
        f"fit: {rows.shape[0]:,} x {rows.shape[1]:,}, {rows.nnz:,} interactions, wall {wall:.0f} s, ", end=""
    )
    print(f"CPU {cpu:.0f} s, {student.parameters:,} weights, {peak()}", flush=True)


def ask(arguments: argparse.Namespace) -> None:
    rows = histories(arguments.shoppers, arguments.items, 1)
    answers = np.zeros((arguments.shoppers, 20), dtype=np.int32)  # and scores: 10 of each
    student = load_recommender(arguments.folder)
    cpu = time.process_time()
    positions, _ = recommend(student, rows[: arguments.asked], 10)
    cpu = (time.process_time() - cpu) / arguments.asked
    answers[: arguments.asked, :10] = positions
    print(f"ask: {arguments.shoppers:,} shoppers held, {arguments.asked:,} ranked, ", end="")
    print(f"{cpu * 1e3:.2f} ms of CPU each, {peak()}, torch imported: {'torch' in sys.modules}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = {"items": 100_000, "users": 50_000, "shoppers": 1_000_000, "asked": 2048, "block": 250}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--part", choices=("fit", "ask"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part is not None:
        (fit if arguments.part == "fit" else ask)(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        for part in ("fit", "ask"):
            subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--part", part, "--folder", folder], check=True
            )


if __name__ == "__main__":
    main()
