"""The stages one after the other on tiny images, and the classifier that they share."""

import json

import numpy as np
import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.images.classifier import Classifier, classify
from recgan.images.evaluate import evaluate, measure
from recgan.images.labelled import write_images
from recgan.images.pictures import from_png
from recgan.images.settings import load_images_params
from recgan.images.sources import ingest
from recgan.images.train import fingerprint, train
from tests.conftest import ROOT
from tests.images.data import classify_settings, evaluate_settings, halves, images_params, source


def make_project(root, params=None):
    """Write images/params.yaml and the tiny source as the ingest stage would leave it."""
    params = images_params() if params is None else params
    (root / "images/data").mkdir(parents=True)
    content = params.model_dump(mode="json", by_alias=True)
    (root / "images/params.yaml").write_text(yaml.safe_dump(content))
    write_images(source(), root / "images/data")
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = make_project(tmp_path_factory.mktemp("project"))
    classify(root=root)
    train(root=root)
    evaluate(root=root)
    return root


@pytest.fixture(scope="module")
def classifier():
    return Classifier(classify_settings(), 8, 4).fit(source().train)


def metrics(root, name):
    return json.loads((root / f"images/metrics/{name}.json").read_text())


def test_the_projects_own_params_are_sound():
    assert load_images_params(ROOT).ingest.source == "digits"


def test_every_fault_of_the_params_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    content = yaml.safe_load((ROOT / "images/params.yaml").read_text())
    content["train"]["generator"]["hidden"] = [256, 128]
    content["train"]["epoch"] = content["train"].pop("epochs")
    content["ingest"]["source"] = "cifar"
    (tmp_path / "images/params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RecganError) as caught:
        load_images_params(tmp_path)
    assert "did you mean `epochs`?" in str(caught.value)
    assert "ingest.source" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"generator": {"hidden": [8, 8]}}, "a dcgan has 3 channel counts"),
        ({"loss": "wasserstein", "label_smoothing": 0.1}, "no target for real images"),
    ],
)
def test_sections_that_do_not_fit_are_refused(changes, fault):
    from tests.images.data import train_settings

    with pytest.raises(ValueError, match=fault):
        train_settings(**changes)


def test_the_stages_leave_what_dvc_expects(project):
    stages = yaml.safe_load((ROOT / "images/dvc.yaml").read_text())["stages"]
    for stage in stages.values():
        assert stage["wdir"] == ".."
        for output in stage.get("outs", []) + stage.get("metrics", []):
            ((path, settings),) = output.items()
            assert settings["persist"]
            assert (project / path).exists(), path
        code = [path for path in stage["deps"] if path.startswith("src/")]
        assert code
        assert all((ROOT / path).exists() for path in code)
    assert not list((project / "checkpoints").iterdir())


def test_a_grid_for_each_look_always_from_the_same_noise(project):
    grids = sorted((project / "images/reports/samples").iterdir())
    assert [path.name for path in grids] == ["epoch-0001.png", "epoch-0002.png"]
    first, second = (from_png(path.read_bytes()) for path in grids)
    assert first.shape == second.shape == (10 * 34 + 2, 4 * 34 + 2)
    assert not np.array_equal(first, second)


def test_the_metrics_are_finite_numbers(project):
    found = metrics(project, "evaluation") | metrics(project, "train") | metrics(project, "classify")
    assert all(np.isfinite(value) for value in found.values())
    assert found["frechet_of_training_images"] < found["frechet"]
    assert "| class Gaussians |" in (project / "images/reports/evaluation.md").read_text()


def test_the_curves_have_a_row_for_each_epoch(project):
    lines = (project / "images/reports/curves.csv").read_text().splitlines()
    assert len(lines) == 3
    assert {"epoch", "d_loss", "g_loss", "frechet", "effective_classes"} <= set(lines[0].split(","))


def test_a_training_is_named_by_all_that_decides_it(project):
    settings = load_images_params(project).train
    name = fingerprint(settings, project)
    assert fingerprint(settings, project) == name
    assert fingerprint(settings.model_copy(update={"seed": 9}), project) != name


def test_ingest_writes_the_digits(tmp_path):
    make_project(tmp_path)
    ingest(root=tmp_path)
    assert json.loads((tmp_path / "images/data/source.json").read_text())["source"] == "digits"


def test_a_stage_without_the_one_before_says_what_to_run(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/params.yaml").write_text((ROOT / "images/params.yaml").read_text())
    with pytest.raises(RecganError, match="run make images"):
        train(root=tmp_path)


def test_the_classifier_learns_and_comes_back(classifier, tmp_path):
    images = source()
    seen = classifier.see(images.test.pixels)
    assert (seen.classes == images.test.labels).mean() > 0.95
    classifier.save(tmp_path)
    again = Classifier.load(tmp_path).see(images.test.pixels)
    np.testing.assert_array_equal(again.features, seen.features)


def test_the_classifier_refuses_another_size(classifier):
    with pytest.raises(RecganError, match="8 x 8, not 28 x 28"):
        classifier.see(np.zeros((2, 28, 28), dtype=np.uint8))


def test_measures_tell_real_images_from_copies_and_from_a_collapse(classifier):
    images, settings = source(), evaluate_settings()
    fresh = halves(100, seed=7)
    real = measure(fresh.pixels, fresh.labels, images, classifier, settings)
    assert real.class_accuracy > 0.95
    assert real.coverage == 1
    assert real.effective_classes > 3.8
    assert real.copies < 0.1
    copied = measure(images.train.pixels[:100], None, images, classifier, settings)
    assert copied.copies == 1
    assert copied.class_accuracy is None
    collapsed = measure(np.repeat(fresh.pixels[:1], 100, axis=0), None, images, classifier, settings)
    assert collapsed.coverage == 0.25
    assert collapsed.effective_classes == pytest.approx(1)
    assert collapsed.recall < 0.1
    assert collapsed.frechet > 5 * real.frechet
