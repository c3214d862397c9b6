"""The packaged generator: a class or a shopper in, images out, whatever else is asked in the same call."""

import base64

import numpy as np
import pandas as pd
import pytest

from recgan.core.errors import RecganError
from recgan.images.gan import ImageGAN
from recgan.images.package.packaged import PackagedImages, Wish, write_taste
from recgan.images.pictures import from_png
from recgan.package.packaged import write_items
from tests.images.data import CLASSES, halves, train_settings
from tests.package.conftest import TASTES, shop_features, taste_recommender

CATEGORIES = {"even": "left", "odd": "top"}
"""The table: two of the three categories that the items below have."""


def item_frame():
    """Items whose taste, that is their number modulo six, says their category: 0 even, 1 odd, others none."""
    items = shop_features().items
    taste = items["item_id"].str.removeprefix("item-").astype(int) % TASTES
    return items.assign(category=[{0: "even", 1: "odd", 2: "no such"}.get(number) for number in taste])


@pytest.fixture(scope="module")
def generators():
    return {
        conditional: ImageGAN(
            train_settings(conditional=conditional, epochs=8, generator={"learning_rate": 5e-3}), 8, CLASSES
        ).fit(halves(64))
        for conditional in (True, False)
    }


@pytest.fixture(scope="module")
def packaged(params, generators, tmp_path_factory):
    root = tmp_path_factory.mktemp("package")
    (root / "taste/recommender").mkdir(parents=True)
    (root / "generator").mkdir()
    generators[True].save(root / "generator")
    taste_recommender(params, TASTES).save(root / "taste/recommender")
    write_items(item_frame(), root / "taste/items.json")
    write_taste(item_frame(), CATEGORIES, root / "taste/taste.json")
    return PackagedImages.load(root / "generator", root / "taste")


def pixels(answer):
    return np.stack([from_png(base64.b64decode(image)) for image in answer.images])


def test_a_class_gets_images_of_it(packaged):
    (answer,) = packaged.answer([Wish(of="top")], n=3)
    assert answer.classes == ["top"] * 3
    assert pixels(answer).shape == (3, 8, 8)
    assert not np.array_equal(*pixels(answer)[:2])


def test_equal_seeds_give_equal_images_whatever_else_is_asked(packaged):
    (alone,) = packaged.answer([Wish(of="left")], n=2, seed=4)
    _, beside = packaged.answer([Wish(of="top"), Wish(of="left")], n=2, seed=4)
    assert alone == beside
    assert packaged.answer([Wish(of="left")], n=2, seed=5) != [alone]


def test_a_shopper_gets_the_classes_of_what_is_recommended(packaged):
    even, odd = packaged.answer([Wish(history=("item-0", "item-6")), Wish(history=("item-1",))], n=4)
    assert even.classes == ["left"] * 4
    assert odd.classes == ["top"] * 4
    assert len(even.images) == 4


def test_a_category_without_counterpart_is_left_out(packaged):
    (answer,) = packaged.answer([Wish(history=("item-2",))], n=1000)
    assert set(answer.classes) == {"left", "top"}
    assert len(answer.classes) == 16  # the items of the two categories that have one


def test_a_row_without_a_wish_gets_all_classes_in_turn(packaged):
    (answer,) = packaged.answer([Wish()], n=5)
    assert answer.classes == [*CLASSES, CLASSES[0]]


@pytest.mark.parametrize(
    ("wish", "n", "fault"),
    [
        (Wish(of="cat"), 1, "no class 'cat'; choose one of left, right, top, bottom"),
        (Wish(of="left", history=()), 1, "a class and a history"),
        (Wish(of="left"), 0, "n is 0; ask for 1 to 1000 images"),
        (Wish(of="left"), 1001, "n is 1001"),
    ],
)
def test_what_cannot_be_answered_is_one_clear_error(packaged, wish, n, fault):
    with pytest.raises(RecganError, match=fault):
        packaged.answer([wish], n=n)


def test_a_package_without_a_recommender_answers_classes_alone(generators):
    package = PackagedImages(generators[True], None)
    assert package.answer([Wish(of="left")])[0].classes == ["left"]
    with pytest.raises(RecganError, match="no recommender was packaged"):
        package.answer([Wish(history=("item-1",))])


def test_a_generator_without_classes_answers_the_empty_wish(generators):
    package = PackagedImages(generators[False], None)
    (answer,) = package.answer([Wish()], n=2)
    assert answer.classes == ["", ""]
    assert pixels(answer).shape == (2, 8, 8)
    with pytest.raises(RecganError, match="has no classes"):
        package.answer([Wish(of="left")])


def test_an_item_without_category_is_written_as_none(tmp_path):
    frame = pd.DataFrame({"item_id": ["a", "b"], "category": ["even", np.nan]})
    write_taste(frame, CATEGORIES, tmp_path / "taste.json")
    assert '"b": null' in (tmp_path / "taste.json").read_text()
