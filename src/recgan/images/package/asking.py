"""Ask a packaged generator from here, in a process of its own."""

import base64
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from recgan.images.pictures import Pixels, from_png
from recgan.registry.asking import NoAnswerError, fetched, started

QUESTIONS = pa.schema({"class": pa.string()})
"""A row for each class; without one in a generator that has none."""

ANSWERS = pa.schema({"images": pa.list_(pa.string())})
"""PNG in base64."""


def ask(model_uri: str, classes: Sequence[str], draws: int, samples: int) -> tuple[list[Pixels], str | None]:
    """Ask a packaged generator for draws of images, with its own packaged code.

    Args:
        model_uri: of MLflow, such as models:/recgan-digits/3.
        classes: asked for in turn; none where the generator has none.
        draws: sets of images, each from a seed of its own.
        samples: images in each, (samples, side, side).

    Returns:
        The draws, and why there are none.

    Raises:
        Unavailable: the package cannot be fetched, or its process was killed or took too long.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    asked = pa.record_batch([list(classes) if classes else [None]], QUESTIONS)
    n = -(-samples // asked.num_rows)
    try:
        with fetched(model_uri) as model, started(model, QUESTIONS, ANSWERS) as answer:
            return [_draw(answer(asked, {"n": n, "seed": seed}), samples) for seed in range(draws)], None
    except NoAnswerError as fault:
        return [], str(fault)
    except ValueError as error:
        return [], f"an answer is no image: {error}"


def _draw(answers: pa.RecordBatch, samples: int) -> Pixels:
    """Take class after class in turn, so that a part of them is even too."""
    turns = zip(*answers["images"].to_pylist(), strict=True)
    images = [image for turn in turns for image in turn][:samples]
    return np.stack([from_png(base64.b64decode(image)) for image in images])
