"""Greyscale images as PNG and as grids, without an imaging library."""

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class _Header(NamedTuple):
    width: int
    height: int
    depth: int = 8
    colour: int = 0  # grey
    compression: int = 0
    filtering: int = 0
    interlace: int = 0


def png(image: Pixels) -> bytes:
    """Return an image (height, width) as an 8-bit greyscale PNG (ISO/IEC 15948)."""
    height, width = image.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = image
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", *_Header(width, height))),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def from_png(content: bytes) -> Pixels:
    """Return the image (height, width) of what `png` wrote.

    Raises:
        ValueError: it is something else.
    """
    if not content.startswith(_SIGNATURE):
        raise ValueError("it is no PNG")
    chunks: dict[bytes, bytes] = {}
    place = len(_SIGNATURE)
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        chunks[kind] = chunks.get(kind, b"") + content[place + 8 : place + 8 + length]
        place += length + 12
    if not {b"IHDR", b"IDAT"} <= chunks.keys() or len(chunks[b"IHDR"]) != 13:
        raise ValueError("the PNG is not whole")
    header = _Header._make(struct.unpack(">IIBBBBB", chunks[b"IHDR"]))
    if header != _Header(header.width, header.height):
        raise ValueError("the PNG is not greyscale with 8 bits")
    raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8)
    rows = raw.reshape(header.height, header.width + 1)
    if rows[:, 0].any():
        raise ValueError("the PNG's rows are filtered")
    return rows[:, 1:].copy()


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


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
