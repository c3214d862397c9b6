"""A small shop with six tastes, recommenders of known quality, and one tracking store for all tests."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy.sparse import csr_array

from recgan.adversarial.networks import Perceptron
from recgan.features.matrices import Features, HeldOut, write_features
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.registry.lineage import folder_md5
from recgan.settings import check_params
from tests.conftest import SHOP, example

TASTES, ITEMS, USERS = 6, 48, 150


@pytest.fixture(scope="session")
def params():
    content = yaml.safe_load(SHOP.read_text())
    # Weights set by hand are easiest in the generator of CFGAN's user view.
    cfgan = example("cfgan-ml100k")["candidates"]["cfgan"]
    cfgan["generator"]["hidden"] = [TASTES]
    classical = {name: content["candidates"][name] for name in ("popularity", "ease")}
    content["candidates"] = {**classical, "cfgan": {**cfgan, "view": "user"}}
    content["evaluate"]["bootstrap_samples"] = 500
    content["register"] = {
        "name": "shop",
        "gate": {
            "must_beat": ["ease"],
            "max_loss": 0.05,
            "alpha": 0.05,
            "min_users": 20,
            "min_coverage": 0.3,
        },
    }
    return check_params(content, Path("params.yaml"))


def named_so(params, name):
    """Return the params with another name of the registered model."""
    return params.model_copy(update={"register_": params.register_.model_copy(update={"name": name})})


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory, empty_database):
    """One database for all tests; each has a registered model of its own."""
    return f"sqlite:///{shutil.copy(empty_database, tmp_path_factory.mktemp('store') / 'mlflow.db')}"


@pytest.fixture
def store_env(store_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    return store_uri


def shop_features(order=None):
    """Each user likes eight items of one taste and has five of them; three are held out.

    The first user has nothing held out; the last user's history is empty.

    Args:
        order: the items in the order of positions; None for their own order.
    """
    rng = np.random.default_rng(0)
    history = np.zeros((USERS, ITEMS), dtype=np.float32)
    held_out = np.zeros_like(history)
    for user in range(USERS):
        liked = rng.permutation(np.arange(ITEMS)[np.arange(ITEMS) % TASTES == user % TASTES])
        history[user, liked[:5]], held_out[user, liked[5:]] = 1, 1
    held_out[0], history[-1] = 0, 0
    order = np.arange(ITEMS) if order is None else order
    history, held_out = history[:, order], held_out[:, order]
    items = pd.DataFrame({"item_id": [f"item-{item}" for item in order], "popularity": history.sum(axis=0)})
    users = np.array([f"user-{user}" for user in range(USERS)], dtype=object)
    summary = {
        "md5": "0" * 32,
        "repeat_purchases": False,
        "split_identity": {"kind": "time", "trained_until": "2026-01-01T00:00:00+00:00"},
    }
    window = HeldOut(users, csr_array(history), csr_array(held_out))
    return Features(csr_array(history), csr_array(history), users, items, None, window, summary)


def dated_features():
    """The shop with times: a log of ten days until 2026-01-11, the last two of them its test window.

    The entries of the histories are 1 to 7 days older than the window, over and over. What is held out came
    at its start, and each half day after.
    """
    features = shop_features()
    test = features.test
    ages = (np.arange(test.history.nnz) % 7 + 1).astype(np.float32)
    summary = features.summary | {
        "log": {"start": "2026-01-01T00:00:00+00:00", "end": "2026-01-11T00:00:00+00:00"},
        "cuts": {"validation_start": "2026-01-07T00:00:00+00:00", "test_start": "2026-01-09T00:00:00+00:00"},
    }
    window = replace(
        test,
        ages=csr_array((ages, test.history.indices, test.history.indptr), shape=test.history.shape),
        held_out_times=8 + np.arange(test.held_out.nnz) % 5 / 2,
    )
    return replace(
        features, test=window, summary=summary, train_times=8 - ages, train_validation_times=8 - ages
    )


def taste_recommender(params, good_tastes, order=None):
    """A CFGAN whose weights are set by hand: it knows some tastes, and takes each other one for the next."""
    taste = torch.arange(ITEMS) % TASTES
    if order is not None:
        taste = taste[torch.as_tensor(order)]
    known = torch.nn.functional.one_hot(taste, TASTES).float()  # (items, tastes)
    answer = torch.where(torch.arange(TASTES) < good_tastes, torch.arange(TASTES), torch.arange(TASTES) + 1)
    generator = Perceptron(ITEMS, [TASTES], ITEMS, torch.Generator().manual_seed(0))
    with torch.no_grad():
        generator.first.copy_(8 * known)
        generator.bias.fill_(-4)
        generator.output.weight.copy_(known[:, answer % TASTES])
        generator.output.bias.zero_()
    generator.requires_grad_(False)
    recommender = CFGAN(params.candidates["cfgan"])
    recommender.generator, recommender.fitted, recommender.items = generator, None, ITEMS
    return recommender


def make_project(root, params, good_tastes, order=None, expectations_passed=True):
    """Write what the stages leave behind: features, recommender, rankings, metrics, curves, dvc.lock."""
    for folder in ("data/features", "data/evaluation", "models/cfgan", "metrics/candidates", "reports"):
        (root / folder).mkdir(parents=True)
    write_features(shop_features(order), root / "data" / "features")
    rng = np.random.default_rng(1)
    rankings = {
        name: np.stack([rng.permutation(ITEMS) for _ in range(USERS)]).astype(np.int32)
        for name in ("popularity", "ease")
    }
    np.savez(root / "data" / "evaluation" / "rankings.npz", **rankings, cfgan=rankings["ease"])
    (root / "data" / "evaluation" / "summary.json").write_text(json.dumps({"challenger": "cfgan"}))
    taste_recommender(params, good_tastes, order).save(root / "models" / "cfgan")
    (root / "metrics" / "validation.json").write_text(json.dumps({"success": expectations_passed}))
    (root / "metrics" / "candidates" / "cfgan.json").write_text(
        json.dumps({"best_epoch": 2, "validation_ndcg": None})
    )
    (root / "metrics" / "evaluation.json").write_text(
        json.dumps(
            {
                "users": USERS,
                "cfgan.ndcg_at_5": 0.5,
                "cfgan.ndcg_at_10": 0.5,
                "cfgan.ndcg_at_10_low": 0.25,
                "cfgan.head_items.ndcg_at_10": 0.5,
                "ease.ndcg_at_5": 0.25,
                "ease.ndcg_at_10": 0.25,
            }
        )
    )
    (root / "metrics" / "features.json").write_text(json.dumps({"log": {"end": "2026-01-31T23:00:00+00:00"}}))
    (root / "reports" / "curves.csv").write_text("epoch,g_loss,ndcg@10\n1,1.5,\n2,1.25,0.5\n")
    write_lock(root)
    return root


def write_lock(root, **train):
    """Write the dvc.lock that fits the folders, with more in the entry of the training where given."""
    outputs = {
        stage: [{"path": path, "md5": folder_md5(root / path)}]
        for stage, path in (
            ("validate", "data/kept"),
            ("screen", "data/screened"),
            ("features", "data/features"),
            ("train@cfgan", "models/cfgan"),
        )
        if (root / path).is_dir()
    }
    stages = {stage: {"cmd": f"python -m recgan {stage}", "outs": outs} for stage, outs in outputs.items()}
    stages["train@cfgan"] |= train
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
