"""A package made by recgan 0.1 of 2026-11-28, before its modules moved to rooms, still answers as it did.

RC-GAN with hidden layers of 8 units, trained on the shop of `shop_features`, packaged whole. What stands
below is what it recommended on the day it was made.
"""

import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from recgan.package.asking import QUESTIONS, asking
from recgan.package.packaged import PackagedRecommender
from recgan.registry.manifest import check_package

HISTORIES = [["item-1", "item-7"], ["item-1", "item-8", "gone"], []]
CONFIDENCES = [[1.0, 1.0], [1.0, 4.0, 2.0], []]
AGES = [[0.0, 30.0], None, []]  # it takes none
ITEM_IDS = [
    ["item-31", "item-25", "item-37", "item-19", "item-13"],
    ["item-32", "item-44", "item-20", "item-14", "item-38"],
    ["item-33", "item-35", "item-27", "item-41", "item-20"],
]
SCORES = [
    [0.75012982, 0.73947859, 0.69938171, 0.69931149, 0.65704584],
    [0.52482164, 0.52129853, 0.51163203, 0.50508934, 0.49583298],
    [0.21899486, 0.21749680, 0.20261425, 0.20236568, 0.20065010],
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Unpack it."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(Path(__file__).with_name("registered_before.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def test_todays_code_loads_it_and_it_answers_as_then(model):
    check_package(model)
    artifacts = model / "artifacts"
    packaged = PackagedRecommender.load(artifacts / "recommender", artifacts / "items.json")
    found = packaged.recommend(HISTORIES, 5, True, CONFIDENCES)
    assert [answer.item_ids for answer in found] == ITEM_IDS
    assert [answer.scores for answer in found] == [pytest.approx(row, rel=1e-4) for row in SCORES]
    assert packaged.recommend(HISTORIES, 5, True, CONFIDENCES, AGES) == found  # RC-GAN weighs nothing by age
    assert packaged.catalogue.titles[0] == "Thing 0"
    assert packaged.confidence.half_life_days is None
    assert len(packaged.shoppers.rows) == 150
    assert packaged.shoppers.ages is None


def test_asked_in_its_own_process_its_own_code_answers_as_then(model):
    with asking(model, 5, exclude_seen=True) as answer:
        found = answer(pa.record_batch([HISTORIES, CONFIDENCES, AGES], QUESTIONS)).to_pydict()
    assert found["item_ids"] == ITEM_IDS
    assert found["scores"] == [pytest.approx(row, rel=1e-4) for row in SCORES]
