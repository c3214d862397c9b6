"""How well each detector of fake accounts ranks the accounts of a campaign: detector × attack.

    python benchmarks/detectors.py --movielens raw --filmtrust FOLDER [--seeds 3] --out FILE

*MovieLens 100K* (FOLDER/ml-100k/, or it is downloaded): fake profiles, 5 % of accounts, are added to its
ratings. Each has about 5 % of the films as fillers, and pushes one film of the less popular half. A crowd
shops for itself and shares ten jobs. A mimic does half of what one genuine user did and half of what another
did, and pushes its film. Profiles are timed in two ways. *as users*: each takes the times of a genuine
account. *burst*: all come within three days.

*FilmTrust* with 150 injected profiles of an average attack (ratings.txt, labels.txt). Ratings above 4 are cut
down to 4, since only fakes have them. The share of fakes is what the file has, or fakes (5 %) or genuine
accounts (15 %) are left out until it is so large.

The figure is average precision, the mean over seeds; chance is the share of fakes. No detector is given a
label. The screen's score is the one that its list of accounts is ranked by.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from fake_accounts import FAKE, Attack, attacked, draw
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from recgan.accounts.inputs import figures
from recgan.accounts.labelled_set import read_ratings, read_user_labels
from recgan.accounts.log import Log, log_of
from recgan.accounts.screen import screen
from recgan.accounts.settings import ScreenParams
from recgan.data.events import EVENTS, Tables
from recgan.data.sources.movielens import MovieLensSource, read
from recgan.settings import load_with_base

SHARE, FILLER, BURST_DAYS = 0.05, 0.05, 3
ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "average": ("average", {}),
    "random": ("bot", {}),
    "bandwagon": ("bandwagon", {}),
    "segment": ("segment", {}),
    "crowd": ("crowd", {"targets": 10}),
    "mimic": ("farm", {}),  # a farm with one product is a mimic
}
"""Name in the literature → style and options."""


def as_users(attack: Attack, tables: Tables, rng: np.random.Generator) -> Attack:
    """Give each fake account the times of a genuine one, drawn with replacement."""
    genuine = tables.events.to_pandas().groupby("user_id")["timestamp"].apply(np.array).to_numpy()
    accounts = attack.events["user_id"].to_pandas()
    rows = accounts.groupby(accounts).indices.values()
    times = np.empty(len(accounts), dtype=object)
    for some in rows:
        times[some] = rng.choice(genuine[rng.integers(len(genuine))], len(some))
    return _at(attack, pd.to_datetime(pd.Series(times), utc=True))


def in_a_burst(attack: Attack, tables: Tables, rng: np.random.Generator) -> Attack:
    """Let all fake accounts come within a few days."""
    times = tables.events["timestamp"].to_pandas()
    begin = times.min() + rng.random() * (times.max() - times.min() - pd.Timedelta(days=BURST_DAYS))
    days = pd.to_timedelta(rng.uniform(0, BURST_DAYS, attack.events.num_rows), unit="D")
    return _at(attack, pd.Series(begin + days))


def _at(attack: Attack, times: pd.Series) -> Attack:
    place = EVENTS.get_field_index("timestamp")
    column = pa.Array.from_pandas(times.dt.floor("us"), type=EVENTS.field(place).type)
    return replace(attack, events=attack.events.set_column(place, EVENTS.field(place), column))


def precisions(log: Log, fake: NDArray[np.bool_], section: ScreenParams) -> dict[str, float]:
    """Return the average precision of each detector that runs, and of the screen's score."""
    nothing = np.full(len(log.user_ids), -1, dtype=np.int8)
    lifted = section.model_copy(update={"max_quarantined_share": 1.0})
    listed = screen(log, nothing, lifted).tables.accounts.to_pandas().set_index("user_id")
    scores = {
        **figures(log, section.windows_days, section.least_accounts),
        "screen": listed.loc[log.user_ids, "score"].to_numpy(np.float64),
    }
    there = np.bincount(log.user, minlength=len(log.user_ids)) > 0  # a thinned log has empty accounts
    found = {"chance": float(fake[there].mean())}
    for name, values in scores.items():
        ranks = np.unique(np.nan_to_num(values[there], nan=-np.inf), return_inverse=True)[1]
        found[name] = float(average_precision_score(fake[there], ranks))
    return found


def movielens(folder: Path, section: ScreenParams, seeds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each attack, timed in either way, with what `precisions` says of it."""
    tables = read(MovieLensSource(source="movielens-100k", path=folder, feedback=None), folder)
    fillers = FILLER * tables.items.num_rows
    for name, (style, options) in ATTACKS.items():
        for seed in range(seeds):
            drawn = draw(tables, style, SHARE, seed, fillers=fillers, **options)
            for how, timed in (("as users", as_users), ("burst", in_a_burst)):
                attack = timed(drawn, tables, np.random.default_rng([seed, 1]))
                log = log_of(ibis.memtable(attacked(tables, attack).events))
                fake = np.char.startswith(log.user_ids.astype(str), FAKE)
                yield f"{name}, {how}", precisions(log, fake, section)


def thinned(log: Log, fake: NDArray[np.bool_], share: float | None, rng: np.random.Generator) -> Log:
    """Leave fakes or genuine accounts out until fakes are a share of the accounts."""
    if share is None:
        return log
    many = fake.sum() > share / (1 - share) * (~fake).sum()
    ratio = share / (1 - share) if many else (1 - share) / share
    kind = fake if many else ~fake
    out = rng.choice(np.flatnonzero(kind), kind.sum() - round(ratio * (~kind).sum()), replace=False)
    return log.without(np.isin(np.arange(len(fake)), out))


def filmtrust(folder: Path, section: ScreenParams, seeds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each share of fakes with what `precisions` says of it."""
    log = read_ratings(folder / "ratings.txt", None, 4.0)
    fake = read_user_labels(folder / "labels.txt", log, None) == 1
    for share in (None, 0.15, 0.05):
        for seed in range(1 if share is None else seeds):
            named = "FilmTrust, as the file is" if share is None else f"FilmTrust, {100 * share:g} % fakes"
            yield named, precisions(thinned(log, fake, share, np.random.default_rng(seed)), fake, section)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--movielens", type=Path)
    parser.add_argument("--filmtrust", type=Path)
    parser.add_argument("--params", type=Path, default=Path(__file__).parents[1] / "params.yaml")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    section = load_with_base(options.params).screen
    found: dict[str, list[dict[str, float]]] = {}
    for folder, measured in ((options.movielens, movielens), (options.filmtrust, filmtrust)):
        if folder is not None:
            for name, one in measured(folder, section, options.seeds):
                found.setdefault(name, []).append(one)
    options.out.write_text(json.dumps(found, indent=1))
    table = pd.DataFrame({name: pd.DataFrame(of).mean() for name, of in found.items()}).T
    print(f"| | {' | '.join(table.columns)} |\n|---|{'---:|' * table.shape[1]}")
    for name, row in table.iterrows():
        print(f"| {name} | {' | '.join('–' if np.isnan(one) else f'{one:.2f}' for one in row)} |")


if __name__ == "__main__":
    main()
