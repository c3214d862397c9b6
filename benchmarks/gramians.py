"""Time an epoch of RC-GAN with its losses written out and by Gramians, at several batches.

    python benchmarks/gramians.py [--users 30000] [--items 41000] [--hidden 400] [--batches 128 2048]

Histories are simulated as benchmarks/catalogue.py does; all settings but hidden layers and batches are those
of examples/shop.yaml. Both players make --steps steps each after a first one, in a process of its own on one
thread. Printed are CPU seconds of an epoch, by the mean step; the peak memory; and each player's first loss,
which must agree. The project takes Gramians by itself where batches are larger than the hidden layers.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from catalogue import SHOP, histories

from recgan.recommenders.rcgan import game as rcgan_game
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.settings import load_params


def measured(
    users: int, items: int, hidden: int, batch: int, by_gramians: bool, steps: int
) -> dict[str, Any]:
    """Make the first steps of both players; return seconds of an epoch, GiB, and each first loss."""
    torch.set_num_threads(1)
    rcgan_game.pays = lambda *sizes: by_gramians
    section = load_params(SHOP).candidates["rcgan"]
    assert isinstance(section, RCGANParams)
    view = {"hidden": (hidden,), "batch_size": batch}
    settings = section.model_copy(
        update={side: getattr(section, side).model_copy(update=view) for side in ("generator", "critic")}
    )
    game = rcgan_game.RCGANGame(settings, histories(users, items)[0], torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(game.discriminator.output.weight, std=0.01, generator=rng)
    game.begin_epoch(0)
    found: dict[str, Any] = {"seconds": 0.0}
    optimizers = dict(zip(("discriminator", "generator"), game.optimizers(), strict=True))
    for player, optimizer in optimizers.items():
        began = time.process_time()
        game.begin_turn(player)
        found["seconds"] += time.process_time() - began
        made = -1  # the first step makes room for what all others find, and does not count
        for rows in islice(game.batches(player), steps + 1):
            if made == 0:
                began = time.process_time()
            loss = game.loss(player, rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.setdefault(player, loss.item())
            made += 1
        found["seconds"] += (time.process_time() - began) * game.steps(player) / max(made, 1)
    found["gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=41_000)
    parser.add_argument("--hidden", type=int, default=400)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 2048])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--one", choices=["written out", "gramians"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sizes = options.users, options.items, options.hidden, options.batches[0]
        print(json.dumps(measured(*sizes, options.one == "gramians", options.steps)))
        return
    print(f"{'batch':>6} {'losses':<12} {'CPU s':>8} {'GiB':>6}   first losses of critic and generator")
    for batch in options.batches:
        for way in ("written out", "gramians"):
            command = [sys.executable, __file__, "--one", way, "--batches", str(batch)]
            for name in ("users", "items", "hidden", "steps"):
                command += [f"--{name}", str(getattr(options, name))]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            one = json.loads(done.stdout)
            print(
                f"{batch:>6} {way:<12} {one['seconds']:>8.1f} {one['gib']:>6.2f}   "
                f"{one['discriminator']:.6f} {one['generator']:.6f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
