"""What a campaign of fake accounts does to a recommender, and what the screen gives back.

    python benchmarks/attack.py --kept data/kept --params params.yaml --candidates ease ials rcgan
        [--styles segment …] [--share 0.1] [--seeds 3] [--without-adversary] [--store FOLDER] --out FILE

A campaign of each style (src/recgan/data/campaigns.py) is added to the kept events. It knows the log up to
the test window, and ends before it. Each candidate is fitted as `recgan train` does, on three logs: *before*
has no campaign, *attacked* has it, *screened* has it and leaves out what the screen finds (labels of accounts
are not given to it). With no candidate the screen alone is measured.

*pushed* is the share of genuine test users whose ten have a pushed product that they did not have, the mean
over products. *NDCG* is of all that came to them. Users whom the screen left out are in neither. Each seed
draws its own campaign and is the candidates' seed; a user's figure is the mean over seeds. Intervals and p
are of a paired bootstrap over users, p after Holm. The test window is read once for each fit.

`max_quarantined_share` is lifted here: above it the stage stops, and somebody has to look.

The steps are functions for other benchmarks: `draw`, `attacked` and `screened` of fake_accounts.py beside
this file, and `features_of`, `tens`, `measure`, `summary` and `lines` here. Whatever makes an `Attack` is a
style.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from fake_accounts import FAKE, attacked, draw, figures_of, screened
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.files import replacing
from recgan.data.campaigns import STYLES
from recgan.data.events import Tables, read_tables
from recgan.evaluation.significance import compare
from recgan.features.build import build_features
from recgan.features.matrices import Features, content_md5
from recgan.features.settings import FeaturesParams
from recgan.recommenders.fit import fingerprint, fit, with_seed
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.settings import seed_of
from recgan.recommenders.two_stage.settings import TwoStageParams
from recgan.settings import load_with_base

K, SAMPLES = 10, 10_000


def features_of(tables: Tables, params: FeaturesParams, left_out: Sequence[str] = ()) -> Features:
    """Build the features of tables without some accounts."""
    events, items = ibis.memtable(tables.events), tables.items.to_pandas()
    built = build_features(events, items, params, left_out=pa.array(left_out, pa.string()))
    return replace(built, summary={**built.summary, "md5": content_md5(built)})


def arms(name: str, section: Any, without_adversary: bool) -> Iterator[tuple[str, Any]]:
    """Yield what is fitted of a candidate: itself, and RC-GAN without its adversarial term if wanted."""
    yield name, section
    if without_adversary and isinstance(section, RCGANParams) and section.adversarial:
        yield f"{name} without its adversary", section.model_copy(update={"adversarial": 0.0})


def tens(
    name: str, section: Any, features: Features, store: Path, without_adversary: bool = False
) -> dict[str, NDArray[np.int32]]:
    """Fit as `recgan train` does, and rank the test users.

    Args:
        name: of what is fitted.
        section: of the candidate.
        features: matrices.
        store: where rankings are kept by settings, features and code: a run that was stopped goes on.
        without_adversary: of a candidate in two stages, rank with its variants too: the discriminator that
            was trained against fakes drawn uniformly, and the generator alone.

    Returns:
        Name → (test users, K) positions.
    """
    place = store / f"{fingerprint(section, features, K)}{'-variants' * without_adversary}.npz"
    if not place.exists():
        with TemporaryDirectory() as folder:
            found: Any = fit(section, features, K, Path(folder))[0]
        recommenders = {"": found.recommender}
        if without_adversary and isinstance(section, TwoStageParams):
            variants = found.recommender.ablations
            recommenders |= {f", {key}": variants[key] for key in ("uniform", "generator")}
        seen, window = not features.summary["repeat_purchases"], features.test
        lists: dict[str, Any] = {
            f"list{key}": recommend(one, window.history, K, seen, ages=window.ages)[0]
            for key, one in recommenders.items()
        }
        store.mkdir(parents=True, exist_ok=True)
        with replacing(place) as path, path.open("wb") as file:
            np.savez(file, **lists)
    with np.load(place) as stored:
        return {name + key.removeprefix("list"): stored[key] for key in stored.files}


def measure(ten: NDArray[np.int32], features: Features, targets: Sequence[str]) -> pd.DataFrame:
    """Measure what the genuine test users were shown.

    Args:
        ten: (test users, K) positions, best first.
        features: whose test users they are.
        targets: ids of the products that are pushed.

    Returns:
        By user_id: `pushed`, the share of the pushed products among the ten, of those that the user did not
        have (NaN where that is none), and `ndcg`.
    """
    window = features.test
    places = pd.Index(features.items["item_id"]).get_indexer(list(targets))
    places = np.where(places >= 0, places, window.history.shape[1])  # outside the vocabulary: in no list
    hit = np.stack([(ten == place).any(axis=1) for place in places], axis=1).astype(np.float64)
    history = window.history.copy()
    history.resize(history.shape[0], history.shape[1] + 1)  # nobody has what is outside
    new = csr_array(history[:, places]).toarray() == 0
    share = (hit * new).sum(axis=1) / np.where(new.any(axis=1), new.sum(axis=1), np.nan)
    frame = pd.DataFrame(
        {"pushed": share, "ndcg": ndcg(ten, window.came(), K)},
        index=pd.Index(window.user_ids, name="user_id"),
    )
    return frame[~frame.index.str.startswith(FAKE)]


def summary(states: Mapping[str, Sequence[pd.DataFrame]]) -> dict[str, Any]:
    """Compare a recommender before, attacked and screened.

    Args:
        states: before, attacked, screened → what `measure` returned, one for each seed.

    Returns:
        `users`; and for `pushed` and `ndcg` the mean of each state, of each seed, and the comparisons of
        screened with both others.
    """
    users = set.intersection(*(set(one.index) for frames in states.values() for one in frames))
    users -= {
        user for frames in states.values() for one in frames for user in one.index[one["pushed"].isna()]
    }
    rows = sorted(users)
    told: dict[str, Any] = {"users": len(rows)}
    for metric in ("pushed", "ndcg"):
        of_seeds = {
            state: np.stack([one.loc[rows, metric].to_numpy() for one in frames])
            for state, frames in states.items()
        }
        mean = {state: values.mean(axis=0) for state, values in of_seeds.items()}
        others = {state: values for state, values in mean.items() if state != "screened"}
        told[metric] = {
            "mean": {state: float(values.mean()) for state, values in mean.items()},
            "of_seeds": {state: values.mean(axis=1).tolist() for state, values in of_seeds.items()},
            "screened_minus": [vars(one) for one in compare(mean["screened"], others, SAMPLES, 0.95, 0)],
        }
    return told


def lines(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Write the table of all summaries."""
    states = ("before", "attacked", "screened")
    heads = [
        *(f"pushed {state}" for state in states),
        "p",
        *(f"NDCG {state}" for state in states),
        "− before",
    ]
    yield f"| style | | {' | '.join(heads)} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for style, of_style in results.items():
        for name, one in of_style.items():
            pushed, gain = one["pushed"]["mean"], one["ndcg"]["mean"]
            p = next(each["p_holm"] for each in one["pushed"]["screened_minus"] if each["name"] == "attacked")
            back = next(each for each in one["ndcg"]["screened_minus"] if each["name"] == "before")
            yield (
                f"| {style} | {name} | {pushed['before']:.4f} | {pushed['attacked']:.4f} | "
                f"{pushed['screened']:.4f} | {p:.4f} | {gain['before']:.4f} | {gain['attacked']:.4f} | "
                f"{gain['screened']:.4f} | "
                f"{back['difference']:+.4f} [{back['low']:+.4f}, {back['high']:+.4f}] |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--candidates", nargs="*", default=[])
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=["segment"])
    parser.add_argument("--share", type=float, default=0.1, help="fake accounts of the log's")
    parser.add_argument("--targets", type=int, default=1, help="products that are pushed")
    parser.add_argument("--days", type=float, help="of the push; what is usual in a style without it")
    parser.add_argument("--fillers", type=float, help="of an account; the median history without it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without-adversary", action="store_true")
    parser.add_argument("--store", type=Path, default=Path("checkpoints/attack"), help="of rankings")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    params, tables = load_with_base(options.params), read_tables(options.kept)
    clean = features_of(tables, params.features)
    until = datetime.fromisoformat(clean.summary["cuts"]["test_start"])
    found: dict[str, list[dict[str, float]]] = {style: [] for style in options.styles}
    read: dict[str, dict[str, dict[str, list[pd.DataFrame]]]] = {style: {} for style in options.styles}
    print("without a campaign:", figures_of(screened(tables, params.screen)), flush=True)
    for seed in range(options.seeds):
        more = {"targets": options.targets, "days": options.days, "fillers": options.fillers}
        attacks = {style: draw(tables, style, options.share, seed, until, **more) for style in options.styles}
        logs: dict[tuple[str, str], Features] = {}
        for style, attack in attacks.items():
            fakes = attacked(tables, attack)
            accounts = screened(fakes, params.screen)
            found[style].append(figures_of(accounts))
            print(f"seed {seed}, {style} on {attack.targets}: {found[style][-1]}", flush=True)
            if options.candidates:
                logs[style, "attacked"] = features_of(fakes, params.features)
                left_out = accounts.index[accounts["quarantined"]].tolist()
                logs[style, "screened"] = features_of(fakes, params.features, left_out)
        for candidate in options.candidates:
            section = params.candidates[candidate]
            section = section if seed_of(section) is None else with_seed(section, seed)
            for arm, its in arms(candidate, section, options.without_adversary):
                began = time.process_time()
                for (style, state), features in {("", "before"): clean, **logs}.items():
                    ranked = tens(arm, its, features, options.store, options.without_adversary)
                    for name, ten in ranked.items():
                        for of_style in [style] if style else options.styles:
                            states = read[of_style].setdefault(name, {})
                            measured = measure(ten, features, attacks[of_style].targets)
                            states.setdefault(state, []).append(measured)
                spent = time.process_time() - began
                print(f"  {arm}: the test window is read, {spent:.0f} s of CPU", flush=True)
        results = {style: {name: summary(of) for name, of in read[style].items()} for style in read}
        options.out.write_text(json.dumps({"screen": found, "results": results}, indent=1))
    print("\n".join(lines(results)))


if __name__ == "__main__":
    main()
