"""Foretell what shoppers do next with the sequence model's hidden state beside recency, frequency and value.

    python benchmarks/behaviour.py --kept FOLDER [--days 7] [--width 32] [--epochs 8] [--seed 0]

FOLDER is the data/kept that the pipeline makes, beside data/screened. Each arm is fitted and calibrated as
`recgan behaviour` does it. It is measured on the last window but one (validation) and on the last one (test).
What is known of a shopper at a cut is

- rfm: recency, frequency and value, as today;
- hidden: what the encoder makes of the history at the cut, and the days since its last event;
- both: the two side by side.

`earliest` is one encoder, fitted on the log before the earliest cut that any arm learns from: nothing that it
reads was in its training. `judged` is one fitted on the log before the cut that is judged, as a package of
that night would be. It has seen what came after the earlier cuts, though not what is judged.

Prints AUC, average precision, Brier score and calibration error, and of the Brier scores the difference from
rfm by boosting with its interval and p after Holm. Negative differences are better.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.yaml12 import read_yaml
from recgan.daily.behaviour import (
    MOST_CUTS,
    Events,
    Kind,
    Known,
    events_of,
    forecast,
    inputs,
    outcome,
    quality,
)
from recgan.data.events import read_tables
from recgan.data.screened import read_quarantined, without
from recgan.evaluation.significance import compare
from recgan.recommenders.sequence.recommender import Sequence
from recgan.recommenders.sequence.settings import SequenceParams
from recgan.recommenders.sequence.steps import Sequences

WEIGHTS = {"view": 1.0, "cart": 2.0, "purchase": 4.0, "rating": 4.0}
FEWEST = 3  # shoppers of an item that the encoder knows
BLOCK = 512
KINDS: tuple[Kind, ...] = ("boosting", "logistic")


class Histories:
    """The log as a matrix of shoppers and items at any cut."""

    def __init__(self, table: pd.DataFrame, user_ids: NDArray[np.object_]) -> None:
        """Take the kept events, and the shoppers in their order."""
        frame = table[table["user_id"].notna() & table["item_id"].notna()]
        since = table["timestamp"].min()
        self.log = pd.DataFrame(
            {
                "user": pd.Index(user_ids).get_indexer(pd.Index(frame["user_id"])),
                "item": frame["item_id"].to_numpy(),
                "day": (frame["timestamp"] - since) / pd.Timedelta(days=1),
                "worth": frame["event"].map(WEIGHTS),
            }
        )
        self.n_users = len(user_ids)

    def items(self, cut: float) -> NDArray[np.object_]:
        """Return the items that enough shoppers had met by a cut."""
        before = self.log[self.log["day"] <= cut]
        shoppers = before.groupby("item")["user"].nunique()
        return shoppers[shoppers >= FEWEST].index.to_numpy(dtype=object)

    def at(self, cut: float, items: NDArray[np.object_]) -> tuple[csr_array, NDArray[np.float32]]:
        """Return (shoppers, items) confidences at a cut, and the day of each entry."""
        before = self.log[self.log["day"] <= cut]
        before = before.assign(item=pd.Index(items).get_indexer(pd.Index(before["item"])))
        cells = (
            before[before["item"] >= 0]
            .groupby(["user", "item"])
            .agg(day=("day", "max"), worth=("worth", "sum"))
        )
        users, positions = (cells.index.get_level_values(name).to_numpy() for name in ("user", "item"))
        starts = np.searchsorted(users, np.arange(self.n_users + 1))
        matrix = csr_array(
            (cells["worth"].to_numpy(np.float32), positions.astype(np.int32), starts),
            shape=(self.n_users, len(items)),
        )
        return matrix, cells["day"].to_numpy(np.float32)


class Encoded:
    """Histories as an encoder reads them, which has seen the log before one cut."""

    def __init__(self, histories: Histories, cut: float, settings: SequenceParams) -> None:
        """Fit the encoder."""
        self.histories, self.items = histories, histories.items(cut)
        matrix, days = histories.at(cut, self.items)
        self.sequence = Sequence(settings, lambda _: np.maximum(days, 1e-6)).fit(matrix)
        self._found: dict[float, NDArray[np.float64]] = {}

    def hidden(self, cut: float) -> NDArray[np.float64]:
        """Return (shoppers, width + 1) in 0..2; nothing known of a history is 1. The last is its age."""
        if cut not in self._found:
            matrix, days = self.histories.at(cut, self.items)
            network, device = self.sequence.generator, torch.device("cpu")
            sequences = Sequences(matrix, days, self.sequence.settings.max_length, device)
            found = np.zeros((matrix.shape[0], self.sequence.settings.width))
            with torch.no_grad():
                for rows in torch.split(torch.nonzero(sequences.lengths).squeeze(1), BLOCK):
                    steps = sequences.batch(rows)
                    last = network(steps)[torch.arange(len(rows)), steps.lengths - 1]
                    found[rows.numpy()] = last.numpy()
            newest = np.full(matrix.shape[0], np.nan)
            np.fmax.at(newest, np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), days)
            self._found[cut] = np.column_stack([1 + found, cut - newest])
        return self._found[cut]

    def alone(self, events: Events, cut: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Answer as `inputs` does, with what the encoder says."""
        there, _ = inputs(events, cut)
        return there, self.hidden(cut)[there]

    def beside(self, events: Events, cut: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Answer as `inputs` does, and beside it with what the encoder says."""
        there, matrix = inputs(events, cut)
        return there, np.column_stack([matrix, self.hidden(cut)[there, :-1]])


def main() -> None:
    """Fit the encoders, measure every arm, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given, started = parser.parse_args(), time.process_time()
    torch.set_num_threads(1)
    table = without(read_tables(given.kept).events, read_quarantined(given.kept.parent / "screened"))
    events = events_of(table)
    histories = Histories(
        table.select(["user_id", "item_id", "event", "timestamp"]).to_pandas(), events.user_ids
    )
    end = float(events.time.max())
    settings = SequenceParams.model_validate(
        read_yaml(Path(__file__).parents[1] / "examples" / "beauty.yaml")["candidates"]["sequence"]
        | {"width": given.width, "epochs": given.epochs, "seed": given.seed, "batch_size": 128}
        | {"evaluate_every": given.epochs}
    )
    earliest = Encoded(histories, end - (2 + MOST_CUTS) * given.days, settings)
    for window, back in (("validation", 2), ("test", 1)):
        cut = end - back * given.days
        judged = Encoded(histories, cut, settings)
        arms: dict[str, Known] = {
            "rfm": inputs,
            "hidden, earliest": earliest.alone,
            "both, earliest": earliest.beside,
            "hidden, judged": judged.alone,
            "both, judged": judged.beside,
        }
        measure(window, events, cut, given.days, arms)
    print(f"{time.process_time() - started:.0f} s of CPU")


def measure(window: str, events: Events, cut: float, days: float, arms: dict[str, Known]) -> None:
    """Print how good each arm is by each kind of model, and how far its Brier score is from the first."""
    errors: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, known_at in arms.items():
        for kind in KINDS:
            shoppers, found = forecast(events, cut, days, kind, known_at)
            for column, p in found.items():
                came = outcome(events, shoppers, cut, days, column)
                errors.setdefault(column, {})[f"{name}, {kind}"] = (p - came) ** 2
                figures = {
                    one: round(value, 4) for one, value in quality(p, came).items() if value is not None
                }
                print(f"{window} | {column} | {name}, {kind} | {json.dumps(figures)}", flush=True)
    for column, of_arm in errors.items():
        first, *others = of_arm
        for one in compare(of_arm[first], {other: of_arm[other] for other in others}, 2000, 0.95, 0):
            print(
                f"{window} | {column} | Brier, {one.name} minus {first}: {-one.difference:+.4f} "
                f"[{-one.high:+.4f}, {-one.low:+.4f}], p {one.p_holm:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
