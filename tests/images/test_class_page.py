"""The page of drawn images: each class beside real ones, what the classifier says, the gate's decision."""

import base64
import re
from datetime import date

import numpy as np
import pytest

from recgan.evaluation.plain_words import Verdict
from recgan.images.classifier import Classifier
from recgan.images.gan import ImageGAN
from recgan.images.page import EACH, page, rows_of
from recgan.images.pictures import from_png
from tests.images.data import CLASSES, classify_settings, halves, source, train_settings

MEASURED = {
    "frechet": 12.34,
    "frechet_of_training_images": 1.2,
    "frechet_of_class_gaussians": 40,
    "class_accuracy": 0.951,
    "test_accuracy": 0.98,
    "coverage": 1,
    "copies": 0.012,
}


@pytest.fixture(scope="module")
def images():
    return source()


@pytest.fixture(scope="module")
def classifier(images):
    return Classifier(classify_settings(), 8, len(CLASSES)).fit(images.train)


@pytest.fixture(scope="module", params=[True, False], ids=["conditional", "unconditional"])
def gan(request):
    return ImageGAN(train_settings(epochs=1, conditional=request.param), 8, CLASSES).fit(halves(64))


def test_each_class_has_its_test_images_and_drawn_ones_with_what_the_classifier_says(images, classifier, gan):
    rows = rows_of(images, classifier, gan, seed=0)
    assert [row.name for row in rows] == list(CLASSES)
    for label, row in enumerate(rows):
        own = {image.tobytes() for image in images.test.pixels[images.test.labels == label]}
        shown = [from_png(base64.b64decode(one.png)) for one in row.real]
        assert len({image.tobytes() for image in shown} & own) == EACH
        assert len(row.drawn) == EACH if gan.settings.conditional else len(row.drawn) <= EACH
        for one in (*row.real, *row.drawn):
            assert one.right == (one.seen == row.name)
            assert 1 / len(CLASSES) <= one.sure <= 1
        assert row.agreed == sum(one.seen == row.name for one in row.drawn)
        if not gan.settings.conditional:
            assert row.agreed == len(row.drawn)
    assert rows == rows_of(images, classifier, gan, seed=0)


def test_how_sure_is_the_probability_of_the_class_that_is_seen(images, classifier):
    seen = classifier.see(images.test.pixels)
    weight, bias = (value.numpy() for value in classifier.network.output.state_dict().values())
    logits = seen.features @ weight.T + bias
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(seen.classes, likely.argmax(axis=1))
    np.testing.assert_allclose(seen.certainty, likely.max(axis=1), atol=1e-5)
    assert len(classifier.see(images.test.pixels[:0]).certainty) == 0


def test_the_page_begins_with_the_decision_and_needs_no_other_file(images, classifier, gan):
    rows = rows_of(images, classifier, gan, seed=0)
    reasons = ("✓ The packaged generator answers.", "✗ <Worse> than a Gaussian.")
    verdict = Verdict("m", "2", "m version 2", date(2026, 11, 29), False, reasons, live="1")
    text = page(rows, images, gan, verdict, MEASURED)
    assert '<h1 class="bad">Not promoted: m version 2, 29 November 2026</h1>' in text
    assert "that day: m version 2 does not go live; version 1 stays live." in text
    assert text.index("✗ &lt;Worse&gt;") < text.index("✓ The packaged")
    assert text.count("<figure") == sum(len(row.real) + len(row.drawn) for row in rows)
    assert set(re.findall(r'(?:src|href)="([^",]*)', text)) == {"data:image/png;base64"}
    assert ("cannot be asked for a class" in text) != gan.settings.conditional
