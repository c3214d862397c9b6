"""Ids outside, whole numbers inside."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def encode(ids: pa.ChunkedArray) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
    """Turn ids into codes.

    Returns:
        The distinct ids, sorted, and for each row the place of its id among them.
    """
    encoded = pc.dictionary_encode(ids).unify_dictionaries().combine_chunks()
    # combine_chunks gives an array, or a chunked one without chunks when there is no row.
    distinct = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(distinct, kind="stable")
    place = np.empty(len(distinct), dtype=np.int32)
    place[order] = np.arange(len(distinct), dtype=np.int32)
    return distinct[order], place[encoded.indices.to_numpy()]
