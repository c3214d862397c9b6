"""Ten nights of a shop whose log grows by a day: python benchmarks/nights.py.

The simulated shop's events are written once, a CSV file a day, and read as own files: earlier days stay the
same. Each night brings every stage up to date with `dvc repro`, registers the challenger, lets the gate judge
it and moves the champion, in a folder and a registry of their own. The first nights know few candidates, the
others more. In one night the item ids are shuffled among all events. Prints a line for each night.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from mlflow import MlflowClient

from recgan.core import layout
from recgan.core.environment import configure

configure()

from recgan.core.files import read_json  # noqa: E402
from recgan.data.sources.shop import ShopSource, simulate_shop  # noqa: E402
from recgan.data.sources.shop_fakes import Fakes  # noqa: E402
from recgan.package.lineage import CANDIDATE  # noqa: E402
from recgan.package.start import asks, bring_start  # noqa: E402
from recgan.package.store import Recommenders, retraining  # noqa: E402
from recgan.registry.enrol import enrol  # noqa: E402
from recgan.registry.promotion import Promotion, judge, promote  # noqa: E402
from recgan.registry.tracking import connect  # noqa: E402
from recgan.settings import load_params, read_with_base  # noqa: E402

ROOT = Path(__file__).parents[1]
FIRST = ("popularity", "itemknn")
"""The candidates of the first nights."""
SMALL: dict[str, dict[str, Any]] = {
    "popularity": {"half_life_days": [None, 3]},
    "itemknn": {"neighbours": [100], "shrink": [10], "asymmetry": [0.5], "half_life_days": [None, 60]},
    "ease": {"l2": [100, 200], "half_life_days": [None, 60]},
    "ials": {"factors": [32], "regularization": [20], "alpha": [2], "iterations": [10]},
    "rcgan": {"epochs": 20, "patience": None, "evaluate_every": 10, "critic_shares": [0, 0.5]},
}
"""What differs from the shop's candidates, so that a night is short."""


def write_days(folder: Path, events: int, days: int) -> list[Path]:
    """Write the shop's events, a file a day; return the files of the days in order."""
    shop = ShopSource(
        source="shop",
        path=Path("raw"),
        feedback=None,
        seed=7,
        events=events,
        days=days,
        end=datetime(2026, 1, 1, tzinfo=UTC),
        pictures=None,
        fakes=Fakes(share=0, styles=("push",), labelled=0),
    )
    tables = simulate_shop(shop)
    columns = ["user_id", "item_id", "event", "timestamp", "value", "price"]
    log = tables.events.select(columns).to_pandas().dropna(subset=["timestamp"])
    folder.mkdir(parents=True)
    tables.items.to_pandas().to_csv(folder.parent / "items.csv", index=False)
    paths = []
    for day, of_day in log.groupby(log["timestamp"].dt.date):
        paths.append(folder / f"{day}.csv")
        of_day.to_csv(paths[-1], index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
    return paths


def make_project(root: Path, items: Path) -> dict[str, Any]:
    """Copy what a night needs, and return its parameters."""
    for name in ("src", "dvc.yaml", "forgotten.json"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, root / name)
    (root / "raw" / "events").mkdir(parents=True)
    shutil.copy(items, root / "raw" / "items.csv")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
    content = read_with_base(ROOT / "examples" / "own-files.yaml")
    columns = ("user_id", "item_id", "event", "timestamp", "value", "price")
    described = ("item_id", "title", "category", "brand", "price")
    content["ingest"] |= {
        "events": "events",
        "items": "items.csv",
        "columns": {name: name for name in columns},
        "item_columns": {name: name for name in described},
    }
    content["register"]["name"] = "nights"
    content["candidates"] = {name: content["candidates"][name] | changes for name, changes in SMALL.items()}
    return content


def shuffled(paths: list[Path], folder: Path) -> None:
    """Write the days with the item ids shuffled among all their events."""
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
    ids = np.random.default_rng(0).permutation(np.concatenate([table["item_id"] for table in tables]))
    for path, table in zip(paths, tables, strict=True):
        table["item_id"], ids = ids[: len(table)], ids[len(table) :]
        table.to_csv(folder / path.name, index=False)


def repro(root: Path, *stages: str) -> None:
    """Bring these stages and those before them up to date, or all."""
    command = [sys.executable, "-m", "dvc", "repro", "-q", *stages]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def run_night(root: Path, content: dict[str, Any], paths: list[Path], poisoned: bool) -> list[Promotion]:
    """Put the night's log and parameters in place, and do what flows/retrain.py does.

    Returns:
        What became of the champion's own retraining, where another candidate leads on validation, and of the
        challenger.
    """
    folder = root / "raw" / "events"
    if poisoned:
        shuffled(paths, folder)
    else:
        for path in paths:
            shutil.copy(path, folder / path.name)
    (root / layout.PARAMS).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    params = load_params(root / layout.PARAMS)
    if asks(params):
        repro(root, "features")
        bring_start(root, params)
    repro(root)
    own, promotions = retraining(root, params), []
    for domain in (*([] if own is None else [own]), Recommenders(root, params)):
        version = enrol(domain).version
        promotions.append(promote(domain, version, judge(domain, version)))
    return promotions


def outcome(promotion: Promotion) -> str:
    """Say what became of a version."""
    if promotion.already_champion:
        return "already champion"
    return "promoted" if promotion.promoted else "refused"


def tags(client: MlflowClient, version: str) -> dict[str, str]:
    """Return the lineage of a version."""
    return dict(client.get_model_version("nights", version).tags)


def nights(
    root: Path, content: dict[str, Any], paths: list[Path], options: argparse.Namespace
) -> Iterator[str]:
    """Run night after night; yield a line of each."""
    client = connect(root)

    def kind(version: str | None) -> str:
        return "none" if version is None else f"{version} ({tags(client, version)[CANDIDATE]})"

    for night in range(1, options.nights + 1):
        begin = time.perf_counter()
        names = FIRST if night <= options.few else tuple(SMALL)
        tonight = content | {"candidates": {name: content["candidates"][name] for name in names}}
        log = paths[: len(paths) - options.nights + night]
        *own, done = run_night(root, tonight, log, poisoned=night == options.poisoned)
        summary = read_json(root / layout.EVALUATION / "summary.json")
        found = {one["name"]: one["validation_ndcg"] for one in summary["candidates"]}
        yield (
            f"| {night}{', shuffled' if night == options.poisoned else ''} | {summary['users']:,} | "
            f"{' · '.join(f'{name} {ndcg:.4f}' for name, ndcg in found.items())} | "
            f"{''.join(f'{kind(one.version)} {outcome(one)}' for one in own) or 'is the challenger'} | "
            f"{kind(done.version)} | {outcome(done)} | {kind(done.champion)} | "
            f"{time.perf_counter() - begin:.0f} s |"
        )
        for reason in (reason for one in (*own, done) for reason in one.decision.reasons):
            if "NDCG" in reason or reason.startswith("✗"):
                yield f"  {reason}"
    yield f"aliases: {dict(client.get_registered_model('nights').aliases)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--few", type=int, default=3, help="nights with the first candidates alone")
    parser.add_argument("--poisoned", type=int, default=7, help="the night with shuffled labels")
    parser.add_argument("--events", type=int, default=70_000)
    parser.add_argument("--days", type=int, default=190)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as name:
        folder = Path(name)
        root = folder / "project"
        root.mkdir()
        os.environ |= {
            "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
            "PYTHONPATH": str(root / "src"),
        }
        paths = write_days(folder / "days", options.events, options.days)
        content = make_project(root, folder / "items.csv")
        print(
            "| night | test users | NDCG@10 on validation | the champion's retraining "
            "| challenger | decision | champion after | |"
        )
        print("|---|---:|---|---|---|---|---|---:|")
        for line in nights(root, content, paths, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
