"""The game continued: the discriminator's judgement back into the generator, against as many plain epochs.

    python benchmarks/two_stage_game.py --features data/features --generator FILE --out game.json

The generator is a sequence model (FILE is its section). In each round its lists are judged, and it takes
further epochs. In the arm `distilled` these are of its own loss and of a divergence from a target, on its
lists for the histories that it was trained on. The target is what a reward with a divergence has in closed
form:

    target ∝ p0 · e^((s − log p0) / β),   p0 the softmax over the list, s the discriminator's score

In the arm `plain` they are of its own loss alone. Then lists and discriminator are made anew. The same is
done to the generator behind the discriminator's training, which has not seen what came. Everything is read
on validation; the test window is not read.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from recgan.core.yaml12 import read_yaml
from recgan.features.matrices import Features, HeldOut, beside, read_features
from recgan.recommenders.ranking import window_ndcg
from recgan.recommenders.sequence.game import SequenceGame
from recgan.recommenders.sequence.recommender import Sequence
from recgan.recommenders.sequence.settings import SequenceParams
from recgan.recommenders.sequence.steps import Sequences
from recgan.recommenders.two_stage.decided import Choice
from recgan.recommenders.two_stage.judged import Judged
from recgan.recommenders.two_stage.lists import lists_of
from recgan.recommenders.two_stage.search import OnValidation, fit_as
from recgan.recommenders.two_stage.statistics import Statistics
from recgan.recommenders.two_stage.windows import windows_of

N, L2, BATCH = 100, 1e-3, 256


class Continued:
    """A fitted generator with the game that goes on, on one matrix."""

    recommender: Any
    game: Any

    def __init__(self, section: SequenceParams, features: Features) -> None:
        self.features = features
        self.recommender = Sequence.unfitted(section, features).fit(features.train)
        self.section = section
        self.recommender.generator.requires_grad_(True)
        assert features.train_times is not None
        self.game = SequenceGame(section, features.train, features.train_times, torch.device("cpu"))
        self.game.generator = self.recommender.generator
        now = features.train_times.max()
        self.ages = beside(features.train, now - features.train_times)
        self.known = Statistics.fit(features.train, features.train_times, features.items)

    def copy(self) -> "Continued":
        """Return one that goes its own way from here."""
        other = object.__new__(Continued)
        other.__dict__.update(self.__dict__)
        again = Sequence.unfitted(self.section, self.features)
        again.__dict__.update(self.recommender.__dict__)
        other.recommender = again
        game = SequenceGame(self.section, self.features.train, self.features.train_times, torch.device("cpu"))
        game.generator.load_state_dict(self.recommender.generator.state_dict())
        again.generator = game.generator
        other.game = game
        return other

    def go_on(self, epochs: int, rate: float, share: float, beta: float, judge: Any, seed: int) -> None:
        """Take further epochs of the own loss, and of the divergence where there is a judge."""
        network, section = self.recommender.generator, self.section
        adam = torch.optim.Adam(network.parameters(), lr=rate)
        rng = torch.Generator().manual_seed(seed)
        matrix = self.features.train
        lists = targets = None
        if judge is not None:
            served = Judged(self.recommender, self.known, judge, N, True)
            parts = []
            for start in range(0, matrix.shape[0], 1024):
                rows, since = (
                    csr_array(matrix[start : start + 1024]),
                    csr_array(self.ages[start : start + 1024]),
                )
                scores = self.recommender.score(rows, since)
                ids, judged, _ = served.judge(scores, rows, since)
                best = np.take_along_axis(scores, ids, axis=1)
                parts.append((ids, best + (judged - best) / beta))
            lists = torch.as_tensor(np.concatenate([one[0] for one in parts]).astype(np.int64))
            targets = torch.as_tensor(np.concatenate([one[1] for one in parts])).softmax(dim=1)
        sequences = Sequences(matrix, self.features.train_times, section.max_length, torch.device("cpu"))
        network.train()
        self.game.begin_epoch(section.epochs)
        for _ in range(epochs):
            self.game.sequences.shuffle_ties(rng)
            for steps in plain_batches(self.game, rng):
                adam.zero_grad()
                loss = self.game.loss("generator", steps)
                if lists is not None:
                    rows = torch.randint(len(lists), (BATCH,), generator=rng)
                    rows = rows[sequences.lengths[rows] > 0]
                    seen = sequences.batch(rows)
                    network.dropout.n_rows = len(rows)
                    last = network(seen)[torch.arange(len(rows)), seen.lengths - 1]
                    chosen = lists[rows].clamp(min=0)
                    aims = network.aims(chosen.reshape(-1)).view(*chosen.shape, -1)
                    told = torch.einsum("bd,bnd->bn", last, aims).log_softmax(dim=1)
                    loss = loss - share * (targets[rows] * told).sum(dim=1).mean()
                loss.backward()
                adam.step()
        network.eval()


def plain_batches(game: Any, rng: torch.Generator) -> Any:
    lengths = game.sequences.lengths[game.users]
    alike = torch.split(game.users[(lengths + torch.rand(len(lengths), generator=rng)).argsort()], BATCH)
    for chosen in torch.randperm(len(alike), generator=rng).tolist():
        yield game.sequences.batch(alike[chosen])


def lists_and_judge(earlier: Continued, came: HeldOut, seed: int) -> Any:
    """Return a discriminator of the earlier generator's lists."""
    proposed, _ = lists_of(earlier.recommender, earlier.known, came, N, True, seed)
    return fit_as(Choice(N, 0, L2, 0), proposed, seed)[0]


def figures(now: Continued, judge: Any, features: Features, k: int) -> dict[str, float]:
    """Return NDCG on validation of the generator alone and of both stages."""
    assert features.validation is not None
    proposed, _ = lists_of(now.recommender, now.known, features.validation, N, True, 0)
    both = OnValidation(proposed, N, features.validation, judge.judge(proposed.head(N).features()))
    return {
        "generator": window_ndcg(now.recommender, features.validation, k, True),
        "two_stage": window_ndcg(both, features.validation, k, True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--beta", type=float, nargs="+", default=[1.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    features = read_features(options.features)
    section = SequenceParams.model_validate(read_yaml(options.generator))
    found, began = [], time.process_time()
    [window] = windows_of(features, 1)
    for seed in range(options.seeds):
        own = section.model_copy(update={"seed": section.seed + seed})
        first = (
            Continued(own, features),
            Continued(own, window.before),
        )
        judge = lists_and_judge(first[1], window.came, seed)
        found.append(
            {"seed": seed, "arm": "start", "round": 0, **figures(first[0], judge, features, options.k)}
        )
        print(found[-1], time.process_time() - began, flush=True)
        for arm, beta in [("plain", 0.0), *(("distilled", beta) for beta in options.beta)]:
            now, earlier = (one.copy() for one in first)
            theirs = judge
            for step in range(1, options.rounds + 1):
                for one in (now, earlier):
                    asked = None if arm == "plain" else theirs
                    one.go_on(options.epochs, options.rate, options.share, beta, asked, 100 * seed + step)
                theirs = lists_and_judge(earlier, window.came, seed)
                shown = figures(now, theirs, features, options.k)
                found.append({"seed": seed, "arm": arm, "beta": beta, "round": step, **shown})
                print(found[-1], time.process_time() - began, flush=True)
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
