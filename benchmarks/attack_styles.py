"""Which styles of campaigns the screen finds in the simulated shop, and which it does not.

    python benchmarks/attack_styles.py [--styles segment …] [--shares 0.01 0.03 0.1] [--seeds 3]
        [--campaign 20] [--params params.yaml]

For each seed a shop without fakes, and in a copy of its log campaigns of one style
(src/recgan/data/campaigns.py): a share of the accounts, so many accounts to a campaign, one product each,
with the days that are usual for the style. The screen has no labels.

Average precision is of the score by which the list is ranked; chance is the share. Recall is the share of
fake accounts that are left out, *genuine* counts the others that are left out: without fakes, and with them.
`max_quarantined_share` is lifted: above it the stage stops.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import ibis
import numpy as np
from sklearn.metrics import average_precision_score

from recgan.accounts.canaries import campaigns, known_log, with_accounts
from recgan.accounts.log import Log, log_of
from recgan.accounts.screen import screen
from recgan.accounts.settings import ScreenParams
from recgan.data.campaigns import STYLES
from recgan.data.quarantine import broken_rules, joined, partition
from recgan.data.sources.shop import ShopSource, simulate_shop
from recgan.settings import Params, load_with_base


def clean_shop(params: Params, seed: int) -> Log:
    """Return the pairs that validate keeps of a shop without fakes."""
    source = params.ingest
    assert isinstance(source, ShopSource)
    none = source.fakes.model_copy(update={"share": 0.0})
    tables = simulate_shop(source.model_copy(update={"seed": source.seed + seed, "fakes": none}))
    kept = partition(tables.events, broken_rules(joined(tables), params.validate_, datetime.now(UTC))).kept
    return log_of(ibis.memtable(kept))


def judged(log: Log, params: ScreenParams, genuine: int) -> dict[str, float]:
    """Screen a log whose accounts are genuine up to some place, and fake from there on."""
    labels = np.full(len(log.user_ids), -1, np.int8)
    accounts = screen(log, labels, params).tables.accounts
    fake = ~np.isin(accounts["user_id"].to_numpy(zero_copy_only=False), log.user_ids[:genuine])
    left_out = accounts["quarantined"].to_numpy(zero_copy_only=False)
    found = {"genuine": float(left_out[~fake].sum())}
    if fake.any():
        found["precision"] = float(average_precision_score(fake, accounts["score"].to_numpy()))
        found["recall"] = float(left_out[fake].mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=STYLES)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.01, 0.03, 0.1])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--campaign", type=int, default=20, help="accounts of a campaign, about")
    parser.add_argument("--params", type=Path, default=Path("examples/shop.yaml"))
    options = parser.parse_args()
    params = load_with_base(options.params)
    section = params.screen.model_copy(update={"max_quarantined_share": 1.0})
    rows: dict[tuple[str, float], list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        log = clean_shop(params, seed)
        known, genuine = known_log(log), len(log.user_ids)
        print(
            f"seed {seed}: {judged(log, section, genuine)['genuine']:.0f} of {genuine} without fakes",
            flush=True,
        )
        for style in options.styles:
            for share in options.shares:
                accounts = max(1, round(share / (1 - share) * genuine))
                rng = np.random.default_rng([seed, STYLES.index(style)])
                number = max(1, round(accounts / options.campaign))
                each = round(accounts / number)
                events = campaigns(style, known, number, each, None, rng)
                found = judged(with_accounts(log, events, number * each), section, genuine)
                rows.setdefault((style, share), []).append(found)
    print("| style | " + " | ".join(f"{100 * share:g} %" for share in options.shares) + " |")
    print("|---|" + "---|" * len(options.shares))
    for style in options.styles:
        cells = []
        for share in options.shares:
            each = rows[style, share]
            precision, recall = (
                "/".join(f"{one[key]:.2f}" for one in each) for key in ("precision", "recall")
            )
            genuine = "/".join(f"{one['genuine']:.0f}" for one in each)
            cells.append(f"{precision}; {recall}; {genuine}")
        print(f"| {style} | {' | '.join(cells)} |")
    print(json.dumps({f"{style} {share:g}": each for (style, share), each in rows.items()}))


if __name__ == "__main__":
    main()
