"""The published split of the CFGAN paper comes out with the counts that the paper has."""

from pathlib import Path

import pytest

from recgan.data.sources.published_split import PublishedSplitSource
from recgan.data.sources.published_split import read as read_published_split


@pytest.mark.parametrize("validation_share", [0, 0.1])
def test_the_cfgan_split_keeps_its_counts(real_data, build, params, validation_share):
    source = PublishedSplitSource(
        source="published-split", path=Path("raw"), feedback=None, train="ML100K.train", test="ML100K.test"
    )
    tables = read_published_split(source, real_data("cfgan-ml100k"))
    split = {"kind": "published", "validation_share": validation_share, "seed": 0}
    built = build(tables.events, params(binary=True, split=split))
    assert built.train_validation.shape == (943, 1653)
    assert built.train_validation.nnz == 80_000
    assert built.test.history.nnz == 80_000
    assert built.test.held_out.nnz == 19_963
    if validation_share:
        assert built.validation.held_out.nnz == pytest.approx(8_000, rel=0.01)
        assert built.train.nnz + built.validation.held_out.nnz == 80_000
