"""Sources: the embedded digits, idx files made up here, and every way in which a file can be wrong."""

import gzip
import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from recgan.core.errors import RecganError
from recgan.data import idx as data_idx
from recgan.data.idx import read_idx
from recgan.images.labelled import read_images, write_images
from recgan.images.settings import IngestImagesParams
from recgan.images.sources import read_source, stratified
from tests.images.data import CONTENT, source


def settings(**changes):
    return IngestImagesParams.model_validate({**CONTENT["ingest"], **changes})


def idx(array):
    return (
        struct.pack(f">3xB{array.ndim}I", array.ndim, *array.shape).replace(b"\0\0\0", b"\0\0\x08", 1)
        + array.tobytes()
    )


def made_up(n, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four idx files, two of them gzipped, whose md5 stand in place of MNIST's."""
    address = data_idx._ADDRESSES["mnist"]
    files = dict(address.files)
    for number, part in enumerate(("train", "test")):
        pixels, labels = made_up((200, 40)[number], number)
        for kind, array in (("images", pixels), ("labels", labels)):
            name, content = files[f"{part} {kind}"].name, idx(array)
            if kind == "images":
                (tmp_path / name).write_bytes(gzip.compress(content))
            else:
                (tmp_path / name.removesuffix(".gz")).write_bytes(content)
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            files[f"{part} {kind}"] = replace(files[f"{part} {kind}"], md5=md5)
    monkeypatch.setitem(data_idx._ADDRESSES, "mnist", replace(address, files=files))
    return tmp_path


def test_idx_by_hand():
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(read_idx(content, "x"), [[1, 2, 3], [4, 5, 6]])
    assert idx(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)) == content


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no idx file of unsigned bytes .it begins with nothing"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1, 0]), "begins with 00000d01"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 2]), "header ends early"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 5, 1, 2]), r"2 values for a shape of \(5,\)"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1, 1, 2]), r"2 values for a shape of \(1,\)"),
    ],
)
def test_what_is_no_idx_file_is_one_clear_error(content, fault):
    with pytest.raises(RecganError, match=f"train: .*{fault}|train: {fault}"):
        read_idx(content, "train")


def test_idx_files_are_read_gzipped_or_not(folder):
    images = read_source(settings(source="mnist", path=folder))
    for found, (pixels, labels) in ((images.train, made_up(200, 0)), (images.test, made_up(40, 1))):
        np.testing.assert_array_equal(found.pixels, pixels)
        np.testing.assert_array_equal(found.labels, labels)
    assert images.side == 28


def test_a_limit_keeps_an_even_sample_of_the_classes(folder):
    images = read_source(settings(source="mnist", path=folder, limit=100))
    assert np.bincount(images.train.labels).tolist() == [10] * 10
    assert len(images.test.labels) == 40


def test_another_content_is_refused(folder):
    name = data_idx._ADDRESSES["mnist"].files["train labels"].name.removesuffix(".gz")
    (folder / name).write_bytes(idx(np.zeros(200, dtype=np.uint8)))
    with pytest.raises(RecganError, match="is not mnist's train labels: its md5 is not"):
        read_source(settings(source="mnist", path=folder))


def test_a_missing_file_is_named_with_the_remedy(folder):
    (folder / data_idx._ADDRESSES["mnist"].files["test images"].name).unlink()
    with pytest.raises(RecganError, match=r"no t10k-images-idx3-ubyte.gz .*set ingest.path"):
        read_source(settings(source="mnist", path=folder))


def test_a_damaged_gzip_file_is_named(folder):
    path = folder / data_idx._ADDRESSES["mnist"].files["train images"].name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecganError, match="damaged gzip file"):
        read_source(settings(source="mnist", path=folder))


def test_without_a_network_the_error_says_where_to_put_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("RECGAN_CACHE", str(tmp_path))
    address = replace(data_idx._ADDRESSES["mnist"], base="http://127.0.0.1:9/")
    monkeypatch.setitem(data_idx._ADDRESSES, "mnist", address)
    with pytest.raises(RecganError, match=r"cannot download .*set ingest.path in images/params.yaml"):
        read_source(settings(source="mnist", path=None))


def test_the_digits_are_split_once_and_evenly():
    images = read_source(settings())
    assert (len(images.train.labels), len(images.test.labels), images.side) == (1438, 359, 8)
    assert images.train.pixels.max() == 255
    assert (np.bincount(images.test.labels) >= 34).all()
    again = read_source(settings())
    np.testing.assert_array_equal(again.test.pixels, images.test.pixels)


def test_a_stratified_draw_has_the_share_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    drawn = stratified(labels, 0.1, np.random.default_rng(0))
    assert np.bincount(labels[drawn]).tolist() == [10, 5, 1]
    assert (np.diff(drawn) > 0).all()


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "images/data").mkdir(parents=True)
    images = source()
    write_images(images, tmp_path / "images/data")
    found = read_images(tmp_path)
    assert (found.source, found.classes) == (images.source, images.classes)
    np.testing.assert_array_equal(found.test.pixels, images.test.pixels)
    with pytest.raises(RecganError, match="run make images"):
        read_images(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_have_the_published_content(real_data, name):
    images = read_source(settings(source=name, path=real_data(name)))
    assert (len(images.train.labels), len(images.test.labels)) == (60_000, 10_000)
    assert np.bincount(images.test.labels).min() > 800
