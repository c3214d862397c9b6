"""A tiny shop in a registry of its own, and the app that serves it."""

import time

import pytest
from fastapi.testclient import TestClient

from recgan.features.matrices import write_features
from recgan.package import store
from recgan.package.store import Recommenders
from recgan.registry.enrol import enrol
from recgan.registry.tracking import connect
from recgan.serving.app import create_app
from tests.package.conftest import (  # noqa: F401  (fixtures)
    ITEMS,
    TASTES,
    make_project,
    named_so,
    params,
    shop_features,
    store_env,
    store_uri,
    write_lock,
)

LIMIT = 60.0  # seconds
PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'/%3E"


def catalogued_features():
    """The shop with titles, categories (the tastes), prices and pictures; some items lack some of it."""
    features = shop_features()
    items = features.items.assign(
        title=[f"Item {item}" for item in range(ITEMS)],
        category=[f"taste-{item % TASTES}" for item in range(ITEMS)],
        price=[float(item) for item in range(ITEMS)],
        mean_price=100.0,
        image_url=[None if item % 5 == 4 else PICTURE for item in range(ITEMS)],
    )
    items.loc[13, "price"] = float("nan")
    items.loc[[19], ["category", "title"]] = None
    items.loc[31, ["price", "mean_price"]] = float("nan")
    return type(features)(**(vars(features) | {"items": items}))


def register(folder, params, name, good_tastes=TASTES):  # noqa: F811
    """Register a recommender that knows some tastes; return the version."""
    named = named_so(params, name)
    root = make_project(folder, named, good_tastes=good_tastes)
    write_features(catalogued_features(), root / "data" / "features")
    write_lock(root)
    return enrol(Recommenders(root, named)).version


def promote(name, version):
    connect().set_registered_model_alias(name, "champion", version)


def until(condition):
    """Wait for what another thread brings about."""
    ends = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def shop(params, store_uri, tmp_path_factory):  # noqa: F811
    """The name of a registered model with two versions, the first one the champion."""
    name = f"shop-{tmp_path_factory.mktemp('name').name}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_uri)
        folder = tmp_path_factory.mktemp("projects")
        assert register(folder / "good", params, name) == "1"
        assert register(folder / "poor", params, name, good_tastes=3) == "2"
        promote(name, "1")
        yield name


@pytest.fixture(scope="module")
def client(shop, tmp_path_factory):
    """The app with the champion loaded, which does not look at the registry again and logs its answers."""
    folder = tmp_path_factory.mktemp("own")
    app = create_app(shop, poll_seconds=3600, impressions=folder / "log", rules=folder / "rules.json")
    with TestClient(app, raise_server_exceptions=False) as client:
        until(lambda: client.get("/ready").status_code == 200)
        yield client


@pytest.fixture(scope="module")
def packaged(shop):
    from pathlib import Path

    return store.load_champion(Path(), shop).packaged


def buying(*items):
    return [{"item_id": f"item-{item}", "event": "purchase"} for item in items]


def ids(answer):
    return [item["item_id"] for item in answer["items"]]
