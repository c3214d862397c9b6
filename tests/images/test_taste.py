"""Taste to picture: what is recommended chooses the class, what has no counterpart is left out and said."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.core.files import write_json
from recgan.features.matrices import write_features
from recgan.images.gan import ImageGAN
from recgan.images.package.log import log_package as log_images
from recgan.images.pictures import from_png
from recgan.images.settings import TasteParams, load_images_params
from recgan.images.taste import ask, check_table, classes_of, page, taste, why_not
from recgan.recommenders.classical import save_classical
from recgan.recommenders.popularity.recommender import Popularity
from recgan.registry import log
from tests.images.data import CLASSES, CONTENT, halves, images_params, train_settings
from tests.images.test_stages import make_project
from tests.package.conftest import shop_features

TABLE = {"shoes": "left", "shirts": "top"}
CATEGORIES = ["shoes", "shirts", "wine", None]
SETTINGS = TasteParams.model_validate({**CONTENT["taste"], "classes": TABLE, "shoppers": 4, "k": 6})


class Favourites:
    """Recommends the same items to everyone: those with the lowest positions first."""

    def score(self, user_items, ages=None):
        return np.tile(-np.arange(user_items.shape[1], dtype=np.float32), (user_items.shape[0], 1))


@pytest.fixture(scope="module")
def features():
    built = shop_features()
    n_items = len(built.items)
    items = built.items.assign(
        title=[f"<b>title</b> {item}" for item in range(n_items)],
        category=[CATEGORIES[item % 4] for item in range(n_items)],
    )
    return replace(built, items=items)


@pytest.fixture(scope="module")
def gan():
    return ImageGAN(train_settings(epochs=1), 8, CLASSES).fit(halves(64))


def test_categories_become_classes_in_their_order():
    assert classes_of(["shirts", "wine", None, "shoes", "shirts"], TABLE) == ["top", "left", "top"]


def test_a_table_with_an_unknown_class_is_refused():
    check_table(SETTINGS, CLASSES)
    with pytest.raises(RecganError, match=r"names \['left', 'top'\], but the classes are \['Shirt'\]"):
        check_table(SETTINGS, ["Shirt"])


def test_the_projects_own_table_names_classes_of_fashion_mnist():
    from recgan.data.sources.shop_world import CATEGORIES
    from recgan.images.sources import CLASSES as NAMES

    table = TasteParams.model_validate(CONTENT["taste"])
    check_table(table, NAMES["fashion-mnist"])
    assert set(table.classes) <= set(CATEGORIES)


def test_a_shopper_is_pictured_by_what_is_recommended(features, gan):
    shoppers = ask(SETTINGS, features, Favourites(), gan)
    assert len(shoppers) == 4
    for shopper in shoppers:
        assert len(shopper.recommended) == 6
        wanted = [TABLE[product.category] for product in shopper.recommended if product.category in TABLE]
        assert [picture.of for picture in shopper.pictures] == wanted
        assert sum(number for _, number in shopper.history_categories) == shopper.history_length >= 3
        assert from_png(base64.b64decode(shopper.pictures[0].png)).shape == (8, 8)
    assert ask(SETTINGS, features, Favourites(), gan) == shoppers


def test_the_page_needs_no_other_file_and_says_what_is_left_out(features, gan):
    shown = page(SETTINGS, features, ask(SETTINGS, features, Favourites(), gan), gan)
    assert "Left out, for want of a counterpart: wine." in shown
    assert "shirts as top" in shown
    assert "&lt;b&gt;title&lt;/b&gt;" in shown
    assert "<b>title" not in shown
    assert "http" not in shown.replace("http-equiv", "")
    assert shown.count("data:image/png;base64,") == shown.count("<img")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "the generator writes digits, and the table of taste.classes is for fashion-mnist"),
        (
            {"ingest": {"source": "fashion-mnist"}, "train": {"conditional": False}},
            "the generator has no classes",
        ),
        ({"ingest": {"source": "fashion-mnist"}}, "no data/evaluation: no recommender has been trained"),
    ],
)
def test_where_no_taste_can_be_pictured_the_reason_is_given(tmp_path, changes, reason):
    params = images_params(**changes)
    make_project(tmp_path, params)
    assert reason in why_not(params, tmp_path)
    with pytest.raises(RecganError, match="no pictures of a taste: "):
        taste(root=tmp_path)


@pytest.fixture
def shop(tmp_path, features, gan):
    """A project with a generator and two candidates, each of which recommends one category before all."""
    params = images_params(ingest={"source": "fashion-mnist"}, taste=SETTINGS.model_dump(mode="json"))
    make_project(tmp_path, params)
    write_features(features, made(tmp_path / "data/features"))
    gan.save(made(tmp_path / "images/models/generator"))
    for name in ("shoes", "shirts"):
        liked = (features.items["category"] == name).to_numpy(dtype=np.float32)
        recommender = Popularity().fit(csr_array(liked[None]))
        save_classical(made(tmp_path / "models" / name), "popularity", recommender, {}, None)
    return tmp_path


def made(folder):
    folder.mkdir(parents=True)
    return folder


def challenge(root, name):
    write_json(root / "data/evaluation/summary.json", {"challenger": name})


def test_the_taste_is_what_the_challenger_recommends(shop):
    pages = {}
    for name in ("shoes", "shirts"):
        challenge(shop, name)
        taste(root=shop)
        pages[name] = (shop / "images/reports/taste.html").read_text()
    counts = {name: [page.count(f">{TABLE[one]}<") for one in TABLE] for name, page in pages.items()}
    assert counts["shoes"][0] > counts["shoes"][1]
    assert counts["shirts"][0] < counts["shirts"][1]


def test_what_is_packaged_is_the_challenger(shop, monkeypatch):
    """And its folder alone, with nothing of the other candidates."""
    packed = []

    def look(name, script, artifacts, *more):
        folder = artifacts["taste"]
        packed.append({path.relative_to(folder): path.read_bytes() for path in folder.glob("recommender/*")})

    monkeypatch.setattr(log, "log_package", look)
    for name in ("shoes", "shirts"):
        challenge(shop, name)
        log_images(shop, load_images_params(shop), {})
        folder = shop / "models" / name
        assert packed[-1] == {Path("recommender", path.name): path.read_bytes() for path in folder.iterdir()}
    assert packed[0] != packed[1]
