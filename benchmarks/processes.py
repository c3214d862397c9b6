"""Train in one process and in two on the CPU: steps a second, and what is learned.

    python benchmarks/processes.py [--users 4000] [--items 3000] [--seeds 2] [--out FILE]

RC-GAN with batches of 128, its losses written out, and of 2,048, its losses by Gramians, and the sequence
model, on histories that are drawn here: in one process with one thread, in two with one thread each, and in
one with two threads. Printed are steps a second, of all players by the wall, and the CPU seconds of all
processes for a thousand steps, both beyond the first epoch; and the NDCG@10 of held-out items of each seed.
Few epochs are trained: what is learned is there to be compared, not to be good.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from gpu import held_out_ndcg, make_shop, rcgan_settings, sequence_settings

from recgan.adversarial.processes import is_first, joined, of_all, start
from recgan.adversarial.settings import ONE_DEVICE, TrainerParams
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.sequence.recommender import Sequence

KINDS = {"RC-GAN, 128 rows": 4, "RC-GAN, 2,048 rows": 9, "sequence": 4}
"""What is trained → epochs."""
ALONE = TrainerParams(accelerator="cpu", precision="32-true", max_time=None, **ONE_DEVICE)
TWO = ALONE.model_copy(update={"devices": 2, "strategy": "ddp_find_unused_parameters_true"})


def measured(kind: str, seed: int, users: int, items: int, trainer: TrainerParams) -> dict[str, Any]:
    """Train for an epoch, then for all of them; return what the difference took."""
    shop = make_shop(users, items, 20)
    hidden, batch = 200, 2048 if "2,048" in kind else 128
    times = np.random.default_rng(0).random(shop.train.nnz).astype(np.float32)

    def fitted(epochs: int) -> Any:
        if kind == "sequence":
            return Sequence(sequence_settings(64, epochs, seed, trainer), lambda _: times).fit(shop.train)
        return RCGAN(rcgan_settings(hidden, epochs, seed, trainer, batch)).fit(shop.train)

    taken = []
    for epochs in (1, 1, KINDS[kind]):  # at first it imports
        wall, cpu = time.perf_counter(), time.process_time()
        recommender = fitted(epochs)
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    views = (users,) if kind == "sequence" else (users, items)
    steps = sum(-(-rows // batch) for rows in views) * (KINDS[kind] - 1)
    return {
        "steps/s": steps / (taken[2][0] - taken[1][0]),
        "cpu": 1000 * (taken[2][1] - taken[1][1]) / steps,
        "ndcg": held_out_ndcg(recommender, shop) if is_first() else 0.0,
    }


def work(out: Path, seeds: int, users: int, items: int, processes: int, threads: int) -> None:
    """Measure in this process, which is one of so many."""
    torch.set_num_threads(threads)
    trainer = ALONE if processes == 1 else TWO
    with joined(trainer):
        for kind in KINDS:
            found = [measured(kind, seed, users, items, trainer) for seed in range(seeds)]
            speed, cpu = (np.mean([one[name] for one in found]) for name in ("steps/s", "cpu"))
            cpu = sum(of_all(cpu)) if processes > 1 else cpu
            if is_first():
                ndcg = ", ".join(f"{one['ndcg']:.5f}" for one in found)
                print(
                    f"| {kind} | {processes} x {threads} | {speed:,.1f} | {cpu:,.1f} | {ndcg} |", flush=True
                )
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([kind, processes, threads, speed, cpu, found]) + "\n")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("/dev/null"), help="append all figures here as JSON")
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.out, options.seeds, options.users, options.items, *options.work)
        return
    columns = "| training | processes x threads | steps/s | CPU s for 1,000 steps | NDCG@10 |"
    print(f"{columns}\n|---|---|---:|---:|---|", flush=True)
    for processes, threads in ((1, 1), (2, 1), (1, 2)):
        # torchrun's agent starts one process as it starts two
        trainer = TWO.model_copy(update={"devices": processes})
        sizes = {"users": options.users, "items": options.items, "seeds": options.seeds, "out": options.out}
        asked = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
        start(trainer, [__file__, *asked, "--work", str(processes), str(threads)])


if __name__ == "__main__":
    main()
