"""The images' flow on digits, as small as it goes: measured, registered, judged; then nothing is stale."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from recgan.registry.tracking import current
from tests.conftest import ROOT, SHOP
from tests.flows.test_retrain import artifacts, run
from tests.images.data import images_params

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def project(tmp_path, empty_database, monkeypatch):
    """A copy of the project with its own git and DVC and a tiny generator, in the working directory."""
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    (tmp_path / "images").mkdir()
    for name in ("images/dvc.yaml", "dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(SHOP, tmp_path / "params.yaml")
    gate = {"draws": 3, "samples": 100, "alpha": 0.5, "min_coverage": 0, "max_copies": 1}
    params = images_params(register={"name": "tiny-digits", "gate": gate})
    (tmp_path / "images/params.yaml").write_text(
        yaml.safe_dump(params.model_dump(mode="json", by_alias=True))
    )
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, sys.executable, "-m", "dvc", "init", "-q")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    return tmp_path


def test_from_digits_to_a_decision_and_again_without_work(project):
    from flows.images import images

    state = images(return_state=True)
    assert state.name == "NotPromoted", state.message  # two epochs do not beat a Gaussian of each class
    promotion = state.result()
    assert promotion.champion is None
    refused = promotion.decision.failures
    assert any("not better than a Gaussian for each class" in reason for reason in refused)
    assert "✓ The packaged generator answers." in promotion.decision.reasons
    shown = artifacts(state)
    assert "| class Gaussians |" in shown["images"]
    assert "tiny-digits version 1 was not promoted" in shown["images-gate"]
    assert "Not promoted: tiny-digits version 1" in Path("images/reports/images.html").read_text()
    client = MlflowClient("sqlite:///mlflow.db")
    assert str(current(client, "tiny-digits", "challenger").version) == "1"
    metrics = {path.name: path.read_bytes() for path in Path("images/metrics").iterdir()}
    assert json.loads(metrics["evaluation.json"])["frechet"] > 0
    assert not Path("data").exists()  # nothing of the recommender's chain has run

    # No stage would run again; that what is registered keeps its version is tested with the package.
    assert run(project, sys.executable, "-m", "dvc", "status", "--json", "images/dvc.yaml") == "{}\n"
