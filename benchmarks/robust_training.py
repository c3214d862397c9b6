"""Does a training that expects an attack help where the screen finds none?

    python benchmarks/robust_training.py --kept data/kept --params params.yaml --out FILE
        [--styles segment drip] [--share 0.1] [--seeds 3]

Two trainings, each fitted before, attacked and screened as benchmarks/attack.py does:

*Perturbed vectors.* A matrix factorisation by pairs (BPR, Rendle et al., UAI 2009) whose user is the sum of
the vectors of a history over √length, as it has to score histories. Its arms:

    plain     Σ softplus(s_uj - s_ui)
    apr       + the same with u, i and j moved by ε along their gradients (He et al., APR, SIGIR 2018)
    pama      + the same, ε times a size of the user's own, λ σ(‖u‖² / mean ‖u‖² - 1), λ = 2
              (Zhang et al., PamaCF, NeurIPS 2024)

ε, which counts from the fourth epoch on, is chosen by NDCG on validation, on the first seed's attacked log:
nobody who trains knows of an attack.

*Canaries.* Simulated campaigns of four styles are added to the log (1 % of its accounts each). They are known
to be fake. Taken with weight 0 they change nothing. What can be learned from them:

    weighed          EASE whose accounts weigh 1 - p: p from gradient boosting on the screen's figures,
                     canaries against all others, out of fold
    weighed, other   the same without the style that attacks among the canaries
    negative         EASE on XᵀX - YᵀY, Y the canaries: what they bought together counts against itself
"""

import argparse
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from attack import K, features_of, measure, summary
from fake_accounts import FAKE, Attack, attacked, draw, screened
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict
from torch import Tensor
from torch.nn.functional import normalize, softplus

from recgan.accounts.tables import DETECTORS
from recgan.data.events import Tables, read_tables
from recgan.features.matrices import Features
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.linear import item_gram
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import window_ndcg
from recgan.settings import load_with_base

WIDTH, RATE, EPOCHS, BATCH, DECAY = 64, 0.01, 10, 2048, 1e-2
LAMBDA = 2.0
EPSILONS = (0.02, 0.1)
RIDGES = (100.0, 200.0, 400.0)
CANARY = "canary-"
CANARIES, CANARY_SHARE = ("bot", "segment", "farm", "drip"), 0.01


class Pairwise:
    """A history's summed vectors against the items'."""

    def __init__(self, kind: str, epsilon: float, seed: int) -> None:
        self.kind, self.epsilon, self.seed = kind, epsilon, seed

    def fit(self, user_items: csr_array) -> "Pairwise":
        """Learn from all pairs, each against one item that its user lacks."""
        rng = torch.Generator().manual_seed(self.seed)
        held = torch.as_tensor(user_items.toarray() != 0)
        matrix, lengths = held.float(), held.sum(dim=1)
        users, items = torch.nonzero(held & (lengths > 1)[:, None], as_tuple=True)
        n_items = held.shape[1]
        read, write = ((0.1 * torch.randn(n_items, WIDTH, generator=rng)).requires_grad_() for _ in range(2))
        optimizer = torch.optim.Adam([read, write], lr=RATE)
        for epoch in range(EPOCHS):
            for pairs in torch.randperm(len(users), generator=rng).split(BATCH):
                user, item = users[pairs], items[pairs]
                other = torch.randint(n_items, (len(pairs),), generator=rng)
                of = ((matrix @ read)[user] - read[item]) / (lengths[user] - 1).sqrt()[:, None]
                loss = self._loss(of, write[item], write[other], ~held[user, other], epoch >= 3)
                loss = loss + DECAY * (read.square().sum() + write.square().sum()) / 2 / 100
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.read, self.write = read.detach().numpy(), write.detach().numpy()
        return self

    def _loss(self, user: Tensor, item: Tensor, other: Tensor, counts: Tensor, moved: bool) -> Tensor:
        def rank(user: Tensor, item: Tensor, other: Tensor) -> Tensor:
            return (softplus((user * (other - item)).sum(dim=1)) * counts).sum() / counts.sum()

        loss = rank(user, item, other)
        if self.kind == "plain" or not moved:
            return loss
        vectors = (user, item, other)
        slopes = torch.autograd.grad(loss, vectors, retain_graph=True)
        size = torch.full((len(user), 1), self.epsilon)
        if self.kind == "pama":
            scale = user.detach().square().sum(dim=1, keepdim=True)
            size = size * LAMBDA * torch.sigmoid(scale / scale.mean() - 1)
        steps = [normalize(slope, dim=1) * size for slope in slopes]
        return loss + rank(*(vector + step for vector, step in zip(vectors, steps, strict=True)))

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history."""
        length = np.maximum(np.diff(user_items.indptr), 1)[:, None]
        scores: NDArray[np.float32] = ((user_items != 0) @ self.read / np.sqrt(length)) @ self.write.T
        return scores


def weighed(features: Features, weights: pd.Series, minus: csr_array | None = None) -> EASE:
    """Return EASE whose users have weights, its ridge chosen on validation."""
    of = weights.reindex(features.user_ids).fillna(1.0).to_numpy(np.float64)
    exclude = not features.summary["repeat_purchases"]

    def fitted(matrix: csr_array, ridge: float) -> EASE:
        gram = item_gram(matrix, of[: matrix.shape[0]])
        if minus is not None:
            less = csr_array(minus[:, : matrix.shape[1]])
            gram -= (less.T @ less).toarray()
        return EASE(ridge).fit(matrix, gram)

    assert features.validation is not None
    found = [window_ndcg(fitted(features.train, one), features.validation, K, exclude) for one in RIDGES]
    return fitted(features.train_validation, RIDGES[int(np.argmax(found))])


def renamed(attack: Attack, number: int) -> pa.Table:
    """Return an attack's events with the ids of canaries."""
    ids = [f"{CANARY}{number}-{user}" for user in attack.events["user_id"].to_pylist()]
    place = attack.events.column_names.index("user_id")
    return attack.events.set_column(place, attack.events.schema.field(place), pa.array(ids, pa.string()))


def with_canaries(
    tables: Tables, known: Tables, styles: Sequence[str], seed: int, until: datetime
) -> tuple[Tables, pa.Table]:
    """Return a log with canaries, drawn from what was known, and their events."""
    drawn = [
        draw(known, style, CANARY_SHARE, 1000 + 10 * seed + number, until, targets=1)
        for number, style in enumerate(styles)
    ]
    events = pa.concat_tables([renamed(one, number) for number, one in enumerate(drawn)])
    return Tables(pa.concat_tables([tables.events, events]), tables.items, tables.users), events


def suspicion(log: Tables, params: Any) -> pd.Series:
    """Return how much each account but the canaries looks like one, out of fold."""
    seen = screened(log, params.screen)
    sizes = pd.Series(log.events["user_id"].to_pylist()).value_counts().reindex(seen.index)
    columns = [name for name in DETECTORS if seen[name].notna().any()]
    table = seen[columns].astype(float).assign(size=np.log(sizes))
    canary = seen.index.str.startswith(CANARY)
    boosting = HistGradientBoostingClassifier(
        max_iter=60, min_samples_leaf=10, class_weight="balanced", random_state=0
    )
    chance = cross_val_predict(boosting, table.to_numpy(), canary, cv=5, method="predict_proba")[:, 1]
    return pd.Series(chance, seen.index)[~canary]


def cells(events: pa.Table, features: Features) -> csr_array:
    """Return (canaries, items) 1 where one has a product of the vocabulary."""
    pairs = events.select(["user_id", "item_id"]).to_pandas().drop_duplicates()
    place = pd.Index(features.items["item_id"]).get_indexer(pairs["item_id"])
    rows = pairs["user_id"].factorize()[0][place >= 0]
    shape = (int(rows.max()) + 1, len(features.items))
    return csr_array((np.ones(len(rows)), (rows, place[place >= 0])), shape=shape)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--styles", nargs="+", default=["segment", "drip"])
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--targets", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=["pairs", "canaries"], default=["pairs", "canaries"])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    params, tables = load_with_base(options.params), read_tables(options.kept)
    clean = features_of(tables, params.features)
    until = datetime.fromisoformat(clean.summary["cuts"]["test_start"])
    frames: dict[str, dict[str, dict[str, list[pd.DataFrame]]]] = {style: {} for style in options.styles}
    chosen: list[Any] = []
    epsilons = {"plain": 0.0}
    for seed in range(options.seeds):
        for style in options.styles:
            attack = draw(tables, style, options.share, seed, until, targets=options.targets)
            log = attacked(tables, attack)
            seen = screened(log, params.screen)
            left_out = seen.index[seen["quarantined"]].tolist()
            states = {
                "before": clean,
                "attacked": features_of(log, params.features),
                "screened": features_of(log, params.features, left_out),
            }
            of = frames[style]

            def read(arm: str, state: str, one: Any, features: Features) -> None:
                ten, _ = recommend(one, features.test.history, K)
                found = measure(ten, features, attack.targets)  # noqa: B023
                of.setdefault(arm, {}).setdefault(state, []).append(found)  # noqa: B023

            none = pd.Series(dtype=float)
            for state, features in states.items():
                read("EASE", state, weighed(features, none), features)
            for kind in ("plain", "apr", "pama") if "pairs" in options.parts else ():
                if kind not in epsilons:
                    its = states["attacked"]
                    assert its.validation is not None
                    scores = [
                        window_ndcg(Pairwise(kind, size, seed).fit(its.train), its.validation, K, True)
                        for size in EPSILONS
                    ]
                    epsilons[kind] = EPSILONS[int(np.argmax(scores))]
                    chosen.append([kind, epsilons[kind], scores])
                for state, features in states.items():
                    one = Pairwise(kind, epsilons[kind], seed).fit(features.train_validation)
                    read(kind, state, one, features)
            if "canaries" in options.parts:
                for arm, styles in (
                    ("weighed", CANARIES),
                    (
                        "weighed, other",
                        [one for one in CANARIES if one not in (style, *_LIKE.get(style, ()))],
                    ),
                ):
                    for state, base in {"before": tables, "attacked": log}.items():
                        chance = suspicion(with_canaries(base, tables, styles, seed, until)[0], params)
                        read(arm, state, weighed(states[state], 1 - chance), states[state])
                        fake = chance.index.str.startswith(FAKE)
                        chosen.append([seed, style, arm, state, chance[fake].mean(), chance[~fake].mean()])
                for state, base in {"before": tables, "attacked": log}.items():
                    less = cells(with_canaries(base, tables, CANARIES, seed, until)[1], states[state])
                    read("negative", state, weighed(states[state], none, less), states[state])
                for arm in ("weighed", "weighed, other", "negative"):
                    of[arm]["screened"] = of[arm]["attacked"]
            print(seed, style, json.dumps(chosen[-4:]), flush=True)
        results = {style: {arm: summary(of) for arm, of in arms.items()} for style, arms in frames.items()}
        options.out.write_text(json.dumps({"chosen": chosen, "results": results}, indent=1))
    for style, arms in results.items():
        for arm, one in arms.items():
            told = [
                f"{one[key]['mean'][state]:.4f}"
                for key in ("pushed", "ndcg")
                for state in ("before", "attacked", "screened")
            ]
            print(f"| {style} | {arm} | " + " | ".join(told) + " |")


_LIKE = {"segment": ("drip",), "drip": ("segment",)}
"""Styles that differ in their length alone."""


if __name__ == "__main__":
    main()
