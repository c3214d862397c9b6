"""How far a generator of fake accounts pushes products, and what the screen finds of it.

    python benchmarks/generated_attack.py --kept data/kept --params params.yaml --out FILE
        [--shares 0.03 0.1] [--seeds 3] [--candidates ease] [--arms segment generated …]

The generator (benchmarks/generated.py) is trained anew for each campaign, on the log up to the test window.
It pushes the products that the segment attack of the same seed pushes. The epoch is chosen by what the screen
leaves: the push of the accounts that it does not leave out, by EASE fitted anew. The arms:

    segment         the attack of src/recgan/data/campaigns.py, in 3 to 7 days
    drip            the same over 90 to 170 days, with products of its own
    generated       with discriminator and screen in its loss, over the whole log
    week            the same in the last 7 days
    no_judge        without discriminator
    no_screen       without the screen in its loss, nor in the choice of the epoch
    templates       as it begins: near copies of genuine shoppers, with the pushed product

*pushed* and *NDCG* are those of benchmarks/attack.py: the test window is read once for each fit. *AP* is the
average precision of each figure of the screen, its limits as params.yaml has them.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from attack import features_of, measure, summary, tens
from fake_accounts import FAKE, Attack, attacked, draw, events_of, figures_of, known_log, screened
from generated import AttackGame, K, Known, Profiles, Settings
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from sklearn.metrics import average_precision_score

from recgan.accounts.tables import DETECTORS
from recgan.adversarial.play import Progress, play
from recgan.adversarial.schedule import Rules
from recgan.data.campaigns import Campaign
from recgan.data.events import Tables, read_tables
from recgan.data.known_log import FakeEvents, KnownLog
from recgan.data.settings import EVENT_KINDS
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.fit import with_seed
from recgan.recommenders.protocol import recommend
from recgan.settings import load_with_base

TRAINED: dict[str, dict[str, Any]] = {
    "generated": {},
    "week": {},
    "no_judge": {"adversarial": 0.0},
    "no_screen": {"screen": 0.0},
    "templates": {},
}
ARMS = ("segment", "drip", *TRAINED)
RATING = EVENT_KINDS.index("rating")
TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true"}


Screen = Callable[[Profiles], NDArray[np.bool_]]
"""Profiles → which of their accounts the screen leaves out, of the log with them in it."""


def reach(game: AttackGame, profiles: Profiles, gone: NDArray[np.bool_]) -> float:
    """Return the share of genuine shoppers whose ten have a pushed product, without the accounts gone."""
    kept, liked, targets = ~gone[profiles.account], game.known.liked, game.targets.numpy()
    cells = (profiles.account[kept], profiles.item[kept])
    fakes = csr_array((np.ones(int(kept.sum()), np.float32), cells), shape=(len(gone), liked.shape[1]))
    ease = EASE(game.settings.l2).fit(csr_array(vstack([liked, fakes], format="csr")))
    ten, _ = recommend(ease, liked, K)
    hit = np.stack([(ten == target).any(axis=1) for target in targets], axis=1)
    return float(hit[liked[:, targets].toarray() == 0].mean())


def train(game: AttackGame, screen: Screen, every: int = 2) -> Progress:
    """Train the attacker, and leave him as he was in the epoch of which the screen leaves the most push."""

    def look() -> Mapping[str, float]:
        profiles = game.profiles(game.settings.seed)
        gone = screen(profiles)
        pushed, left = (reach(game, profiles, one) for one in (np.zeros_like(gone), gone))
        return {"pushed": pushed, "left": left, "gone": float(gone.mean())}

    rules = Rules(critic_steps=None if game.discriminator is None else 1, clip_generator=5.0)
    return play(
        game,
        epochs=game.settings.epochs,
        trainer={**TRAINER, "max_time": None},
        look=look,
        monitor="left",
        evaluate_every=every,
        label="attacker",
        rules=rules,
    )


def known_of(log: KnownLog, min_rating: float) -> Known:
    """Return the pairs of a log, and those of them that recommenders learn from."""
    frame = pd.DataFrame({"user": log.user, "item": log.item, "day": log.day})
    frame["liked"] = (log.kind != RATING) | (log.value >= min_rating)
    pairs = frame.groupby(["user", "item"], as_index=False).agg({"day": "min", "liked": "any"})
    liked = pairs[pairs["liked"]]
    shape = (int(log.user.max()) + 1, log.items)
    matrix = csr_array((np.ones(len(liked), np.float32), (liked["user"], liked["item"])), shape=shape)
    return Known(pairs["user"].to_numpy(), pairs["item"].to_numpy(), pairs["day"].to_numpy(), matrix)


def played(
    log: KnownLog, profiles: Profiles, targets: NDArray[np.int64], rng: np.random.Generator
) -> Campaign:
    """Return profiles as a campaign: fillers as others deal with products, all liked; targets pressed."""
    end = log.length
    aimed = np.isin(profiles.item, targets) & (targets[profiles.account % len(targets)] == profiles.item)
    rest = Profiles(*(column[~aimed] for column in profiles))
    fillers = log.like_others(rest.account, rest.item, rest.day, end, rng)
    stars = np.where(fillers.kind == RATING, log.scale[1], fillers.value)
    own = Profiles(*(column[aimed] for column in profiles))
    parts = (replace(fillers, value=stars), log.pressed(own.account, own.item, own.day, end, rng))
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in FakeEvents.__annotations__]
    return Campaign(FakeEvents(*joined), targets, float(profiles.day.min()), end)


def generated(
    arm: str, tables: Tables, until: datetime | None, base: Attack, accounts: int, params: Any, seed: int
) -> tuple[Attack, dict[str, Any]]:
    """Train the generator of an arm, and return its attack and the figures of the epoch it is from."""
    events = tables.events
    if until is not None:
        events = events.filter(pc.less(events["timestamp"], pa.scalar(until, events["timestamp"].type)))
    log, _, item_ids = known_log(events)
    targets = np.flatnonzero(np.isin(item_ids, base.targets))
    settings = Settings(seed=seed, **TRAINED[arm])
    days = 7.0 if arm == "week" else log.length
    game = AttackGame(settings, known_of(log, params.features.min_rating), targets, accounts, days)
    start = pc.min(events["timestamp"])

    def written(profiles: Profiles) -> Attack:
        drawn = played(log, profiles, targets, np.random.default_rng(seed))
        return Attack(events_of(drawn, item_ids, tables, start), base.targets)

    def screen(profiles: Profiles) -> NDArray[np.bool_]:
        if arm == "no_screen":
            return np.zeros(accounts, dtype=np.bool_)
        known = Tables(events, tables.items, tables.users)
        found = screened(attacked(known, written(profiles)), params.screen)
        names = [f"{FAKE}{account:06}" for account in range(accounts)]
        return found["quarantined"].reindex(names).to_numpy(dtype=np.bool_)

    told: dict[str, Any] = {}
    if arm != "templates":
        progress = train(game, screen)
        told = {"epoch": progress.best_epoch, **progress.curves[progress.best_epoch - 1]}
    return written(game.profiles(settings.seed)), told


def precisions(accounts: pd.DataFrame) -> dict[str, float]:
    """Return the average precision of each figure of the screen."""
    fake = accounts.index.str.startswith(FAKE)
    there = [name for name in ("score", *DETECTORS) if accounts[name].notna().any()]
    lowest = accounts[there].min()
    return {name: float(average_precision_score(fake, accounts[name].fillna(lowest[name]))) for name in there}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--candidates", nargs="+", default=["ease"])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.03, 0.1], help="of the log's accounts")
    parser.add_argument("--targets", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--store", type=Path, default=Path("checkpoints/attack"), help="of rankings")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    params, tables = load_with_base(options.params), read_tables(options.kept)
    clean = features_of(tables, params.features)
    cuts = clean.summary["cuts"]
    until = datetime.fromisoformat(cuts["test_start"]) if cuts else None
    sections = {name: params.candidates[name] for name in options.candidates}
    rows: list[dict[str, Any]] = []
    frames: dict[tuple[float, str, str], dict[str, list[pd.DataFrame]]] = {}
    n_accounts = len(pc.unique(tables.events["user_id"]))
    for seed in range(options.seeds):
        before = {
            name: tens(name, with_seed(section, seed), clean, options.store)[name]
            for name, section in sections.items()
        }
        for share in options.shares:
            base = draw(tables, "segment", share, seed, until, targets=options.targets)
            accounts = len(pc.unique(base.events["user_id"]))
            for arm in options.arms:
                began, told = time.process_time(), {}
                if arm in TRAINED:
                    attack, told = generated(arm, tables, until, base, accounts, params, seed)
                elif arm == "segment":
                    attack = base
                else:
                    attack = draw(tables, arm, share, seed, until, targets=options.targets)
                log = attacked(tables, attack)
                seen = screened(log, params.screen)
                row = {"seed": seed, "share": share, "arm": arm, **figures_of(seen), "AP": precisions(seen)}
                left_out = seen.index[seen["quarantined"]].tolist()
                states = {"attacked": features_of(log, params.features)}
                if left_out:
                    states["screened"] = features_of(log, params.features, left_out)
                for name, section in sections.items():
                    of = frames.setdefault((share, arm, name), {})
                    of.setdefault("before", []).append(measure(before[name], clean, attack.targets))
                    for state, features in states.items():
                        one = tens(name, with_seed(section, seed), features, options.store)[name]
                        of.setdefault(state, []).append(measure(one, features, attack.targets))
                    if not left_out:
                        of.setdefault("screened", []).append(of["attacked"][-1])
                    row[name] = {
                        state: {key: float(each[-1][key].mean()) for key in ("pushed", "ndcg")}
                        for state, each in of.items()
                    }
                row |= {"trained": told, "cpu": time.process_time() - began}
                rows.append(row)
                print(json.dumps(row), flush=True)
    results = {f"{share:g} {arm} {name}": summary(of) for (share, arm, name), of in frames.items()}
    options.out.write_text(json.dumps({"accounts": n_accounts, "rows": rows, "results": results}, indent=1))
    heads = "accounts | arm | | AP of the score | recall | pushed: before | attacked | screened"
    print(f"| {heads} | NDCG: before | attacked | screened |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (share, arm, name), _ in frames.items():
        one = results[f"{share:g} {arm} {name}"]
        mine = [row for row in rows if row["share"] == share and row["arm"] == arm]
        ap, recall = (float(np.mean([row[key] for row in mine])) for key in ("average_precision", "recall"))
        figures = [f"{one['pushed']['mean'][state]:.4f}" for state in ("before", "attacked", "screened")]
        figures += [f"{one['ndcg']['mean'][state]:.4f}" for state in ("before", "attacked", "screened")]
        print(f"| {share:g} | {arm} | {name} | {ap:.2f} | {recall:.2f} | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
