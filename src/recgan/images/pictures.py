"""Greyscale images as PNG and as grids."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def png(image: Pixels) -> bytes:
    """Return an image (height, width) as an 8-bit greyscale PNG."""
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return written.getvalue()


def from_png(content: bytes) -> Pixels:
    """Return the image (height, width) of an 8-bit greyscale PNG.

    Raises:
        ValueError: it is something else.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.mode != "L":
                raise ValueError(f"the PNG is not greyscale with 8 bits: its mode is {image.mode}")
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: a broken chunk
        raise ValueError("it is no whole PNG") from None


def grid(images: Pixels, columns: int, scale: int = 1, gap: int = 2) -> Pixels:
    """Return images (n, height, width) side by side, row after row, on a mid-grey ground.

    Args:
        images: any number of them; the last row may stay short.
        columns: images in a row.
        scale: pixels for each pixel, in both directions.
        gap: pixels between two images.
    """
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width = large.shape
    rows = -(-n // columns)
    ground = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap), 128, dtype=np.uint8)
    for place, image in enumerate(large):
        row, column = divmod(place, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        ground[top : top + height, left : left + width] = image
    return ground
