"""A project of tiny matrices whose searches take moments."""

import shutil
from functools import cache

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.sparse import csr_array

from recgan.features.matrices import Features, HeldOut, write_features
from recgan.tuning.search_space import CLASSICAL, GANS
from recgan.use import whole
from tests.adversarial.laws import TRAINER
from tests.conftest import ROOT

ALL = [*CLASSICAL, *GANS]


def features(seed=0, ages=False):
    """Even users like even items, with noise; some of it withheld for validation, some for test.

    Args:
        seed: of the likes.
        ages: True dates every like: what is against the user's taste is of long ago.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((40, 24))
    likes = rng.random((40, 24)) < np.where(rows % 2 == columns % 2, 0.7, 0.1)
    part = rng.choice(3, (40, 24), p=[0.6, 0.2, 0.2])
    train, later, last = (csr_array((likes & (part == which)).astype(np.float32)) for which in range(3))
    ids = np.array([f"u{row}" for row in range(40)], dtype=object)
    both = csr_array(train + later)
    days = np.where(rows % 2 == columns % 2, 90, 10)
    times = [days[part.nonzero()].astype(np.float32) if ages else None for part in (train, both)]
    old = [days_since(part, when) for part, when in zip((train, both), times, strict=True)]
    return Features(
        train=train,
        train_validation=both,
        user_ids=ids,
        items=pd.DataFrame({"item_id": [f"i{column}" for column in range(24)]}),
        validation=HeldOut(ids, train, later, old[0], np.full(later.nnz, 100.0) if ages else None),
        test=HeldOut(ids, both, last, old[1], np.full(last.nnz, 100.0) if ages else None),
        summary={"repeat_purchases": False, "md5": f"of {seed}"},
        train_times=times[0],
        train_validation_times=times[1],
    )


def days_since(part, times):
    """Return the age of each like on day 100."""
    return None if times is None else csr_array((100 - times, part.indices, part.indptr), shape=part.shape)


@pytest.fixture
def project(tmp_path):
    """Make a project of tiny matrices whose GANs train for moments."""

    def make(name="project", built=None, params="examples/shop.yaml", **spaces):
        root = tmp_path / name
        (root / "data/features").mkdir(parents=True)
        write_features(built or features(), root / "data/features")
        shutil.copytree(ROOT / "examples", root / "examples")
        (root / "params.yaml").write_bytes(whole(ROOT / params)[0])
        for path in [root / "params.yaml", *(root / "examples").iterdir()]:
            path.write_text(tiny(path.read_text()))
        content = yaml.safe_load((ROOT / "search.yaml").read_text())
        for section in content.values():
            for parameter, values in section["space"].items():
                if parameter.endswith("hidden"):
                    values["choices"] = [[8], [12]]
        for recommender, space in spaces.items():
            content[recommender]["space"] = space
        (root / "search.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return root

    return make


def line_of(section):
    """Write a section as the params files do, in one line."""
    return yaml.safe_dump(section, default_flow_style=True, sort_keys=False, width=200).strip()


SMALL = {
    "epochs": "4",
    "evaluate_every": "2",
    "hidden": "[8]",
    "trainer": line_of(TRAINER),
    "batch_size": "16",
}


@cache
def tiny(text):
    """Shorten a params file's training by hand, its comments kept."""
    lines = []
    for line in text.splitlines():
        name = line.strip().split(":")[0]
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}{name}: {SMALL[name]}" if name in SMALL else line)
    return "\n".join(lines) + "\n"


def edit_params(root, change):
    """Change the candidates of params.yaml, whose comments go."""
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    change(content["candidates"])
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def came_to(found):
    return [(trial.settings, trial.ndcg, trial.failure) for trial in found.trials]


def edit(root, change):
    content = yaml.safe_load((root / "search.yaml").read_text())
    change(content)
    (root / "search.yaml").write_text(yaml.safe_dump(content))
