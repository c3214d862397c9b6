"""MNIST and Fashion-MNIST: their idx files, downloaded or in a folder, known by their published checksums."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recgan.core.download import fetch
from recgan.core.errors import RecganError

IdxName = Literal["mnist", "fashion-mnist"]
Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")

IDX_CLASSES: dict[IdxName, tuple[str, ...]] = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class _File:
    name: str
    archive_md5: str
    """Published, of the gzip file as it is downloaded."""
    md5: str
    """Of the uncompressed content, which whoever compresses it anew leaves alone."""


@dataclass(frozen=True)
class _Address:
    base: str
    files: dict[str, _File]


_ADDRESSES: dict[IdxName, _Address] = {
    "mnist": _Address(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train images": _File(
                "train-images-idx3-ubyte.gz",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "6bbc9ace898e44ae57da46a324031adb",
            ),
            "train labels": _File(
                "train-labels-idx1-ubyte.gz",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "a25bea736e30d166cdddb491f175f624",
            ),
            "test images": _File(
                "t10k-images-idx3-ubyte.gz",
                "9fb629c4189551a2d022fa330f9573f3",
                "2646ac647ad5339dbf082846283269ea",
            ),
            "test labels": _File(
                "t10k-labels-idx1-ubyte.gz",
                "ec29112dd5afa0611ce80d1b7f02629c",
                "27ae3e4e09519cfbb04c329615203637",
            ),
        },
    ),
    "fashion-mnist": _Address(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train images": _File(
                "train-images-idx3-ubyte.gz",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            ),
            "train labels": _File(
                "train-labels-idx1-ubyte.gz",
                "25c81989df183df01b3e8a0aad5dffbe",
                "9018921c3c673c538a1fc5bad174d6f9",
            ),
            "test images": _File(
                "t10k-images-idx3-ubyte.gz",
                "bef4ecab320f06d8554ea6380940ec79",
                "8181f5470baa50b63fa0f6fddb340f0a",
            ),
            "test labels": _File(
                "t10k-labels-idx1-ubyte.gz",
                "bb300cfdad3c16e7a12a480ee83cd310",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
        },
    ),
}


def read_idx_part(
    source: IdxName, part: Part, folder: Path | None, put: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (images, 28, 28) of a part, 0 being black, and their classes (images,).

    Args:
        source: whose.
        part: train or test.
        folder: of the idx files, gzip or not; None downloads them.
        put: what to do where they are not there or are not the published ones.

    Raises:
        RecganError: the files are missing, damaged or cannot be downloaded.
    """
    address = _ADDRESSES[source]

    def read(what: str) -> NDArray[np.uint8]:
        name = f"{part} {what}"
        file = address.files[name]
        if folder is None:
            path = fetch(address.base + file.name, put, file.archive_md5, f"{source}-{file.name}")
        else:
            path = _find(folder, file.name, put)
        content = _uncompressed(path, put)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != file.md5:
            raise RecganError(f"{path} is not {source}'s {name}: its md5 is not {file.md5}; {put}")
        return read_idx(content, f"{source}'s {name}")

    return read("images"), read("labels").astype(np.int64)


def check_idx_part(source: IdxName, part: Part, folder: Path, put: str) -> None:
    """Raise a RecganError where a file of a part is missing in a folder; nothing is read."""
    for what in ("images", "labels"):
        _find(folder, _ADDRESSES[source].files[f"{part} {what}"].name, put)


def read_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes: 0, 0, 8, dimensions, then sizes and values (LeCun et al.).

    Args:
        content: of the file, uncompressed.
        name: of the file, for the message.

    Raises:
        RecganError: it is none, or shorter or longer than its header says.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise RecganError(
            f"{name}: no idx file of unsigned bytes (it begins with {content[:4].hex() or 'nothing'})"
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise RecganError(f"{name}: the idx header ends early; fetch the file anew")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - start != expected:
        raise RecganError(
            f"{name}: {len(content) - start:,} values for a shape of {shape}; fetch the file anew"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()  # to be written on


def _find(folder: Path, name: str, put: str) -> Path:
    for candidate in (folder / name, folder / name.removesuffix(".gz")):
        if candidate.is_file():
            return candidate
    raise RecganError(f"no {name} (nor without .gz) in {folder}; {put}")


def _uncompressed(path: Path, put: str) -> bytes:
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise RecganError(f"{path} is a damaged gzip file ({error}); {put}") from None
