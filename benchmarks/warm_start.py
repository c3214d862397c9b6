"""Warm against cold: python benchmarks/warm_start.py --kind rcgan --way anew.

Ten nights of the simulated shop, each a day longer than the one before. A candidate is trained each night:
anew, warm every night, or as recgan does it. Prints products and shoppers that the night before did not know,
epochs, the best one, NDCG@10 on validation (with --test on test too) and processor seconds of the training.
"""

import argparse
import json
import shutil
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from recgan.core.environment import configure

configure()

from recgan.core import layout  # noqa: E402
from recgan.core.files import write_json  # noqa: E402
from recgan.features.build import features_of  # noqa: E402
from recgan.recommenders.fit import fit  # noqa: E402
from recgan.recommenders.ranking import window_ndcg  # noqa: E402
from recgan.settings import Params, load_params, read_with_base  # noqa: E402
from recgan.stages import ingest, validate  # noqa: E402

ROOT = Path(__file__).parents[1]
WAYS = ("anew", "warm", "recgan")
WARM = {"rcgan": 25, "sequence": 4}
"""Epochs of a warm start."""
SMALL = {
    "rcgan": {},
    "sequence": {"width": 64, "learning_rate": 0.001, "batch_size": 128, "evaluate_every": 2},
}


def make_shop(root: Path, kind: str, way: str) -> Params:
    """Write the kept events of the shop, and return the parameters."""
    content: dict[str, Any] = read_with_base(ROOT / "examples" / "shop.yaml")
    content["ingest"] |= {"events": 70_000, "days": 190}
    content["ingest"]["fakes"]["share"] = 0
    found = read_with_base(ROOT / "examples" / ("shop.yaml" if kind == "rcgan" else "beauty.yaml"))
    section = found["candidates"][kind] | SMALL[kind] | {"warm_start": None if way == "anew" else WARM[kind]}
    content["candidates"] = {kind: section}
    (root / layout.PARAMS).write_text(yaml.safe_dump(content), encoding="utf-8")
    ingest(root)
    validate(root)
    return load_params(root / layout.PARAMS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kind", choices=WARM, default="rcgan")
    parser.add_argument("--way", choices=WAYS, default="recgan")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recgan-") as name:
        root = Path(name)
        params = make_shop(root, options.kind, options.way)
        end = datetime.fromisoformat(str(params.ingest.model_dump()["end"]))
        before: tuple[set[str], set[str]] = (set(), set())
        for night in range(1, options.nights + 1):
            until = end - timedelta(days=options.nights - night)
            features = features_of(root / layout.KEPT, pa.array([], pa.string()), params.features, until)
            begin = time.process_time()
            section = params.candidates[options.kind]
            found, _ = fit(section, features, 10, root / f"{night}", root / layout.START, options.kind)
            seconds = time.process_time() - begin
            assert found is not None
            told = found.metrics()
            n_users, n_items = features.train.shape
            known = set(features.items["item_id"][:n_items]), set(features.user_ids[:n_users])
            test = f" | {window_ndcg(found.recommender, features.test, 10, True):.4f}" if options.test else ""
            print(
                f"| {night} | {len(known[0] - before[0])}, {len(known[1] - before[1])} "
                f"| {told.get('began_from') or 'anew'} | {told['epochs']}, {told['best_epoch']} "
                f"| {told['validation_ndcg']:.4f}{test} | {seconds:.1f} | {told.get('warm_start_good')} |",
                flush=True,
            )
            before = known
            if options.way != "anew":
                leave(found, root, options.kind, night, always=options.way == "warm")


def leave(found: Any, root: Path, kind: str, night: int, *, always: bool) -> None:
    """Put what a night left where the next one looks, as the registry and a flow do."""
    shutil.rmtree(root / "model", ignore_errors=True)
    (root / "model").mkdir()
    found.save(root / "model")
    shutil.rmtree(root / layout.START, ignore_errors=True)
    shutil.copytree(root / "model" / layout.WARM, root / layout.START)
    note = root / layout.START / layout.BEGIN
    about = json.loads(note.read_text()) | {"candidate": kind, "version": str(night)}
    write_json(note, about | ({"good": True, "since": 0} if always else {}))


if __name__ == "__main__":
    main()
