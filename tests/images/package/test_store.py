"""Image generators in the registry: registered once, judged by today's classifier, promoted or refused."""

import base64
import shutil

import mlflow
import pandas as pd
import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.images.classifier import classify
from recgan.images.evaluate import evaluate
from recgan.images.gan import ImageGAN
from recgan.images.package.store import Generators
from recgan.images.pictures import from_png
from recgan.images.settings import load_images_params
from recgan.images.train import train
from recgan.registry.by_hand import promote_by_hand
from recgan.registry.enrol import enrol
from recgan.registry.lineage import folder_md5
from recgan.registry.promotion import judge, promote
from recgan.registry.tracking import connect, current
from tests.images.data import images_params
from tests.images.test_stages import make_project

pytestmark = pytest.mark.usefixtures("forked_packages")


def lock(root):
    """Write the images/dvc.lock that fits the folders."""
    stages = {
        stage: {
            "cmd": f"python -m recgan images {stage}",
            "outs": [{"path": path, "md5": folder_md5(root / path)}],
        }
        for stage, path in (
            ("ingest", "images/data"),
            ("classify", "images/models/classifier"),
            ("train", "images/models/generator"),
        )
    }
    (root / "images/dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose generator is fair, and a second generator that has learned nothing."""
    quick = {"learning_rate": 2e-3}
    params = images_params(register={"name": "tiny-images"})
    settings = params.train.model_copy(
        update={
            "epochs": 12,
            "evaluate_every": 4,
            "ema": 0.9,
            "generator": params.train.generator.model_copy(update=quick),
            "discriminator": params.train.discriminator.model_copy(update=quick),
        }
    )
    root = make_project(tmp_path_factory.mktemp("images"), params.model_copy(update={"train": settings}))
    classify(root=root)
    train(root=root)
    evaluate(root=root)
    lock(root)
    return root


def test_from_the_first_champion_to_a_poor_challenger(project, store_env, tmp_path):
    params = load_images_params(project)
    client, name = connect(project), params.register_.name

    registered = enrol(Generators(project, params))
    assert (registered.version, registered.reused) == ("1", False)
    assert enrol(Generators(project, params)).reused
    run = client.get_run(registered.run_id)
    assert run.data.metrics["train/best_epoch"] >= 1
    assert "evaluation/frechet" in run.data.metrics
    points = client.get_metric_history(registered.run_id, "curves/frechet")
    assert [point.step for point in points] == [4, 8, 12]
    files = {file.path for file in client.list_artifacts(registered.run_id, "reports/samples")}
    assert files == {f"reports/samples/epoch-{epoch:04}.png" for epoch in (4, 8, 12)}

    assert promote_by_hand(Generators(project, params), "1", "the first").champion == "1"
    root = shutil.copytree(project, tmp_path / "worse")
    worse = ImageGAN.load(root / "images/models/generator")
    for weight in worse.generator.parameters():
        weight.data.zero_()
    worse.save(root / "images/models/generator")
    lock(root)
    second = enrol(Generators(root, params))
    assert second.version == "2"
    judgement = judge(Generators(root, params), "2")
    evidence = judgement.evidence
    assert evidence.smoke_error is None
    # Without weights it writes the same set again and again, which counts once.
    assert (len(evidence.frechet), len(evidence.champion_frechet)) == (1, params.register_.gate.draws)
    assert max(evidence.champion_frechet) < min(evidence.frechet)
    assert not judgement.decision.promote
    assert any("not better than the champion (version 1)" in text for text in judgement.decision.failures)
    assert any("of the classes" in text for text in judgement.decision.failures)
    promotion = promote(Generators(root, params), "2", judgement)
    assert (promotion.promoted, promotion.champion) == (False, "1")
    assert str(current(client, name).version) == "1"
    assert judge(Generators(root, params), "2").evidence is None  # taken again, not measured again


def test_the_package_answers_through_mlflow_without_pickle(project, store_env, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    params = load_images_params(project)
    version = enrol(Generators(project, params)).version
    model = mlflow.pyfunc.load_model(f"models:/{params.register_.name}/{version}")
    frame = pd.DataFrame({"class": ["left", "top"]})
    found = model.predict(frame, params={"n": 2, "seed": 1})
    assert found["classes"].tolist() == [["left", "left"], ["top", "top"]]
    assert from_png(base64.b64decode(found["images"][1][0])).shape == (8, 8)
    with pytest.raises(mlflow.exceptions.MlflowException, match="no class 'cat'"):
        model.predict(pd.DataFrame({"class": ["cat"]}))
    with pytest.raises(mlflow.exceptions.MlflowException, match="no recommender was packaged"):
        model.predict(pd.DataFrame({"history": [["item-1"]]}))


def test_outputs_that_dvc_did_not_write_are_refused(project, store_env, tmp_path):
    root = shutil.copytree(project, tmp_path / "changed")
    (root / "images/models/generator/generator.json").write_text("{}")
    with pytest.raises(RecganError, match=r"is not what dvc\.lock names"):
        enrol(Generators(root, load_images_params(root)))
