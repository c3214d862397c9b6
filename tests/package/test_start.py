"""What the champion's training left: beside its package in the registry, and back in data/start."""

import json
from pathlib import Path

import mlflow
import pytest

from recgan.package.start import asks, bring_start
from recgan.package.store import Recommenders
from recgan.registry.enrol import enrol
from recgan.registry.tracking import connect
from recgan.settings import check_params
from recgan.stages import start
from tests.conftest import ROOT, example
from tests.package.conftest import make_project, named_so, write_lock


@pytest.fixture
def client(store_env):
    return connect()


def with_warm_start(params, epochs, name):
    """The params with an RC-GAN under the name of the candidate that the project has."""
    content = example("shop")
    section = content["candidates"]["rcgan"] | {"warm_start": epochs}
    content["candidates"] = {"cfgan": section}
    changed = check_params(content, ROOT / "params.yaml")
    return named_so(params.model_copy(update={"candidates": changed.candidates}), name)


def noted(root):
    return json.loads((root / "data/start/begin.json").read_text())


def test_a_stage_keeps_what_lies_there(tmp_path):
    start(tmp_path)
    assert noted(tmp_path) == {"reason": "no flow has looked for a champion"}
    (tmp_path / "data/start/begin.json").write_text('{"version": "3"}')
    start(tmp_path)
    assert noted(tmp_path) == {"version": "3"}


def test_what_the_champion_left_goes_through_the_registry(client, params, tmp_path):
    named = with_warm_start(params, 5, "warm")
    assert asks(named)
    assert not asks(with_warm_start(params, None, "warm"))
    root = make_project(tmp_path / "project", params, good_tastes=3)
    bring_start(root, named)
    assert noted(root) == {"reason": "there is no champion"}

    left = root / "models/cfgan/warm_start"
    left.mkdir()
    (left / "begin.json").write_text('{"recommender": "rcgan"}')
    (left / "first.safetensors").write_bytes(b"weights")
    write_lock(root)
    version = enrol(Recommenders(root, named)).version
    client.set_registered_model_alias("warm", "champion", version)
    run = client.get_model_version("warm", version).run_id
    assert {one.path for one in client.list_artifacts(run, "warm_start")} == {
        "warm_start/begin.json",
        "warm_start/first.safetensors",
    }
    (tmp_path / "package").mkdir()
    package = mlflow.artifacts.download_artifacts(
        f"models:/warm/{version}", dst_path=str(tmp_path / "package")
    )
    assert not list(Path(package).rglob("warm_start"))

    bring_start(root, named)  # the champion of these very features: a second run of one night
    assert noted(root) == {"reason": "there is no champion"}

    (root / "dvc.lock").write_text((root / "dvc.lock").read_text().replace("data/features", "data/others"))
    bring_start(root, named)
    assert noted(root) == {"recommender": "rcgan", "candidate": "cfgan", "version": version}
    assert (root / "data/start/first.safetensors").read_bytes() == b"weights"
    before = (root / "data/start").stat().st_ino
    bring_start(root, named)
    assert (root / "data/start").stat().st_ino == before

    bring_start(root, with_warm_start(params, None, "warm"))
    assert noted(root) == {"reason": "the champion is cfgan, which begins anew"}
    assert not (root / "data/start/first.safetensors").exists()
