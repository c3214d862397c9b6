"""PNG and grids: what is written comes back, and other readers see the same."""

import io

import numpy as np
import pytest
from PIL import Image

from recgan.images.pictures import from_png, grid, png

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)


def test_another_reader_sees_the_same_pixels():
    with Image.open(io.BytesIO(png(IMAGE))) as seen:
        assert seen.mode == "L"
        np.testing.assert_array_equal(np.asarray(seen), IMAGE)


def test_there_and_back():
    np.testing.assert_array_equal(from_png(png(IMAGE)), IMAGE)


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", png(IMAGE)[:20], png(IMAGE)[:60], png(IMAGE).replace(b"IDAT", b"I\0AT")],
    ids=["nothing", "a GIF", "half a header", "half its pixels", "a damaged chunk"],
)
def test_what_is_no_whole_png_is_refused(content):
    with pytest.raises(ValueError, match="no whole PNG"):
        from_png(content)


def test_a_png_in_colour_is_refused():
    coloured = io.BytesIO()
    Image.new("RGB", (3, 3)).save(coloured, "PNG")
    with pytest.raises(ValueError, match="not greyscale"):
        from_png(coloured.getvalue())


def test_a_grid_by_hand():
    one, two, three = (np.full((1, 1), value, dtype=np.uint8) for value in (1, 2, 3))
    np.testing.assert_array_equal(
        grid(np.stack([one, two, three]), columns=2, gap=1),
        [
            [128, 128, 128, 128, 128],
            [128, 1, 128, 2, 128],
            [128, 128, 128, 128, 128],
            [128, 3, 128, 128, 128],
            [128, 128, 128, 128, 128],
        ],
    )


def test_a_scaled_grid_repeats_pixels():
    assert (grid(IMAGE[None], columns=1, scale=2, gap=0) == IMAGE.repeat(2, 0).repeat(2, 1)).all()
